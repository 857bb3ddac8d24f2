"""The supernet: every network of a space, with shared weights."""

import re
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from threading import get_ident

import torch
from torch import Tensor, nn
from torch.func import functional_call

from search_space import ArchSpec, Network, Space, build_network
from search_space.blocks import BLOCKS, BuildOptions, ConvNormAct
from search_space.network import Classifier
from supernet.banks import banks_of, places_of

__all__ = ["Supernet", "extract"]

KNOWN_NETWORKS = 256


class Supernet(nn.Module):
    """All networks of a space: images [N, 3, H, W] and an architecture -> [N, num_classes] logits.

    The architecture is an argument of each call, and nothing of it stays behind.

    Attributes:
        space: whose networks these are.
        stem: of all of them.
        banks: by a place's name, a layer as large as any that stands there (supernet/banks.py).
        heads: by the stream that they meet, what stands behind the last stage.
    """

    def __init__(self, space: Space, *, norm_momentum: float = 0.1, generator: torch.Generator | None = None) -> None:
        """Fresh weights, drawn as `build_network` draws those of the largest layers.

        Args:
            norm_momentum, generator: as `build_network` takes them.

        Raises:
            ValueError: for a momentum out of its range.
        """
        super().__init__()
        self.space = space
        self._norm_momentum = norm_momentum
        options = BuildOptions(
            activation=space.activation,
            norm_eps=space.norm_eps,
            norm_momentum=norm_momentum,
            padding=space.padding,
            generator=generator,
        )
        stem, head = space.stem, space.head
        self.stem = ConvNormAct(3, stem.width, stem.kernel, options, stride=stem.stride)
        banks, streams = banks_of(space)
        self.banks = nn.ModuleDict({str(bank): BLOCKS[bank.op](layer, options, 0.0) for bank, layer in banks.items()})
        self.heads = nn.ModuleDict()
        for stream, width in streams.items():
            end: dict[str, nn.Module] = {"classifier": Classifier(head.width or width, head.num_classes, generator)}
            if head.width:
                end["head"] = ConvNormAct(width, head.width, 1, options)
            self.heads[str(stream)] = nn.ModuleDict(end)

    def forward(self, images: Tensor, arch: ArchSpec) -> Tensor:
        """The logits of one of the networks.

        Raises:
            ValueError: where the network is not in the space.
        """
        network = _hollow(arch, self._norm_momentum, get_ident()).train(self.training)
        logits: Tensor = functional_call(network, self.weights(arch), images)
        return logits

    def weights(self, arch: ArchSpec) -> dict[str, Tensor]:
        """What one of the networks computes with, by the names of `build_network(arch)`: views of the shared numbers.

        Raises:
            ValueError: where the network is not in the space.
        """
        network = _hollow(arch, self._norm_momentum, get_ident())
        found: dict[str, Tensor] = {}
        for name, source in self._sources(arch, network):
            tensors = dict(source.named_parameters()) | dict(source.named_buffers())
            for inner, wanted in network.get_submodule(name).state_dict().items():
                found[f"{name}.{inner}"] = part_of(tensors[inner], wanted.shape)
        return found

    def _sources(self, arch: ArchSpec, network: Network) -> Iterator[tuple[str, nn.Module]]:
        """Each layer of a network, by its name there, and what holds its numbers here."""
        places, stream = places_of(self.space, arch)
        yield "stem", self.stem
        layers = [name for name, _ in network.named_modules() if re.fullmatch(r"stages\.\d+\.\d+", name)]
        for name, place in zip(layers, places, strict=True):
            yield name, self.banks[str(place.bank)]
        yield from self.heads[str(stream)].named_children()


def part_of(large: Tensor, shape: torch.Size) -> Tensor:
    """A view of `large`: the leading entries of the first two dimensions (channels), the centre of the others (a
    kernel's rows and columns)."""
    starts = [
        (mine - wanted) // 2 if dim > 1 else 0
        for dim, (mine, wanted) in enumerate(zip(large.shape, shape, strict=True))
    ]
    return large[tuple(slice(start, start + wanted) for start, wanted in zip(starts, shape, strict=True))]


def extract(supernet: Supernet, arch: ArchSpec) -> Network:
    """One of the networks on its own: the same logits, weights of its own, on the same device and of the same dtype.

    Its batch norms have the supernet's running statistics, which are of all networks together: `recalibrate` before it
    is evaluated.

    Raises:
        ValueError: where the network is not in the space.
    """
    weights = {name: tensor.detach().clone() for name, tensor in supernet.weights(arch).items()}
    network = deepcopy(_hollow(arch, supernet._norm_momentum, get_ident()))
    network.load_state_dict(weights, assign=True)
    return network.train(supernet.training)


@lru_cache(KNOWN_NETWORKS)
def _hollow(arch: ArchSpec, norm_momentum: float, thread: int) -> Network:
    """The network without numbers: what is computed, not with what. Each thread has its own, since the numbers are in
    it while it computes."""
    with torch.device("meta"):
        return build_network(arch, norm_momentum=norm_momentum)

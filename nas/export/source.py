"""A trained network on its way into files, and what is made of it once for all forms."""

import json
from collections.abc import Callable
from functools import cached_property

import torch
import torchvision
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from nas.train.trained import TrainedModel
from search_space import architecture

__all__ = ["Logits", "Source"]

TORCHVISION = {f"efficientnetv2_{size}": f"efficientnet_v2_{size}" for size in "sml"}
"""The catalog's names of the networks that torchvision has, and its own."""

Logits = Callable[[Tensor], Tensor]


class Source:
    """A trained network that is to be written, and what is made of it once for all forms.

    Attributes:
        model: the trained model.
        network: its network, on the CPU.
        metadata: what goes into each file beside the weights, text by name: the architecture, the classes, mean and
            std of the pixels, the evaluation size. All but `format` is JSON.
    """

    def __init__(self, model: TrainedModel) -> None:
        self.model = model
        self.network = model.network
        data = model.data
        self.metadata = {
            "format": "pt",
            "arch": self.network.arch.to_json(),
            "classes": json.dumps(data.classes),
            "mean": json.dumps(data.normalisation.mean),
            "std": json.dumps(data.normalisation.std),
            "eval_size": json.dumps(data.eval_size),
        }

    @property
    def num_classes(self) -> int:
        return self.network.arch.head.num_classes

    def images(self, count: int) -> Tensor:
        """Random ones, as they go in: normalised, float32 (count, 3, S, S); always the same."""
        size = self.model.data.eval_size
        return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(count))

    @cached_property
    def program(self) -> ExportedProgram:
        """Of batches of any size."""
        with torch.no_grad():
            found = torch.export.export(self.network, (self.images(2),), dynamic_shapes=({0: Dim("batch", min=1)},))
        for node in found.graph.nodes:
            node.meta.pop("stack_trace", None)  # it names folders of this machine
        return found

    @cached_property
    def torchvision_name(self) -> str:
        """Of torchvision's network with the most similar number of parameters."""

        def distance(name: str) -> int:
            return abs(architecture(name).with_num_classes(self.num_classes).params - self.network.arch.params)

        return TORCHVISION[min(TORCHVISION, key=distance)]

    def torchvision_model(self) -> nn.Module:
        """Of `torchvision_name`, with the network's number of classes, on the meta device."""
        with torch.device("meta"):
            found: nn.Module = torchvision.models.get_model(self.torchvision_name, num_classes=self.num_classes)
        return found.eval()

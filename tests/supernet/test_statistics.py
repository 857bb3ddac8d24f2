"""Batch norm statistics taken anew: those that torch's own function finds, whatever happens on the way."""

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from search_space import Network
from supernet import Supernet, extract, recalibrate


def batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(number, 3, 16, 16, generator=generator) + number for number in (8, 4, 6)]


def norms_of(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.fixture
def network(tiny: Supernet) -> Network:
    return extract(tiny, tiny.space.reference)


def test_the_statistics_are_those_of_torchs_own_function(network: Network) -> None:
    wanted = deepcopy(network)
    update_bn(batches(), wanted)
    recalibrate(network, iter(batches()))
    torch.testing.assert_close(network.state_dict(), wanted.state_dict(), rtol=0, atol=0)
    assert {int(norm.num_batches_tracked) for norm in norms_of(network)} == {3}  # type: ignore[arg-type]
    assert {norm.momentum for norm in norms_of(network)} == {0.1}
    assert not any(module.training for module in network.modules())
    assert all(weight.grad is None for weight in network.parameters())


def test_the_first_norms_statistics_are_plain_means_over_batches(network: Network) -> None:
    recalibrate(network, batches())
    with torch.no_grad():
        moments = [torch.var_mean(network.stem.conv(images), (0, 2, 3)) for images in batches()]
    variances, means = (torch.stack(each).mean(0) for each in zip(*moments, strict=True))
    torch.testing.assert_close(network.stem.norm.running_mean, means)
    torch.testing.assert_close(network.stem.norm.running_var, variances)


def test_the_supernet_keeps_its_own(tiny: Supernet) -> None:
    before = deepcopy(tiny.state_dict())
    recalibrate(extract(tiny, tiny.space.reference), batches())
    torch.testing.assert_close(tiny.state_dict(), before, rtol=0, atol=0)


def test_without_batches_the_network_stays_as_it_was(network: Network) -> None:
    before, training = deepcopy(network.state_dict()), network.training
    with pytest.raises(ValueError, match=r"recalibrate needs at least 1 batch, got none"):
        recalibrate(network, iter(()))
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert network.training == training


def broken(error: Exception) -> Iterator[Tensor]:
    yield batches()[0]
    raise error


@pytest.mark.parametrize("first", [True, False])
def test_momentum_is_put_back_where_a_batch_cannot_be_had_or_computed(network: Network, first: bool) -> None:
    images = batches()[:1]
    wrong = [torch.zeros(2, 4, 16, 16)]
    with pytest.raises(RuntimeError, match="expected input"):
        recalibrate(network, wrong if first else images + wrong)
    with pytest.raises(OSError, match="gone"):
        recalibrate(network, broken(OSError("gone")))
    assert {norm.momentum for norm in norms_of(network)} == {0.1}
    assert not any(module.training for module in network.modules())
    wanted = deepcopy(network)
    update_bn(batches(), wanted)
    recalibrate(network, batches())
    torch.testing.assert_close(network.state_dict(), wanted.state_dict(), rtol=0, atol=0)

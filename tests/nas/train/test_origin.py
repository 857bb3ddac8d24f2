"""What the tables say of torchvision's and timm's networks is what these libraries say."""

import pytest
import timm
import torch
import torchvision

from nas.train.origin import IMAGENET, INCEPTION, Normalisation, adapted, normalisation
from search_space import ARCHITECTURES, architecture
from search_space.convert import from_timm, from_torchvision

TORCHVISION = {
    name: name.replace("efficientnetv2", "efficientnet_v2")
    for name in ARCHITECTURES
    if name.replace("efficientnetv2", "efficientnet_v2") in torchvision.models.list_models()
}
TIMM = {
    (origin, name): model
    for name in ARCHITECTURES
    for origin, model in (("timm", name.replace("mobilenet_v2", "mobilenetv2_100")), ("timm-tf", f"tf_{name}"))
    if timm.is_model(model)
}
DEEP = ("_m", "_l", "_xl", "_b4", "_b6", "_b7")
"""What takes long to build, and is as its neighbours are."""


def test_the_libraries_have_them() -> None:
    assert len(TORCHVISION) == 12
    assert len(TIMM) == 29


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions(name: str) -> None:
    arch = architecture(name)
    if not name.endswith(DEEP):
        with torch.device("meta"):
            model = torchvision.models.get_model(TORCHVISION[name])
            assert adapted(arch, "torchvision") == from_torchvision(model, arch).arch
    transforms = torchvision.models.get_model_weights(TORCHVISION[name]).DEFAULT.transforms()
    found = normalisation(arch.with_num_classes(7), "torchvision")
    assert found == Normalisation(mean=tuple(transforms.mean), std=tuple(transforms.std))


@pytest.mark.parametrize(("origin", "name"), TIMM)
def test_timms(origin: str, name: str) -> None:
    arch, model = architecture(name), TIMM[origin, name]
    if not name.endswith(DEEP):
        with torch.device("meta"):
            assert adapted(arch, origin) == from_timm(timm.create_model(model), arch).arch
    settings = timm.get_pretrained_cfg(model)
    assert normalisation(arch, origin) == Normalisation(mean=settings.mean, std=settings.std)


def test_ours_are_as_they_are() -> None:
    arch = architecture("efficientnet_b0")
    assert adapted(arch, "ours") == arch
    assert normalisation(arch, "ours") is None


def test_a_normalisation_is_read() -> None:
    assert Normalisation.parse("imagenet") == IMAGENET
    assert Normalisation.parse("inception") == Normalisation.parse("0.5:0.5") == INCEPTION
    assert Normalisation.parse("0.485,0.456,0.406:0.229,0.224,0.225") == IMAGENET
    assert Normalisation.parse(str(IMAGENET)) == IMAGENET
    for text in ("", "half", "0.5", "0.5,0.5:1", "nan:1", "-1:1", "0.5:0.5:0.5"):
        with pytest.raises(ValueError, match="must be imagenet, inception or MEAN:STD"):
            Normalisation.parse(text)
    with pytest.raises(ValueError, match="std must be above 0"):
        Normalisation.parse("0.5:0")

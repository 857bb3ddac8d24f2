"""The forms that a trained network is written in, and how each is read again.

Adding one is a row of `FORMS`.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nas.export.report import FormName, Unavailable
from nas.export.source import Logits, Source
from search_space import ArchSpec, build_network, to_torchvision

__all__ = ["FORMS", "Form"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """Args:
    file: its name in the folder.
    what: of it, for the card.
    write: the file's bytes; raises `Unavailable`.
    read: from the file to what gives logits (N, classes) of normalised images (N, 3, S, S).
    usage: lines that load the file and end with `logits`, of images with values from 0 to 1.
    """

    file: str
    what: str
    write: Callable[[Source], bytes]
    read: Callable[[Source, Path], Logits]
    usage: Callable[[Source], list[str]]


def _safetensors(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata=metadata)


def _read_weights(source: Source, path: Path) -> Logits:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        network = build_network(ArchSpec.from_json(file.metadata()["arch"])).eval()
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    return network


def _write_program(source: Source) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(source.program, buffer, extra_files={"metadata.json": json.dumps(source.metadata)})
    return buffer.getvalue()


def _write_onnx(source: Source) -> bytes:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise Unavailable(f"onnx needs the package {error.name}: pip install 'trainaware-nas[export]'") from None
    exported = torch.onnx.export(
        source.program,
        (source.images(2),),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: "batch"},),
        verbose=False,
    )
    assert exported is not None, "the exporter that takes programs returns one"
    exported.model.metadata_props.update(source.metadata)
    content: bytes = exported.model_proto.SerializeToString()
    return content


def _read_onnx(source: Source, path: Path) -> Logits:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def _write_torchvision(source: Source) -> bytes:
    try:
        tensors = to_torchvision(source.network, source.torchvision_model())
    except ValueError as error:
        raise Unavailable(f"the network is no {source.torchvision_name}, torchvision's nearest: {error}") from None
    return _safetensors(tensors, source.metadata)


def _read_torchvision(source: Source, path: Path) -> Logits:
    from safetensors.torch import load_file

    model = source.torchvision_model()
    model.load_state_dict(load_file(path), strict=True, assign=True)
    return model


def _usage(source: Source, *lines: str, array: bool = False) -> list[str]:
    """`lines`, which make `model`, and then what goes through it."""
    data = source.model.data
    both = [[round(value, 7) for value in values] for values in (data.normalisation.mean, data.normalisation.std)]
    size, note = data.eval_size, "RGB, values from 0 to 1"
    if array:
        return [
            *lines,
            f"mean, std = np.array({both}, np.float32).reshape(2, 1, 3, 1, 1)",
            f"images = np.random.rand(2, 3, {size}, {size}).astype(np.float32)  # {note}",
            'logits = model.run(None, {"images": (images - mean) / std})[0]',
        ]
    return [
        *lines,
        f"mean, std = torch.tensor({both}).view(2, 1, 3, 1, 1)",
        f"images = torch.rand(2, 3, {size}, {size})  # {note}",
        "logits = model((images - mean) / std)",
    ]


FORMS: dict[FormName, Form] = {
    "safetensors": Form(
        file="model.safetensors",
        what="weights, with the architecture as metadata",
        write=lambda source: _safetensors(source.network.state_dict(), source.metadata),
        read=_read_weights,
        usage=lambda source: _usage(
            source,
            "import torch",
            "from safetensors import safe_open",
            "from search_space import ArchSpec, build_network  # of trainaware-nas",
            'file = safe_open("model.safetensors", "pt")',
            'model = build_network(ArchSpec.from_json(file.metadata()["arch"])).eval()',
            "model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})",
        ),
    ),
    "torch-export": Form(
        file="model.pt2",
        what="a program that torch runs without any other code",
        write=_write_program,
        read=lambda source, path: torch.export.load(path).module(),
        usage=lambda source: _usage(source, "import torch", 'model = torch.export.load("model.pt2").module()'),
    ),
    "onnx": Form(
        file="model.onnx",
        what="a program for ONNX runtimes",
        write=_write_onnx,
        read=_read_onnx,
        usage=lambda source: _usage(
            source,
            "import numpy as np",
            "import onnxruntime",
            'model = onnxruntime.InferenceSession("model.onnx")',
            array=True,
        ),
    ),
    "torchvision": Form(
        file="torchvision.safetensors",
        what="weights by the names of torchvision's network",
        write=_write_torchvision,
        read=_read_torchvision,
        usage=lambda source: _usage(
            source,
            "import torch, torchvision",
            "from safetensors.torch import load_file",
            f"model = torchvision.models.{source.torchvision_name}(num_classes={source.num_classes}).eval()",
            'model.load_state_dict(load_file("torchvision.safetensors"))',
        ),
    ),
}
"""A form's name to how it is written and read."""

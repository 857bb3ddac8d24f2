"""What is exported computes the same elsewhere: in torch without this project, in ONNX Runtime, in torchvision; the
lines of a card do as they say; and what goes wrong leaves nothing behind."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torchvision.transforms.functional import normalize

from nas.export import Exported, FormName, Unavailable, WrongLogits, export
from nas.export import folder as folder_module
from nas.export.forms import FORMS
from nas.train.origin import Normalisation
from nas.train.trained import TrainedModel, read_trained
from results import RunError, RunWriteError
from scaling import SizeRamp
from search_space import ArchSpec, architecture, build_network

ROOT = Path(__file__).parents[3]
ROOMS = ("nas", "search_space", "supernet", "scaling", "results")
EVERYWHERE: tuple[FormName, ...] = ("safetensors", "torch-export", "onnx")


@pytest.fixture(scope="module")
def model(finished_run: Path) -> TrainedModel:
    return read_trained(finished_run)


@pytest.fixture(scope="module")
def exported(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """In all forms that any network can be had in."""
    torch.set_num_threads(1)
    return export(model, tmp_path_factory.mktemp("export") / "new", [*EVERYWHERE, "torchvision"], may_leave_out=True)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Of values from 0 to 1, as many as no batch was that was exported with."""
    return torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def logits(model: TrainedModel, images: Tensor) -> Tensor:
    normalisation = model.data.normalisation
    with torch.inference_mode():
        found: Tensor = model.network(normalize(images, normalisation.mean, normalisation.std))
    assert found.std(0).max() > 0.05 * found.abs().max(), "the images do not show in the logits"
    return found


def normalised(images: Tensor, metadata: dict[str, str]) -> Tensor:
    """As a file's own metadata say."""
    return normalize(images, json.loads(metadata["mean"]), json.loads(metadata["std"]))


def check(metadata: dict[str, str]) -> None:
    assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]
    assert metadata["eval_size"] == "8"


def test_the_program_is_torchs(exported: Exported, images: Tensor, logits: Tensor) -> None:
    path = exported.folder / "model.pt2"
    extra = {"metadata.json": ""}
    program = torch.export.load(path, extra_files=extra)
    metadata = json.loads(extra["metadata.json"])
    check(metadata)
    module = program.module()
    for count in (1, 5):
        torch.testing.assert_close(module(normalised(images[:count], metadata)), logits[:count])
    assert zipfile.is_zipfile(path)


def test_onnx_runtime_finds_the_same_logits(exported: Exported, images: Tensor, logits: Tensor) -> None:
    path = exported.folder / "model.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, 8, 8]
    assert session.get_outputs()[0].shape == ["batch", 10]
    metadata = session.get_modelmeta().custom_metadata_map
    check(metadata)
    for count in (1, 5):
        (found,) = session.run(None, {"images": normalised(images[:count], metadata).numpy()})
        torch.testing.assert_close(torch.from_numpy(found), logits[:count], rtol=1e-4, atol=1e-5)


def test_the_weights_are_the_trainings(exported: Exported, model: TrainedModel) -> None:
    path = exported.folder / "model.safetensors"
    ours = load_file(model.folder / "model.safetensors")
    found = load_file(path)
    assert found.keys() == ours.keys()
    assert all(torch.equal(found[name], ours[name]) for name in ours)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    check(metadata)
    assert ArchSpec.from_json(metadata["arch"]) == model.network.arch


def test_the_folder_is_whole_and_tells_nothing_of_this_machine(exported: Exported) -> None:
    names = {path.name for path in exported.folder.iterdir()}
    assert names == {"README.md", "model.safetensors", "model.pt2", "model.onnx"}
    assert [path.name for path in exported.folder.parent.iterdir()] == ["new"]
    for each in exported.files:
        content = (exported.folder / each.file).read_bytes()
        assert len(content) == each.num_bytes
        assert str(ROOT).encode() not in content
        assert each.difference < 1e-5
    assert str(Path.home()) not in (exported.folder / "README.md").read_text()
    assert "the network is no efficientnet_v2_" in exported.left_out["torchvision"]


# The card


def code_of(card: Path) -> dict[str, str]:
    """The lines that load a file, by its name."""
    return dict(re.findall(r"`([^`\n]+)`:\n\n```python\n(.*?)```", card.read_text(), re.DOTALL))


def run_card(folder: Path, files: list[str], *, with_rooms: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """What a card's lines make of each file in a process of its own: their images and logits."""
    code = code_of(folder / "README.md")
    script = [
        "import sys",
        "import numpy",
        *([] if with_rooms else [f"sys.modules.update(dict.fromkeys({ROOMS!r}))"]),
        f"for number, code in enumerate({[code[file] for file in files]!r}):",
        "    names = {}",
        "    exec(code, names)",
        "    made = [numpy.asarray(getattr(names[name], 'detach', lambda: names[name])()) for name in NAMES]",
        "    numpy.savez(f'{sys.argv[1]}/{number}.npz', *made)",
    ]
    out = folder.parent / "ran"
    out.mkdir()
    source = "\n".join(script).replace("NAMES", "('images', 'logits')")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", source, str(out)]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=250)
    for number in range(len(files)):
        with np.load(out / f"{number}.npz") as found:
            yield torch.from_numpy(found["arr_0"]), torch.from_numpy(found["arr_1"])
    shutil.rmtree(out)


def assert_right(model: TrainedModel, images: Tensor, logits: Tensor) -> None:
    normalisation = model.data.normalisation
    with torch.inference_mode():
        expected = model.network(normalize(images, normalisation.mean, normalisation.std))
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_the_cards_lines_run_without_this_project(exported: Exported, model: TrainedModel) -> None:
    for images, logits in run_card(exported.folder, ["model.pt2", "model.onnx"], with_rooms=False):
        assert images.shape == (2, 3, 8, 8)
        assert_right(model, images, logits)


def test_the_cards_lines_for_the_weights_run(exported: Exported, model: TrainedModel) -> None:
    code = code_of(exported.folder / "README.md")["model.safetensors"]
    names: dict[str, Tensor] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(exported.folder)
        exec(code, names)
    assert_right(model, names["images"], names["logits"].detach())


def test_the_card_tells_what_it_is(exported: Exported, model: TrainedModel) -> None:
    card = (exported.folder / "README.md").read_text()
    assert card.startswith("---\nlicense: unknown\n")
    assert model.result is not None
    arch = model.network.arch
    for text in (
        f"{100 * model.result.ema_accuracy:.2f} % top-1 on the test images of digits (95 % interval",
        "n = 359 images at 8x8",
        f"{arch.params:,} parameters, {arch.macs(8):,} multiply-adds at 8x8",
        "| 1 | mbconv | 3 | 2 | 16 | 1 | 2 | 0.25 | 4x4 |",
        "| images | 1,293 train, 145 holdout, 359 test |",
        "| optimizer | sgd |",
        "| steps | 60 |",
        *(each.sha256 for each in exported.files),
    ):
        assert text in card, text
    rates = [json.loads(line)["images_per_s"] for line in (model.folder / "metrics.jsonl").read_text().splitlines()]
    batch_size = model.config.job.recipe.batch_size
    ms = 1000 * median(batch_size / rate for rate in rates)
    assert f"| step of {batch_size} images of 8x8 | {ms:,.1f} ms with its data, n = {len(rates)} evaluations |" in card


def test_names_from_a_file_cannot_mark_up_the_card(model: TrainedModel, tmp_path: Path) -> None:
    hostile = "a\n# b | ```\x1b[2J"
    data = replace(model.data, classes=(hostile, *model.data.classes[1:]))
    export(replace(model, data=data), tmp_path / "new", ["safetensors"])
    card = (tmp_path / "new/README.md").read_text()
    assert "    a # b | ```?[2J\n" in card


# What goes wrong


def spoiled(model: TrainedModel) -> TrainedModel:
    network = build_network(model.network.arch, generator=torch.Generator().manual_seed(1)).eval()
    return replace(model, network=network)


def test_a_file_that_computes_something_else_is_no_export(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = FORMS["safetensors"]
    others = folder_module.Source(spoiled(model))
    monkeypatch.setitem(FORMS, "safetensors", replace(plain, write=lambda source: plain.write(others)))
    with pytest.raises(WrongLogits, match=r"safetensors: its logits must be within 0.001 of the network's.*, got"):
        export(model, tmp_path / "new", ["safetensors"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_nothing(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "replace") if call == "replace" else (os, call)), full)
        with pytest.raises(RunWriteError, match="No space left on device"):
            export(model, tmp_path / "new", ["safetensors"])
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed(model: TrainedModel, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    for name in (f".new.{process.pid}.tmp", f".new.{os.getppid()}.tmp", f".newer.{process.pid}.tmp"):
        (tmp_path / name).mkdir()
    export(model, tmp_path / "new", ["safetensors"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "new",
        f".new.{os.getppid()}.tmp",  # of a process that lives
        f".newer.{process.pid}.tmp",
    }


def test_what_is_there_stays(model: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    export(model, tmp_path / "old", ["safetensors"])
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("mine")
    for name in ("old", "link", "file"):
        with pytest.raises(RunError, match=rf"{name}: must be a new or an empty folder: choose another with --out"):
            export(model, tmp_path / name, ["safetensors"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before
    assert (tmp_path / "file").read_text() == "mine"


def test_a_form_that_cannot_be_had_is_named(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        Unavailable, match=r"no efficientnet_v2_s, torchvision's nearest: the stem: out_channels of .* 8"
    ):
        export(model, tmp_path / "new", ["torchvision"])
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(Unavailable, match=r"needs the package onnxscript: pip install 'trainaware-nas\[export\]'"):
        export(model, tmp_path / "new", ["onnx"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_torchvisions_own_network_computes_the_same(model: TrainedModel, tmp_path: Path) -> None:
    network = build_network(
        architecture("efficientnetv2_s").with_num_classes(10), generator=torch.Generator().manual_seed(0)
    )
    job = model.config.job
    recipe = replace(job.recipe, train_size=SizeRamp(32, 32), eval_size=32)
    job = replace(job, arch=network.arch, recipe=recipe, data=replace(job.data, image_size=32))
    normalisation = Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    large = replace(
        model,
        network=network.eval(),
        config=replace(model.config, job=job),
        data=replace(model.data, eval_size=32, normalisation=normalisation),
    )
    export(large, tmp_path / "new", ["torchvision"])
    theirs = torchvision.models.efficientnet_v2_s(num_classes=10).eval()
    theirs.load_state_dict(load_file(tmp_path / "new/torchvision.safetensors"), strict=True)
    ((images, logits),) = run_card(tmp_path / "new", ["torchvision.safetensors"], with_rooms=False)
    assert_right(large, images, logits)
    with torch.inference_mode():
        own = theirs(normalize(images, normalisation.mean, normalisation.std))
    torch.testing.assert_close(own, logits)

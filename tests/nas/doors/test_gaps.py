"""A record that was damaged in the middle is told of, and nothing behind the damage is cut away."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nas.search.run import check_asks
from nas.train.folder import METRICS, TrainFolder
from nas.train.job import RESULT, read_config, read_result
from nas.train.trained import read_trained
from results import Run, RunError
from search_space import ArchSpec, Space
from tests.nas.doors.readers import make_search


def test_a_training_does_not_go_on_over_damaged_metrics(finished_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished_run, tmp_path / "a"))
    config = read_config(folder)
    first, *rest = (folder / METRICS).read_bytes().splitlines(keepends=True)
    assert rest
    for line, said in ((b'{"step": 2', "no valid JSON"), (b'{"step": "2"}', "step must be an integer, got '2'")):
        damaged = b"".join([first, line + b"\n", *rest])
        (folder / METRICS).write_bytes(damaged)
        with (
            TrainFolder(folder, config.job, config.data) as place,
            pytest.raises(RunError, match=rf"metrics\.jsonl: line 2 is damaged: {said}"),
        ):
            place.open_metrics(60)
        assert (folder / METRICS).read_bytes() == damaged


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("accuracy", float("nan"), "NaN is no number"),
        ("ema_accuracy", 1.5, r"TrainResult\.ema_accuracy must be a number from 0 to 1, got 1\.5"),
        ("steps", -1, r"TrainResult\.steps must be an integer from 0"),
    ],
)
def test_a_result_that_cannot_be_is_refused(
    finished_run: Path, tmp_path: Path, field: str, value: Any, said: str
) -> None:
    record = json.loads((finished_run / RESULT).read_text())
    (tmp_path / RESULT).write_text(json.dumps({**record, field: value}))
    with pytest.raises(RunError, match=rf"result\.json: .*{said}"):
        read_result(tmp_path)


def test_a_models_network_is_its_configs(finished_run: Path, tmp_path: Path, other_arch: ArchSpec) -> None:
    folder = Path(shutil.copytree(finished_run, tmp_path / "a"))
    (folder / "arch.json").write_text(other_arch.to_json())
    with pytest.raises(RunError, match=r"arch\.json: must be the network that config\.json beside it has"):
        read_trained(folder)


def test_a_search_does_not_go_on_without_its_asks(tmp_path: Path, small_space: Space) -> None:
    make_search(tmp_path / "run", small_space)
    check_asks(Run(tmp_path / "run"))
    (tmp_path / "run/asks.jsonl").write_bytes(b"")
    with pytest.raises(RunError, match=r"asks\.jsonl: the record of proposals is missing or damaged.* trial 0"):
        check_asks(Run(tmp_path / "run"))

"""Calibrations on disk: found under what they were made under, and under nothing else."""

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.device import Compute
from nas.measure import Calibration, PartTime, calibration
from nas.measure.calibration import load_calibration, save_calibration
from results.durable import RunWriteError
from search_space import Space


@pytest.fixture
def made(small_space: Space, calibration_of: Any) -> Calibration:
    found: Calibration = calibration_of(small_space)
    return found


def load(like: Calibration) -> Calibration | None:
    return load_calibration(like.conditions, like.versions, like.reference)


def test_what_was_kept_is_found(made: Calibration, cache: Path) -> None:
    assert load(made) is None
    assert save_calibration(made).is_relative_to(cache)
    assert load(made) == made
    newer = replace(made, seconds=3.0)
    save_calibration(newer)
    assert load(made) == newer


@pytest.mark.parametrize(
    "change",
    [
        {"device": "another chip"},
        {"batch_size": 8},
        {"image_size": 16},
        {"optimizer": "adamw"},
        {"drop_path": 0.1},
        *({"compute": Compute(**how)} for how in ({"threads": 2}, {"dtype": "bfloat16"}, {"channels_last": False})),
    ],
    ids=str,
)
def test_it_is_not_found_under_other_conditions(change: dict[str, Any], made: Calibration) -> None:
    save_calibration(made)
    assert load(replace(made, conditions=replace(made.conditions, **change))) is None


def test_it_is_not_found_for_another_version_or_reference(made: Calibration) -> None:
    save_calibration(made)
    assert load(replace(made, versions={"torch": "2.14.2"})) is None
    assert load(replace(made, versions=made.versions | {"instructions": "AVX512"})) is None
    assert load(replace(made, reference=made.reference.with_num_classes(11))) is None


def test_it_is_found_for_the_same_reference_in_other_words(made: Calibration) -> None:
    save_calibration(made)
    assert load(replace(made, reference=made.reference.canonical())) is not None


DAMAGE: dict[str, Callable[[str], bytes]] = {
    "empty": lambda text: b"",
    "cut short": lambda text: text[: len(text) // 2].encode(),
    "no text": lambda text: b"\xff\xfe" + text.encode(),
    "a list": lambda text: b"[]",
    "deep": lambda text: b"[" * 100_000,
    "unknown field": lambda text: json.dumps(json.loads(text) | {"more": 1}).encode(),
    "missing field": lambda text: json.dumps({"parts": json.loads(text)["parts"]}).encode(),
    "no number": lambda text: text.replace("0.01", "NaN").encode(),
    "no time": lambda text: text.replace("0.01", "0.0").encode(),
    "a number as text": lambda text: text.replace("0.01", '"0.01"').encode(),
    "of another device": lambda text: text.replace("a chip", "another chip").encode(),
    "of another version": lambda text: text.replace("2.14.1", "2.14.2").encode(),
    "of another reference": lambda text: text.replace('"num_classes": 10', '"num_classes": 11').encode(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_counts_as_none_and_is_replaced(damage: str, made: Calibration) -> None:
    path = save_calibration(made)
    whole = path.read_text(encoding="utf-8")
    path.write_bytes(DAMAGE[damage](whole))
    assert path.read_bytes() != whole.encode()
    assert load(made) is None
    save_calibration(made)
    assert load(made) == made


def test_a_file_that_is_too_large_counts_as_none(made: Calibration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MAX_BYTES", save_calibration(made).stat().st_size - 1)
    assert load(made) is None


@pytest.mark.parametrize("kind", ["link", "folder", "link to nothing"])
def test_what_is_no_file_counts_as_none(kind: str, made: Calibration, tmp_path: Path) -> None:
    path = save_calibration(made)
    elsewhere = path.rename(tmp_path / "elsewhere.json")
    match kind:
        case "link":
            path.symlink_to(elsewhere)
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(tmp_path / "nothing")
    assert load(made) is None


def test_a_link_is_replaced_and_not_followed(made: Calibration, tmp_path: Path) -> None:
    path = save_calibration(made)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text("mine")
    path.unlink()
    path.symlink_to(elsewhere)
    save_calibration(made)
    assert load(made) == made
    assert elsewhere.read_text() == "mine"


def test_many_may_keep_theirs_at_once(made: Calibration) -> None:
    versions = [replace(made, seconds=float(number)) for number in range(1, 17)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save_calibration, versions))
    assert load(made) in versions


def test_a_cache_that_cannot_be_written_is_an_error(made: Calibration) -> None:
    path = save_calibration(made)
    path.unlink()
    path.mkdir()
    with pytest.raises(RunWriteError, match="could not be written"):
        save_calibration(made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": 0.0}, "PartTime.ratio must be above 0 and below 1e6, got 0.0"),
        ({"ratio": math.nan}, "PartTime.ratio must be above 0 and below 1e6, got nan"),
        ({"ratio": math.inf}, "PartTime.ratio must be above 0 and below 1e6, got inf"),
        ({"num_rounds": 0}, "PartTime.num_rounds must be at least 1, got 0"),
    ],
)
def test_a_part_time_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        PartTime(**({"ratio": 0.1, "num_rounds": 9} | change))


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_reference_without_a_time_is_refused(seconds: float, made: Calibration) -> None:
    with pytest.raises(ValueError, match=f"^Calibration.reference_s must be above 0 and below 1e6, got {seconds}$"):
        replace(made, reference_s=seconds)

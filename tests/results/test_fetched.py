"""A mirrored run is fetched: by several at once, and after one that was killed."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from results import Run, RunError, RunWriter, TrialResult
from results.fetched import fetch, fetch_to_cache
from results.lock import lock_folder, unlock_folder
from results.objects import ObjectStore
from tests.results.mirrored import add, writing

MakeTrial = Callable[..., TrialResult]


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))


def test_of_two_fetches_into_one_folder_the_slower_is_told(
    here: Path, trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, there = f"file://{tmp_path}/store/run", tmp_path / "there/run"
    with writing(here, url, []) as writer:
        add(writer, trial(0))

    def meanwhile(store: ObjectStore, folder: Path) -> None:
        there.mkdir()
        (there / "config.json").touch()

    monkeypatch.setattr("results.fetched._fetch_whole", meanwhile)
    with pytest.raises(RunError, match=f"{there}: is there already: go on with --resume {there}"):
        fetch(url, there)


def test_what_a_killed_fetch_left_goes(here: Path, trial: MakeTrial, tmp_path: Path) -> None:
    url, there = f"file://{tmp_path}/store/run", tmp_path / "there"
    with writing(here, url, []) as writer:
        add(writer, trial(0))
    left, runs, new = (there / f".fetched-{name}" for name in ("left", "runs", "new"))
    for folder in (left, runs, new):
        (folder / "checkpoints").mkdir(parents=True)
        if folder is not new:
            os.utime(folder, (0, 0))
    lock = lock_folder(runs)
    os.utime(runs, (0, 0))
    fetch(url, there / "run")
    unlock_folder(runs, lock)
    assert [folder.exists() for folder in (left, runs, new)] == [False, True, True]
    RunWriter.resume(there / "run").close()


def test_several_may_fetch_one_run_at_once(here: Path, trial: MakeTrial, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store/run"
    with writing(here, url, []) as writer:
        add(writer, trial(0))
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: fetch_to_cache(url), range(64)))
    (folder,) = folders
    assert len(Run(folder).trials) == 1
    assert not list(folder.parent.glob(".fetched-*"))

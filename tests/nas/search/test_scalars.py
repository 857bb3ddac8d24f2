"""What TensorBoard's own reader finds in a search's folder is the record, also after a crash and on a bad disk."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nas.search.scalars import SearchScalars
from results import TrialStatus
from tests.nas.search.sessions import Begin, MakeFinished


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_each_trial_is_told_once_over_two_sessions(session: Begin, finished: MakeFinished) -> None:
    def told(index: int, seconds: float) -> Any:
        status = TrialStatus.FAILED if index == 1 else TrialStatus.OK
        return finished(status, seconds=seconds, correct=(50, 0, 70, 60, 40, 90)[index])

    first = session(budget="6")
    scalars = SearchScalars(first.writer, now_s=first.clock, note=pytest.fail)
    first.start_all()
    for _ in range(3):
        first.end_next(told)
        scalars.update()
        first.start_all()
    # The record has one more than was told of when the process died.
    first.end_next(told)
    scalars.close()
    second = session(budget="6")
    scalars = SearchScalars(second.writer, now_s=second.clock, note=pytest.fail)
    second.start_all()
    while second.loop.num_running:
        second.end_next(told)
        scalars.update()
        second.start_all()
    scalars.close()
    found, trials = read(second.writer.folder), second.writer.trials
    assert len(trials) == 6
    rewards = {number: second.loop.objective.reward(trial) for number, trial in enumerate(trials, 1) if trial.ok}
    assert found["trial/reward"] == [(number, pytest.approx(reward)) for number, reward in rewards.items()]
    assert found["trial/params"] == [(number, trial.params) for number, trial in enumerate(trials, 1)]
    assert [step for step, _ in found["trial/accuracy"]] == [1, 3, 4, 5, 6]
    assert [value for _, value in found["search/num_failed"]] == [0, 1, 1, 1, 1, 1]
    best = [max(reward for at, reward in rewards.items() if at <= number) for number in range(1, 7)]
    assert found["best_reward/a chip"] == [(number, pytest.approx(reward)) for number, reward in enumerate(best, 1)]


def test_what_is_trained_anew_has_tags_of_its_own(session: Begin, finished: MakeFinished) -> None:
    begun = session(budget="8", confirm_share=0.5, repeat=2)
    begun.run(lambda index, seconds: finished(seconds=seconds, correct=50 if index < 4 else 99))
    scalars = SearchScalars(begun.writer, now_s=begun.clock, note=pytest.fail)
    scalars.update()
    scalars.close()
    found = read(begun.writer.folder)
    assert len(found["confirmation/accuracy"]) == len(begun.repeated) > 0
    assert len(found["trial/accuracy"]) == len(begun.searched)
    assert max(value for _, value in found["best_reward/a chip"]) == max(value for _, value in found["trial/reward"])


@pytest.mark.parametrize("fault", ["link", "file"])
def test_a_folder_that_cannot_be_written_is_told_once_and_the_search_goes_on(
    session: Begin, finished: MakeFinished, tmp_path: Path, fault: str
) -> None:
    begun = session(budget="3")
    notes: list[str] = []
    place = begun.writer.folder / "tensorboard"
    (tmp_path / "elsewhere").mkdir()
    if fault == "link":
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.write_text("")
    scalars = SearchScalars(begun.writer, now_s=begun.clock, note=notes.append)
    begun.start_all()
    while begun.loop.num_running:
        begun.end_next(lambda index, seconds: finished(seconds=seconds))
        scalars.update()
        begun.start_all()
    scalars.close()
    (note,) = notes
    assert note.startswith("tensorboard failed and is told nothing more: ")
    assert ("is a symbolic link" in note) == (fault == "link")
    assert not list((tmp_path / "elsewhere").iterdir())
    assert len(begun.writer.trials) == 3


# tensorboardX's close flushes first, and leaves the file open where that fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_told_once(session: Begin, finished: MakeFinished) -> None:
    begun = session(budget="2")
    notes: list[str] = []
    scalars = SearchScalars(begun.writer, now_s=begun.clock, note=notes.append)
    begun.run(lambda index, seconds: finished(seconds=seconds))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        scalars.update()
        scalars.update()
        scalars.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert notes == ["tensorboard failed and is told nothing more: OSError: [Errno 27] File too large"]


def test_a_driver_that_has_no_torch_stays_without(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from nas.events import EventFile; file = EventFile(pathlib.Path('.'))\n"
        "file.write(1, {'a': 2.0}); file.close(); print('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "False\n"), ended.stderr
    assert read(tmp_path) == {"a": [(1, 2.0)]}

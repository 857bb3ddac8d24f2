"""The note of a run's clock: what it says counts, and what is wrong with it never matters."""

from collections.abc import Callable
from pathlib import Path

import pytest

from results import RunWriter, TrialResult

MakeTrial = Callable[..., TrialResult]
NewRun = Callable[..., Path]


def test_the_clock_stands_at_its_note_or_where_the_last_trial_ended(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0), trial(1))
    with RunWriter.resume(folder) as writer:
        assert writer.elapsed_s == trial(1).ended_s == 5.5, "a run without a note"
        writer.note_elapsed(4.0)
        assert writer.elapsed_s == 5.5
        writer.note_elapsed(60.25)
    with RunWriter.resume(folder) as writer:
        assert writer.elapsed_s == 60.25
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "trials.jsonl", "asks.jsonl", "clock.json", ".lock",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"7", b'{"elapsed_s": null}', b'{"elapsed_s": -1}', b'{"elapsed_s": NaN}'),
        *(
            b'{"elapsed_s": "x"}',
            b'{"elapsed_s": 1e999}',
            b'{"elapsed_s": 1e308}',
            b'{"elapsed_s": 1%s}' % (b"0" * 400),
            b'{"other": 9}',
        ),
        *(b"\xff", b" " * 5000),
    ],
)
def test_a_note_that_is_none_counts_as_none(new_run: NewRun, trial: MakeTrial, content: bytes) -> None:
    folder = new_run(trial(0))
    (folder / "clock.json").write_bytes(content)
    with RunWriter.resume(folder) as writer:
        assert writer.elapsed_s == trial(0).ended_s


def test_a_note_that_cannot_be_written_fails_nothing(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    folder = new_run(trial(0))
    (folder / "clock.json").symlink_to(tmp_path / "elsewhere.json")
    (tmp_path / "elsewhere.json").write_text('{"elapsed_s": 99}')
    with RunWriter.resume(folder) as writer:
        assert writer.elapsed_s == 2.5, "no link is followed"
        (folder / ".clock.json.tmp").mkdir()
        writer.note_elapsed(7.0)
        assert writer.elapsed_s == 2.5
        (folder / ".clock.json.tmp").rmdir()
        writer.note_elapsed(7.0)
        assert writer.elapsed_s == 7.0
    assert (tmp_path / "elsewhere.json").read_text() == '{"elapsed_s": 99}'

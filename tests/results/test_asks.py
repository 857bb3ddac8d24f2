"""What a sampler was asked for: its file reads back, what is damaged is named, and the order is the one it had."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import Ask, Objective, Run, RunError, RunWriter, TrialResult, in_order
from tests.results.conftest import make_trial

NewRun = Callable[..., Path]


@given(st.integers(0, 10_000_000), st.lists(st.integers(0, 99), max_size=40), st.integers(0, 10_000_000))
def test_an_ask_reads_back(index: int, decisions: list[int], after: int) -> None:
    ask = Ask(index=index, decisions=tuple(decisions), after=after)
    assert Ask.from_json(ask.to_json()) == ask
    assert "\n" not in ask.to_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"index":-1,"decisions":[],"after":0}', r"Ask\.index must be an integer from 0 to 10000000, got -1"),
        ('{"index":0,"decisions":[0,-2],"after":0}', r"Ask\.decisions must be an integer from 0 to 10000000, got -2"),
        (
            '{"index":0,"decisions":[],"after":99999999}',
            r"Ask\.after must be an integer from 0 to 10000000, got 99999999",
        ),
        ('{"index":0,"decisions":[true],"after":0}', "decisions"),
        ('{"index":0,"decisions":["1"],"after":0}', "decisions"),
        ('{"index":0.5,"decisions":[],"after":0}', "index"),
        ('{"index":0,"decisions":[]}', "after"),
        ('{"index":0,"decisions":[],"after":0,"more":1}', "more"),
        ("null", "should be an object"),
        ("[" * 100_000, "no valid JSON"),
    ],
)
def test_what_is_no_ask_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Ask.from_json(text)


def ask(index: int, after: int) -> Ask:
    return Ask(index=index, decisions=(index,), after=after)


def order(asks: list[Ask], trials: list[TrialResult]) -> list[str]:
    return [("?" if isinstance(event, Ask) else "=") + str(event.index) for event in in_order(asks, trials)]


def test_asks_and_trials_are_in_the_order_in_which_they_were() -> None:
    first, second, third = (make_trial(index) for index in range(3))
    assert order([], []) == []
    assert order([ask(0, 0), ask(1, 1)], [first, second]) == ["?0", "=0", "?1", "=1"]
    assert order([ask(0, 0), ask(1, 0), ask(2, 1)], [second, first]) == ["?0", "?1", "=1", "?2", "=0"]
    assert order([ask(0, 0), ask(1, 0), ask(2, 1)], [first]) == ["?0", "?1", "=0", "?2"], "two are in flight"
    assert order([], [first, second]) == ["=0", "=1"], "of an older version"
    assert order([ask(2, 2), ask(3, 2)], [first, second, third]) == ["=0", "=1", "?2", "?3", "=2"]
    assert order([ask(0, 5)], [first]) == ["=0", "?0"], "its trials were lost"


@given(st.data())
def test_any_order_is_told_as_it_was(data: st.DataObject) -> None:
    happened: list[str] = []
    running: list[int] = []
    asks: list[Ask] = []
    trials: list[TrialResult] = []
    for _ in range(data.draw(st.integers(0, 12))):
        if running and data.draw(st.booleans()):
            index = running.pop(data.draw(st.integers(0, len(running) - 1)))
            trials.append(make_trial(index))
            happened.append(f"={index}")
        else:
            asks.append(ask(len(asks), len(trials)))
            running.append(asks[-1].index)
            happened.append(f"?{asks[-1].index}")
    assert order(asks, trials) == happened


@pytest.fixture
def asked(tmp_path: Path, objective: Objective) -> Path:
    """A run of which three trials were asked for, and two ended."""
    folder = tmp_path / "run"
    with RunWriter.create(folder, config={}, objective=objective) as writer:
        writer.ask(0, (0, 1))
        writer.ask(1, (2, 3))
        writer.append(make_trial(1))
        writer.ask(2, (4, 5))
        writer.append(make_trial(0))
    return folder


def test_asks_are_on_the_disk_with_what_was_known_then(asked: Path) -> None:
    run = Run(asked)
    assert [(each.index, each.decisions, each.after) for each in run.asks_file.records] == [
        (0, (0, 1), 0),
        (1, (2, 3), 0),
        (2, (4, 5), 1),
    ]
    history = [("?" if isinstance(event, Ask) else "=") + str(event.index) for event in run.history]
    assert history == ["?0", "?1", "=1", "?2", "=0"]
    with RunWriter.resume(asked) as writer:
        assert list(writer.history) == list(run.history)
        assert writer.asks == list(run.asks_file.records)
        assert writer.next_index == 3, "what is in flight has its number"
        writer.ask(3, (6, 7))
        assert Run(asked).asks_file.records[-1] == Ask(index=3, decisions=(6, 7), after=2)


def test_a_last_line_that_is_torn_is_left_out_and_cut_on_resume(asked: Path) -> None:
    path = asked / "asks.jsonl"
    whole = path.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[:-10])
    run = Run(asked)
    assert [each.index for each in run.asks_file.records] == [0, 1]
    assert run.notes == (f"{path}, line 3: cut off after {len(whole) - 10 - start} bytes, left out",)
    with RunWriter.resume(asked) as writer:
        assert writer.notes == run.notes
        assert path.read_bytes() == whole[:start]
        writer.ask(2, (4, 5))
    assert [each.decisions for each in Run(asked).asks_file.records] == [(0, 1), (2, 3), (4, 5)]


def test_a_last_line_that_lacks_only_its_newline_counts(asked: Path) -> None:
    path = asked / "asks.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    with RunWriter.resume(asked) as writer:
        writer.ask(3, (6, 7))
    assert [each.index for each in Run(asked).asks_file.records] == [0, 1, 2, 3]


@pytest.mark.parametrize("damage", [b"{", b"null", b"\xff", b'{"index":1,"decisions":[1]}'])
def test_damage_in_the_middle_names_its_line(asked: Path, damage: bytes) -> None:
    path = asked / "asks.jsonl"
    found = path.read_bytes().split(b"\n")
    found[1] = damage
    path.write_bytes(b"\n".join(found))
    for read in (Run, RunWriter.resume):
        with pytest.raises(RunError, match=r"asks\.jsonl, line 2 is damaged: "):
            read(asked)
    assert path.read_bytes() == b"\n".join(found)


def test_two_asks_for_one_trial_are_refused(asked: Path) -> None:
    with (asked / "asks.jsonl").open("a") as file:
        file.write(replace(ask(1, 2), decisions=(9,)).to_json() + "\n")
    with pytest.raises(RunError, match=r"asks\.jsonl: a trial was asked for twice"):
        Run(asked)


def test_a_run_of_an_older_version_has_none(new_run: NewRun) -> None:
    folder = new_run(make_trial(0), make_trial(4))
    (folder / "asks.jsonl").unlink()
    run = Run(folder)
    assert (run.asks_file.records, run.notes) == ((), ())
    with RunWriter.resume(folder) as writer:
        assert (writer.asks, writer.next_index) == ([], 5)
        writer.ask(5, (1,))
    assert [event.index for event in Run(folder).history] == [0, 4, 5]


def test_a_link_in_the_place_of_the_file_is_not_followed(asked: Path, tmp_path: Path) -> None:
    path, elsewhere = asked / "asks.jsonl", tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    for read in (Run, RunWriter.resume):
        with pytest.raises(RunError, match="is a symbolic link"):
            read(asked)

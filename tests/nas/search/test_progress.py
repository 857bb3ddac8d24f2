"""What a search says: plain lines into a file, a live line on a terminal, and nothing that a terminal obeys."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nas.search import Progress
from nas.search.budget import Budget, BudgetKeeper
from nas.search.confirm import Confirming
from nas.search.forecast import Forecast
from nas.search.loop import Finished, SearchLoop
from nas.search.proposals import space_domain
from nas.search.samplers import Goal, RandomSampler
from results import Limits, Objective, RunWriter, TrialStatus
from search_space import Space

MakeFinished = Callable[..., Finished]


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Run:
    """A run whose trials are told to a `Progress`; `text` is what it said."""

    def __init__(
        self, folder: Path, space: Space, finished: MakeFinished, *, terminal: bool, confirm_share: float = 0.0
    ) -> None:
        self.file = io.StringIO()
        self.progress = Progress(
            Console(file=self.file, force_terminal=terminal, width=200, highlight=False, _environ={"TERM": "xterm"})
        )
        self.clock = Clock()
        self._finished = finished
        objective = Objective(reference_params=space.reference.params)
        limits = Limits(min_accuracy=0.1)
        self.writer = RunWriter.create(folder, config={}, objective=objective, limits=limits)
        domain = space_domain(space, 8, lambda archs: [None] * len(archs))
        self.loop = SearchLoop(
            sampler=RandomSampler(domain, goal=Goal(objective=objective, limits=limits), seed=0),
            space=space,
            keeper=BudgetKeeper(Budget.parse("60s")),
            writer=self.writer,
            objective=objective,
            image_size=8,
            seed=0,
            max_running=4,
            devices=1,
            now_s=self.clock,
            on_finished=lambda result: self.progress.finished(self.loop, result),
            forecast=Forecast(),
            confirming=Confirming(share=confirm_share),
        )

    def trial(self, status: TrialStatus = TrialStatus.OK, reason: str | None = None, **settings: Any) -> str:
        """Run a trial of two seconds; what was said of it."""
        candidate = self.loop.next()
        assert candidate is not None
        self.clock.now_s += 2
        said = len(self.text)
        told = self._finished(status, **settings)
        self.loop.finish(
            candidate.index,
            told if reason is None else Finished(status=status, reason=reason, seconds=2.0, worker="host:1"),
        )
        return self.text[said:]

    @property
    def text(self) -> str:
        return self.file.getvalue()


@pytest.fixture
def begin(tmp_path: Path, small_space: Space, finished: MakeFinished) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def make(*, terminal: bool, confirm_share: float = 0.0) -> Run:
        runs.append(Run(tmp_path / "run", small_space, finished, terminal=terminal, confirm_share=confirm_share))
        return runs[-1]

    yield make
    for run in runs:
        run.progress.end_live()
        run.writer.close()


def test_a_file_gets_one_plain_line_a_trial(begin: Callable[..., Run]) -> None:
    run = begin(terminal=False)
    run.progress.begin(run.loop)
    run.progress.begin_live()
    line = run.trial(correct=50)
    params = run.writer.trials[0].params
    reward = run.writer.objective.reward(run.writer.trials[0])
    assert line == (
        f"trial 0    ok            accuracy 0.5000  step 1.50x  params {params / 1e6:.3f}M  reward {reward:.4f}  2.0 s"
        "  [58s left]\n"
    )
    line = run.trial(TrialStatus.FAILED, reason="Traceback:\n  File x, line 1\nRuntimeError: no\n")
    assert line == "trial 1    failed        RuntimeError: no  [56s left]\n"
    assert "\x1b" not in run.text
    assert run.text.count("\n") == 2


def test_a_long_line_is_not_broken(begin: Callable[..., Run]) -> None:
    run = begin(terminal=False)
    run.progress.note("word " * 100)
    assert run.text.count("\n") == 1


def test_brackets_are_not_taken_for_markup(begin: Callable[..., Run]) -> None:
    run = begin(terminal=False)
    run.progress.note("list[int] [red]x[/red]")
    assert run.text == "list[int] [red]x[/red]\n"


def test_a_terminal_gets_a_live_line(begin: Callable[..., Run]) -> None:
    run = begin(terminal=True)
    with run.progress as progress:
        progress.begin(run.loop)
        progress.begin_live()
        line = run.trial(correct=40)
        assert "left]" not in line, "the live line says it"
        run.trial(correct=5)
        run.trial(TrialStatus.PRUNED)
        run.trial(TrialStatus.FAILED)
        run.loop.next()
        progress.tick(20.0)
        best = run.writer.objective.reward(run.writer.trials[0])
        shown = progress.__rich__().plain
        assert shown == f"4 done | 1 running | 1 failed | best reward {best:.4f} (trial 0) | front 1 | 40s left"
        run.loop.stop("the budget is used up")
        assert progress.__rich__().plain.endswith(" | ending: the budget is used up")
    assert "4 done | 1 running | 1 failed" in run.text
    assert "\x1b[2K" in run.text, "the live line is drawn over itself"


def test_devices_are_told_apart(begin: Callable[..., Run]) -> None:
    run = begin(terminal=True)
    run.progress.begin(run.loop)
    run.progress.begin_live()
    run.trial(correct=40, device="T4")
    run.trial(correct=90, device="A\x1b[2J100")
    slow, fast = (f"{run.writer.objective.reward(trial):.4f}" for trial in run.writer.trials)
    assert run.progress.__rich__().plain == (
        f"2 done | 0 running | 0 failed | best reward {slow} (trial 0) on T4 | "
        f"best reward {fast} (trial 1) on A?[2J100 | front 1 + 1 | 56s left"
    )


def test_the_best_is_the_confirmed(begin: Callable[..., Run]) -> None:
    run = begin(terminal=True)
    run.progress.begin(run.loop)
    run.progress.begin_live()
    run.trial(correct=90)
    run.trial(correct=40)
    tried = run.writer.trials[1]
    run.writer.append(replace(tried, index=2, repeat=1, accuracy=0.5))
    best = run.loop.objective.weigh(0.5, 1.5, tried.params)
    assert f" | best reward {best:.4f} (trial 1, confirmed) | " in run.progress.__rich__().plain


def test_before_any_trial_there_is_no_best(begin: Callable[..., Run]) -> None:
    run = begin(terminal=True)
    assert run.progress.__rich__().plain == ""
    run.progress.begin(run.loop)
    run.progress.begin_live()
    assert run.progress.__rich__().plain == "0 done | 0 running | 0 failed | front 0 | 1m left"


def test_a_second_probe_does_not_begin_a_second_live_line(begin: Callable[..., Run]) -> None:
    # After Ray has failed the probe is run once more.
    run = begin(terminal=True)
    run.progress.begin(run.loop)
    run.progress.begin_live()
    live = run.progress._live
    run.progress.begin(run.loop)
    run.progress.begin_live()
    assert run.progress._live is live
    run.progress.end_live()
    run.progress.end_live()
    assert run.progress._live is None


def test_a_dumb_terminal_gets_plain_lines(tmp_path: Path, begin: Callable[..., Run]) -> None:
    run = begin(terminal=True)
    run.progress = Progress(Console(file=run.file, force_terminal=True, _environ={"TERM": "dumb"}))
    run.progress.begin(run.loop)
    run.progress.begin_live()
    assert run.progress._live is None
    assert run.trial().endswith("left]\n")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_reason_cannot_command_the_terminal(terminal: bool, begin: Callable[..., Run]) -> None:
    run = begin(terminal=terminal)
    nasty = "\x1b[2J\x1b]0;title\x07 \x9b31m over\rwritten \x00\x08 \u202egnp.exe \u2028 end"
    said = run.trial(TrialStatus.FAILED, reason=f"first line\n{nasty}")
    assert "gnp.exe" in said or "end" in said, "what can be read is kept"
    run.progress.note(nasty)
    for sign in ("\x1b", "\x07", "\x9b", "\r", "\x00", "\x08", "\u202e", "\u2028"):
        assert sign not in run.text, repr(sign)


def test_an_interruption_is_told_once(begin: Callable[..., Run]) -> None:
    run = begin(terminal=False)
    run.progress.begin(run.loop)
    run.progress.begin_live()
    run.loop.next()
    run.progress.tick(1)
    assert run.text == ""
    run.loop.interrupt()
    run.progress.tick(2)
    run.progress.tick(3)
    assert run.text.count("interrupted: 1 running trials are finished first; once more ends at once") == 1


def test_an_interruption_before_the_first_trial_is_told(begin: Callable[..., Run]) -> None:
    run = begin(terminal=False)
    run.progress.begin(run.loop)
    run.loop.interrupt()
    run.progress.tick(1)
    assert run.text == "interrupted: it ends; once more ends at once\n"


def test_a_confirmation_is_told_once_and_its_trainings_name_the_trial(begin: Callable[..., Run]) -> None:
    run = begin(terminal=False, confirm_share=0.4)
    run.progress.begin(run.loop)
    run.progress.begin_live()
    for index in range(18):
        run.trial(correct=50 + index)
        run.progress.tick(run.clock.now_s)
    assert "confirming" not in run.text
    line = run.trial(correct=40)
    again = run.writer.trials[-1]
    first = next(trial.index for trial in run.writer.trials if trial.key == again.key)
    assert line.startswith(f"trial {again.index}   ok            trial {first} again  accuracy 0.4000")
    for _ in range(2):
        run.progress.tick(run.clock.now_s)
    told = "the search is over; confirming: the best 16 networks are trained anew, 48 trainings with other seeds\n"
    assert run.text.count(told) == 1


def test_it_speaks_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        progress.note("heard")
    assert capsys.readouterr() == ("", "heard\n")

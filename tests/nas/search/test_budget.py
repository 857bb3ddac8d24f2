"""Budgets: how they are written, and that what is admitted ends within them where it takes as long as expected."""

import heapq
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.search.budget import Budget, BudgetKeeper


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("1", "trials", 1),
        ("40", "trials", 40),
        ("90s", "wall", 90),
        ("30m", "wall", 1800),
        ("30min", "wall", 1800),
        ("8h", "wall", 28800),
        ("1.5h", "wall", 5400),
        ("2d", "wall", 172800),
        ("6gpu-h", "gpu", 21600),
        ("0.5gpu-m", "gpu", 30),
        ("6cpu-h", "cpu", 21600),
        ("10cpu-s", "cpu", 10),
        ("1cpu-d", "cpu", 86400),
        (" 8H ", "wall", 28800),
        ("6GPU-h", "gpu", 21600),
    ],
)
def test_budgets_that_can_be_read(text: str, kind: str, amount: float) -> None:
    budget = Budget.parse(text)
    assert (budget.kind, budget.amount) == (kind, amount)


@pytest.mark.parametrize(
    "text",
    ["", "h", "-3", "+3", "1.5", "40.0", "1e3", "1,000", "nan", "inf", "30 m", "3w", ".5h", "5.h", "1h30m", "8hh"],
)
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a budget must be trials") as raised:
        Budget.parse(text)
    assert str(raised.value).endswith(f"got {text!r}")


@pytest.mark.parametrize("text", ["8h\nrm", "6gpu", "6gpu-", "6gpuh", "6tpu-h", "gpu-h", "gpu", "-h"])
def test_units_that_there_are_not_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a budget must be trials"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["0", "0s", "0.0h", "0gpu-h", "1000000000", "999999h", "9" * 400, "9" * 400 + "d"])
def test_budgets_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a budget must be above 0, and under 1e9 trials or seconds, got"):
        Budget.parse(text)


@settings(deadline=None, max_examples=100)
@given(st.one_of(st.text(max_size=8), st.from_regex(r"[0-9.]{1,6}(gpu|cpu)?-?[a-z]{0,3}", fullmatch=True)))
def test_any_text_is_a_budget_or_is_refused(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except ValueError as error:
        refused = str(error)
        assert repr(text) in refused
    else:
        assert 0 < budget.amount < 1e9


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 10_000), st.sampled_from(["s", "m", "h", "gpu-s", "gpu-h", "cpu-m"]))
def test_what_is_described_can_be_read_and_is_near(number: int, unit: str) -> None:
    budget = Budget.parse(f"{number}{unit}")
    again = Budget.parse(budget.describe(budget.amount))
    assert again.kind == budget.kind
    assert again.amount == pytest.approx(budget.amount, rel=0.03)


@pytest.mark.parametrize(
    ("budget", "amount", "told"),
    [
        ("40", 40, "40 trials"),
        ("40", 1, "1 trial"),
        ("40", 0, "0 trials"),
        ("8h", 28800, "8h"),
        ("8h", 5400, "90m"),
        ("8h", 3600, "1h"),
        ("8h", 90, "90s"),
        ("8h", 60, "1m"),
        ("8h", 12.34, "12.3s"),
        ("8h", 0, "0s"),
        ("2d", 172800, "48h"),
        ("6gpu-h", 21600, "6gpu-h"),
        ("6cpu-h", 5400, "90cpu-m"),
    ],
)
def test_amounts_are_told_in_a_fitting_unit(budget: str, amount: float, told: str) -> None:
    assert Budget.parse(budget).describe(amount) == told


def test_trials_are_counted() -> None:
    keeper = BudgetKeeper(Budget.parse("2"))
    assert keeper.admits(0)
    keeper.start(0, 0)
    assert keeper.left(0) == 2, "what runs is not spent yet"
    assert keeper.admits(1e9)
    keeper.start(1, 0)
    assert (keeper.running, keeper.admits(0)) == (2, False)
    keeper.forget(1)
    assert keeper.admits(0)
    keeper.finish(0, seconds=5, typical=False)
    assert (keeper.running, keeper.left(9)) == (0, 1)


def test_a_trial_is_expected_to_take_as_long_as_the_longest() -> None:
    keeper = BudgetKeeper(Budget.parse("100s"), expected_s=30)
    assert (keeper.expected_s, keeper.admits(70), keeper.admits(71)) == (30, True, False)
    keeper.expect(40)
    assert (keeper.expected_s, keeper.admits(61)) == (40, False)
    keeper.finish(0, seconds=90, typical=False)
    assert keeper.expected_s == 40, "a trial that failed says nothing of the others"
    keeper.finish(1, seconds=10, typical=True)
    keeper.finish(2, seconds=5, typical=True)
    assert (keeper.expected_s, keeper.admits(90), keeper.admits(90.5)) == (10, True, False)
    assert (keeper.left(30), keeper.left(200)) == (70, 0)


def test_device_time_counts_what_runs_and_what_it_is_still_expected_to_take() -> None:
    keeper = BudgetKeeper(Budget.parse("100cpu-s"), devices=2, expected_s=10)
    keeper.start(0, 0)
    keeper.start(1, 0)
    assert keeper.left(5) == 100 - 2 * 2 * 5
    assert keeper.admits(5), "60 of 100 with one more"
    assert keeper.admits(15), "30 each so far, 20 for one more: 80"
    assert not keeper.admits(21), "42 each so far, 20 for one more"
    keeper.finish(0, seconds=21, typical=True)
    assert keeper.left(21) == 100 - 42 - 42
    assert not keeper.admits(21)
    keeper.finish(1, seconds=3, typical=False)
    assert keeper.left(1e6) == 52, "no time is spent while nothing runs"
    assert keeper.admits(1e6)


def test_earlier_trials_of_a_resumed_run_are_counted() -> None:
    keeper = BudgetKeeper(Budget.parse("10cpu-s"))
    for index in range(3):
        keeper.finish(index, seconds=2, typical=True)
    assert (keeper.left(0), keeper.expected_s, keeper.running) == (4, 2, 0)
    keeper = BudgetKeeper(Budget.parse("4"))
    for index in range(4):
        keeper.finish(index, seconds=2, typical=True)
    assert not keeper.admits(0)


def test_a_share_of_a_budget_admits_less() -> None:
    keeper = BudgetKeeper(Budget.parse("10"))
    for index in range(3):
        keeper.finish(index, seconds=1, typical=True)
    assert [keeper.admits(0, share=share) for share in (0.3, 0.39, 0.4, 1.0)] == [False, False, True, True]
    keeper = BudgetKeeper(Budget.parse("100s"), expected_s=10)
    assert [keeper.admits(now_s, share=0.8) for now_s in (70, 70.1)] == [True, False]
    assert keeper.admits(75, 5, share=0.8)
    keeper = BudgetKeeper(Budget.parse("100cpu-s"), devices=2, expected_s=10)
    assert [keeper.admits(0, share=share) for share in (0.19, 0.2)] == [False, True]


@given(st.integers(1, 500), st.integers(1, 99))
def test_a_number_of_trials_is_parted_without_rest(amount: int, percent: int) -> None:
    keeper, share = BudgetKeeper(Budget.parse(str(amount))), percent / 100
    searched = 0
    while keeper.admits(0, share=1 - share):
        keeper.start(searched, 0)
        searched += 1
    assert searched == amount * (100 - percent) // 100
    assert keeper.room(0, 1.0, at_once=3, share=share) == amount - searched


@pytest.mark.parametrize(
    ("budget", "now_s", "share", "room"),
    [
        ("40", 0, 0.2, 8),
        ("41", 0, 0.2, 9),
        ("3", 0, 1.0, 3),
        ("100s", 0, 0.2, 10),
        ("100s", 90, 0.2, 5),
        ("100s", 97, 0.2, 1),
        ("100s", 120, 0.2, 0),
        ("100cpu-s", 0, 0.2, 2),
        ("100cpu-s", 1e6, 1.0, 12),
    ],
)
def test_room_is_how_many_trials_of_a_length_fit(budget: str, now_s: float, share: float, room: int) -> None:
    keeper = BudgetKeeper(Budget.parse(budget), devices=2)
    assert keeper.room(now_s, 4.0, at_once=2, share=share) == room


def test_what_is_spent_or_runs_leaves_less_room() -> None:
    keeper = BudgetKeeper(Budget.parse("100cpu-s"), expected_s=10)
    keeper.start(0, 0)
    keeper.finish(1, seconds=70, typical=False)
    assert keeper.room(5, 5.0, at_once=1, share=0.5) == 4
    keeper = BudgetKeeper(Budget.parse("10"))
    for index in range(6):
        keeper.start(index, 0)
        keeper.finish(index, seconds=1, typical=True)
    keeper.start(6, 0)
    assert keeper.room(0, 1.0, at_once=1, share=0.5) == 3
    assert keeper.room(0, 1.0, at_once=1, share=0.2) == 2


@dataclass(frozen=True, kw_only=True)
class Started:
    """A trial of a simulated search; `expected_s` as it was when it started, `runs_s` what it then took."""

    index: int
    at_s: float
    expected_s: float
    runs_s: float


def simulate(keeper: BudgetKeeper, lengths: list[tuple[float, bool]], workers: int, devices: float) -> list[Started]:
    """A search of trials of these lengths, each typical or not, on a clock that jumps from end to end."""
    trials = list(enumerate(lengths))
    started: list[Started] = []
    running: list[tuple[float, int]] = []
    now_s = 0.0
    while True:
        while trials and len(running) < workers and keeper.admits(now_s):
            index, (runs_s, _) = trials.pop(0)
            started.append(Started(index=index, at_s=now_s, expected_s=keeper.expected_s, runs_s=runs_s))
            keeper.start(index, now_s)
            heapq.heappush(running, (now_s + runs_s, index))
        if not running:
            return started
        now_s, index = heapq.heappop(running)
        seconds, typical = lengths[index]
        keeper.finish(index, seconds=seconds, typical=typical)


LENGTHS = st.lists(st.tuples(st.floats(0.1, 50), st.booleans()), min_size=1, max_size=40)
simulated = settings(deadline=None, max_examples=150)


@simulated
@given(LENGTHS, st.integers(1, 4), st.floats(1, 300), st.floats(0, 40))
def test_no_trial_starts_that_is_expected_to_end_after_the_clock(
    lengths: list[tuple[float, bool]], workers: int, amount: float, expected_s: float
) -> None:
    keeper = BudgetKeeper(Budget(kind="wall", amount=amount), expected_s=expected_s)
    started = simulate(keeper, lengths, workers, 1)
    assert all(trial.at_s + trial.expected_s <= amount for trial in started)
    overrun = max((trial.at_s + trial.runs_s for trial in started), default=0) - amount
    assert overrun <= max((trial.runs_s - trial.expected_s for trial in started), default=0) + 1e-9


@simulated
@given(LENGTHS, st.integers(1, 4), st.floats(1, 300), st.floats(0, 40), st.sampled_from([0.5, 1.0, 2.0]))
def test_device_time_is_overrun_only_by_what_running_trials_take_longer_than_expected(
    lengths: list[tuple[float, bool]], workers: int, amount: float, expected_s: float, devices: float
) -> None:
    keeper = BudgetKeeper(Budget(kind="cpu", amount=amount), devices=devices, expected_s=expected_s)
    started = simulate(keeper, lengths, workers, devices)
    if not started:
        assert expected_s * devices > amount
        return
    last = started[-1]
    running = [trial for trial in started if trial.at_s + trial.runs_s > last.at_s or trial is last]
    longer = sum(max(0, trial.runs_s - last.expected_s) * devices for trial in running)
    assert sum(trial.runs_s for trial in started) * devices <= amount + longer + 1e-6


@simulated
@given(LENGTHS, st.integers(1, 4), st.integers(1, 60))
def test_a_budget_of_trials_is_met_exactly(lengths: list[tuple[float, bool]], workers: int, amount: int) -> None:
    started = simulate(BudgetKeeper(Budget(kind="trials", amount=amount)), lengths, workers, 1)
    assert len(started) == min(amount, len(lengths))

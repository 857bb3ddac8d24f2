"""Tables say what the networks say."""

import csv
from collections.abc import Callable, Sequence

import pytest

from results import (
    Network,
    Objective,
    TrialResult,
    alone_text,
    best_text,
    front_csv,
    front_text,
    networks,
    pareto_front,
    text_table,
)

MakeTrial = Callable[..., TrialResult]


def _confirmed(make: MakeTrial, objective: Objective, *accuracies: Sequence[float]) -> list[Network]:
    """A network for each of `accuracies`: the first was seen by the search, the others by trainings anew."""
    trials = [
        make(100 * repeat + number, arch=make(number).arch, repeat=repeat, accuracy=accuracy)
        for number, seen in enumerate(accuracies)
        for repeat, accuracy in enumerate(seen)
    ]
    return networks(trials, objective)


def test_the_table_reads(trial: MakeTrial, objective: Objective) -> None:
    trials = [trial(12, accuracy=0.75, num_evaluated=400), trial(3, num_evaluated=None, step_time_ratio=0.25)]
    text = front_text(pareto_front(networks(trials, objective)))
    header, first, second = text.splitlines()
    assert header.split() == ["trial", "accuracy", "step", "time", "params", "MACs", "reward", "network"]
    assert first.split()[:5] == ["12", "75.0", "%", "+-", "4.5"]
    assert second.split()[:5] == ["3", "50.0", "%", "0.250", "x"]
    assert first.endswith(str(trials[0].arch))
    assert first.index("stem") == second.index("stem") == header.index("network")
    assert front_text([]).split() == header.split()


def test_the_table_of_a_confirmed_run_says_by_how_many_trainings(trial: MakeTrial, objective: Objective) -> None:
    found = _confirmed(trial, objective, (0.9, 0.7, 0.72), (0.8, 0.5, 0.52), (0.6,))
    header, first, second, third = front_text(found).splitlines()
    assert header.split()[-5:] == ["MACs", "reward", "confirmed", "P(best)", "network"]
    best = found[0]
    assert best.reward_high is not None
    assert f"{best.reward:.4f} +- {best.reward_high - best.reward:.4f}        2 x    >0.99  stem" in first
    assert "2 x    <0.01  stem" in second
    assert "  -        -  stem" in third


def test_the_csv_reads_back(trial: MakeTrial, objective: Objective) -> None:
    found = networks([trial(0), trial(1, num_evaluated=None)], objective)
    read = list(csv.DictReader(front_csv(found).splitlines()))
    assert [int(line["trial"]) for line in read] == [0, 1]
    assert [float(line["reward"]) for line in read] == [network.reward for network in found]
    assert read[1]["accuracy_low"] == read[0]["reward_low"] == read[0]["p_best"] == ""
    assert (read[0]["num_trainings"], read[0]["confirmed"], read[0]["tied"]) == ("1", "False", "False")
    assert read[0]["arch"] == str(found[0].arch)
    assert len(front_csv([]).splitlines()) == 1


@pytest.mark.parametrize(
    ("device", "cell"),
    [("NVIDIA A100, 80GB", "NVIDIA A100, 80GB"), ("=1+1", "'=1+1"), ("\t=1", "'?=1"), ("a\x1b[2J\nb", "a?[2J?b")],
)
def test_a_devices_name_is_no_formula_and_no_command(
    trial: MakeTrial, objective: Objective, device: str, cell: str
) -> None:
    text = front_csv(networks([trial(0, device=device)], objective))
    assert len(text.splitlines()) == 2
    assert next(csv.DictReader(text.splitlines()))["device"] == cell


def test_columns_stand_under_their_headers() -> None:
    assert text_table(("name", "n"), [("a", "1"), ("long one", "22")], left=("name",)) == (
        "name       n\na          1\nlong one  22"
    )


def test_what_is_best_is_told_with_how_far_it_can_be_trusted(trial: MakeTrial, objective: Objective) -> None:
    def told(*accuracies: Sequence[float]) -> list[str]:
        return best_text(_confirmed(trial, objective, *accuracies)).splitlines()

    assert told() == []
    assert told((0.5,), (0.6,)) == [
        "best reward: trial 1, not confirmed: the ranking rests on one accuracy of each network"
    ]
    assert told((0.9, 0.7, 0.71, 0.72), (0.8, 0.5, 0.51, 0.52)) == [
        "best reward: trial 0, confirmed by 3 trainings, P(best) >0.99"
    ]
    assert told((0.9, 0.7, 0.72), (0.5,)) == [
        "best reward: trial 0, confirmed by 2 trainings; no other network is confirmed"
    ]
    assert told((0.9, 0.7), (0.8, 0.5)) == [
        "best reward: trial 0, confirmed by 1 training, and no network by more: how far trainings differ is not known"
    ]


def test_ties_are_told_and_what_only_seems_better(trial: MakeTrial, objective: Objective) -> None:
    tied = [(0.9, 0.7 + 0.001 * number, 0.8 + 0.001 * number) for number in range(7)]
    first, *others = best_text(_confirmed(trial, objective, *tied)).splitlines()
    assert first.startswith("tied for the best reward (95 %): trials 0 (P(best) 0.")
    assert first.endswith(" and 2 more")
    assert others == []
    seen_once = [(0.95,), (0.9,)]
    first, *others = best_text(_confirmed(trial, objective, *seen_once, *tied[:2])).splitlines()
    assert first.startswith("tied for the best reward (95 %): trials 2 (P(best) 0.")
    assert others == [
        "not on the front: trials 2, 3",
        "trained once and not confirmed, of a higher reward: trials "
        + ", ".join(
            f"{number} ({objective.reward(trial(number, accuracy=accuracy)):.4f})"
            for number, (accuracy,) in enumerate(seen_once)
        ),
    ]


def test_the_table_of_networks_trained_alone(trial: MakeTrial, objective: Objective) -> None:
    seen = {
        0: [(0.6, "supernet"), (0.40, "own"), (0.42, "own"), (0.5, "inherited")],
        1: [(0.5, "supernet"), (0.64, "own"), (0.66, "own"), (0.4, "inherited")],
        2: [(0.7, "supernet")],
    }
    trials = [
        trial(100 * repeat + number, arch=trial(number).arch, repeat=repeat, accuracy=accuracy, weights=weights)
        for number, trainings in seen.items()
        for repeat, (accuracy, weights) in enumerate(trainings)
    ]
    found = networks(trials, objective)
    header, first, second = alone_text(found).splitlines()
    assert header.split("  ")[0] == "trial"
    assert "by the supernet" in header
    assert [line.split()[0] for line in (first, second)] == ["1", "0"], "best first"
    assert [word for word in ("50.0 %", "65.0 %", "40.0 %", "2 x") if word not in first] == []
    lines = best_text(found).splitlines()
    assert lines[0].startswith("best reward: trial 1, confirmed by 2 trainings, P(best) ")
    assert lines[0].endswith("; trained alone")
    assert lines[1].startswith("from the supernet's weights the best reward is trial 0's (")
    assert lines[2].startswith("by the supernet's accuracy it is trial 2's (")
    rows = list(csv.DictReader(front_csv(found).splitlines()))
    assert [row["alone_accuracy"] for row in rows] == [str(one.alone.accuracy) if one.alone else "" for one in found]
    assert [row["inherited_num_trainings"] for row in rows] == ["1", "1", ""]
    judged = networks([one for one in trials if not one.repeat], objective)
    assert (alone_text(judged), "alone_accuracy" in front_csv(judged)) == ("", False)

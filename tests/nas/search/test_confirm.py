"""Which networks are trained anew, and how often."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search.confirm import AloneConfirmation, Confirmation, Confirming, Trained
from nas.search.samplers import Candidate
from results import Weights
from search_space import ArchSpec, HeadSpec, StageSpec, StemSpec


def candidates(count: int) -> list[Candidate[ArchSpec]]:
    """Different networks, the best first."""
    return [
        Candidate(
            index=index,
            decisions=(index,),
            arch=ArchSpec(
                stem=StemSpec(width=8),
                stages=(StageSpec(op="mbconv", width=8 + index, depth=1),),
                head=HeadSpec(width=16, num_classes=10),
            ),
        )
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"share": -0.1}, "confirm_share must be at least 0 and below 1, got -0.1"),
        ({"share": 1.0}, r"confirm_share must be at least 0 and below 1, got 1\.0"),
        ({"share": float("nan")}, "confirm_share must be at least 0 and below 1, got nan"),
        ({"alone": -1}, "confirm must be at least 0 networks, got -1"),
        ({"repeat": 1}, r"repeat must be at least 2 \(one training has no spread\), got 1"),
    ],
)
def test_a_wrong_value_is_named_with_its_rule(given: dict[str, float], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        Confirming(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("room", "num_picks", "repeat", "begun", "num_networks"),
    [
        (3, 9, 3, 0, None),
        (4, 9, 3, 0, 2),
        (4, 1, 3, 0, None),
        (4, 0, 3, 0, None),
        (8, 9, 3, 0, 2),
        (9, 9, 3, 0, 3),
        (20, 9, 2, 0, 9),
        (20, 9, 10, 0, 2),
        (20, 9, 50, 0, 2),
        (1, 9, 3, 8, 3),
        (3, 9, 3, 3, 2),
        (0, 9, 3, 9, None),
    ],
)
def test_how_many_networks_fit(room: int, num_picks: int, repeat: int, begun: int, num_networks: int | None) -> None:
    found = Confirmation.fitting(room, num_picks, Confirming(share=0.2, repeat=repeat), begun=begun)
    assert (found and found.num_networks) == num_networks
    if found is not None:
        assert found.num_trainings == room


@given(st.integers(4, 60), st.integers(2, 30), st.integers(2, 8), st.integers(1, 60))
def test_each_is_trained_anew_equally_often_wherever_it_is_cut(
    room: int, num_picks: int, repeat: int, done: int
) -> None:
    picks = candidates(num_picks)
    confirming = Confirming(share=0.5, repeat=repeat)
    repeats: Trained = Counter()

    def train(confirmation: Confirmation | None, at_most: int) -> int:
        begun = 0
        while confirmation is not None and begun < at_most and (chosen := confirmation.next(picks, repeats)):
            repeats[chosen[0].arch.key, chosen[1]] += 1
            begun += 1
        return begun

    begun = train(Confirmation.fitting(room, num_picks, confirming), done)
    begun += train(Confirmation.fitting(room - begun, num_picks, confirming, begun=begun), room)
    assert begun == repeats.total() == room
    counts = [count for count in repeats.values() if count]
    assert [key for key, _ in repeats if repeats[key, Weights.OWN]] == [
        pick.arch.key for pick in picks[: len(counts)]
    ], "the best, in their order"
    assert {weights for _, weights in repeats} == {Weights.OWN}
    assert max(counts) - min(counts) <= 1
    assert min(counts) >= min(repeat, room // 2)
    assert len(counts) == min(num_picks, max(2, room // repeat))


def test_what_was_trained_anew_before_counts() -> None:
    first, second, third = candidates(3)
    confirmation = Confirmation(num_networks=3, num_trainings=3)
    repeats: Trained = Counter(
        {(first.arch.key, Weights.OWN): 3, (second.arch.key, Weights.OWN): 1, (third.arch.key, Weights.OWN): 2}
    )
    order = []
    while chosen := confirmation.next([first, second, third], repeats):
        repeats[chosen[0].arch.key, chosen[1]] += 1
        order.append(chosen[0])
    assert order == [second, second, third]


@given(st.integers(1, 6), st.integers(1, 8), st.integers(2, 4), st.integers(0, 60))
def test_alone_all_are_trained_from_random_weights_first(
    num_networks: int, num_picks: int, repeat: int, done: int
) -> None:
    picks = candidates(num_picks)
    trained: Trained = Counter()
    order = []

    def train(at_most: int) -> None:
        confirmation = AloneConfirmation(num_networks=num_networks, repeat=repeat)
        for _ in range(at_most):
            if (chosen := confirmation.next(picks, trained)) is None:
                return
            trained[chosen[0].arch.key, chosen[1]] += 1
            order.append((chosen[1], chosen[0].index))

    train(done)
    train(1000)
    best = range(min(num_networks, num_picks))
    once = [(weights, index) for weights in (Weights.OWN, Weights.INHERITED) for _ in range(repeat) for index in best]
    assert order == once, "wherever it is cut"


def test_nothing_to_choose_from_is_the_end() -> None:
    assert Confirmation(num_networks=2, num_trainings=4).next([], Counter()) is None
    assert AloneConfirmation(num_networks=2, repeat=4).next([], Counter()) is None

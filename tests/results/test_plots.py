"""Pictures show what a run says: the points, the bars, the words; and they can be told apart without colour."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from scipy.stats import kendalltau

from results import Limits, Objective, Run, RunWriter, TrialResult, Weights, pareto_front
from results.plots import (
    Training,
    importance,
    interactive,
    plot_calibration,
    plot_costs,
    plot_family,
    plot_front,
    plot_importance,
    plot_learning,
    plot_network,
    plot_progress,
    style,
)
from results.plots.style import Size, look
from search_space import load_space
from search_space.catalog import architecture

MakeTrial = Callable[..., TrialResult]
Begin = Callable[..., Run]


@pytest.fixture(autouse=True)
def _no_screen() -> Iterator[None]:
    with mpl.rc_context({"backend": "Agg"}):
        yield
    plt.close("all")


@pytest.fixture
def begin(tmp_path: Path, objective: Objective) -> Begin:
    """A run of these trials."""

    def make(*trials: TrialResult, limits: Limits | None = None, **config: object) -> Run:
        folder = tmp_path / "run"
        with RunWriter.create(folder, config=config, objective=objective, limits=limits) as writer:
            for one in trials:
                writer.append(one)
        return Run(folder)

    return make


@pytest.fixture
def runs(tmp_path: Path, objective: Objective, trial: MakeTrial) -> dict[str, Run]:
    """Three of the same conditions."""
    found = {}
    for number, name in enumerate(("one", "_$two$", "three")):
        with RunWriter.create(tmp_path / str(number), config={}, objective=objective) as writer:
            for index in range(4):
                writer.append(trial(index, accuracy=0.3 + 0.1 * number, step_time_ratio=1.0 + 0.1 * (-index) % 4))
        found[name] = Run(tmp_path / str(number))
    return found


@pytest.fixture
def run(begin: Begin, trial: MakeTrial) -> Run:
    trials = [
        trial(
            index,
            accuracy=(0.3, 0.35, 0.2, 0.45, 0.5, 0.55)[index],
            step_time_ratio=1.0 + index % 3,
            step_time_ratio_low=0.9 + index % 3,
            step_time_ratio_high=1.2 + index % 3,
        )
        for index in range(6)
    ]
    anew = [trial(10 + repeat, arch=trials[5].arch, repeat=repeat, accuracy=0.5) for repeat in (1, 2)]
    failed = trial(20, status="failed", reason="it $broke$")
    limits = Limits(max_step_time=3.5, min_accuracy=0.1)
    return begin(*trials, *anew, failed, limits=limits, space={"name": "a $space$ <b>"})


def test_the_front_shows_every_network_and_which_are_dominated(run: Run) -> None:
    axes = plot_front(run)
    found = run.networks()
    front = pareto_front(found)
    handles, labels = axes.get_legend_handles_labels()
    assert labels == [
        f"dominated ({len(found) - len(front)})",
        f"front ({len(front)})",
        "best reward: trial 5, confirmed",
        "limits: step time at most 3.5 x, accuracy at least 10 %",
    ]
    points = {tuple(np.round(offset, 6)) for handle in handles[:2] for offset in np.asarray(handle.get_offsets())}
    assert points == {(round(one.step_time_ratio, 6), round(100 * one.accuracy, 6)) for one in found}
    bars = [line for line in axes.lines if len(set(line.get_xdata())) == 1 and line.get_linewidth() == 0.7]
    assert sorted(tuple(line.get_ydata()) for line in bars) == sorted(
        (100 * (one.accuracy_low or 0), 100 * (one.accuracy_high or 0)) for one in front
    )
    limits = [line for line in axes.lines if line.get_linewidth() == 0.9]
    assert [tuple(line.get_xdata()) for line in limits] == [(3.5, 3.5), (0, 1), ()]
    assert axes.get_title(loc="left").startswith(r"a \$space\$ <b>: 6 networks, 1 trial failed; area: params")
    assert "ratio to the reference" in axes.get_xlabel()
    assert axes.get_ylabel().endswith(", %")


def test_progress_goes_up_and_shows_what_failed(run: Run) -> None:
    axes = plot_progress(run)
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["a network as the search tried it", "best so far", "trained anew", "failed or left out (1)"]
    (best,) = (line for line in axes.lines if line.get_label() == "best so far")
    rewards = [run.objective.reward(one) for one in run.ok if not one.repeat]
    assert list(best.get_ydata()) == [*np.maximum.accumulate(rewards), max(rewards)]
    minutes = plot_progress(run, against="minutes")
    (best,) = (line for line in minutes.lines if line.get_label() == "best so far")
    ends = [one.ended_s / 60 for one in run.ok if not one.repeat]
    assert list(best.get_xdata()) == [*ends, run.trials[-1].ended_s / 60]
    assert minutes.get_xlabel() == "minutes of the search"


def test_limits_that_are_asked_are_lines_and_words(run: Run) -> None:
    asked = {"max_params": run.best().params, "max_step_time": 2.5, "no_limits": True}
    found = run.networks(**asked)
    outside = len(run.networks(no_limits=True)) - len(found)
    assert outside > 0
    axes = plot_front(run, **asked)
    assert f"{len(found)} networks, {outside} outside the limits" in axes.get_title(loc="left")
    label = f"limits: step time at most 2.5 x, params at most {run.best().params / 1e6:.3g} M"
    assert axes.get_legend_handles_labels()[1][-1] == label
    (line,) = (line for line in axes.lines if line.get_linewidth() == 0.9 and len(line.get_xdata()))
    assert list(line.get_xdata()) == [2.5, 2.5]
    figure = interactive.front(run, **asked)
    assert sum(len(trace.x) for trace in figure.data if trace.name != "best reward") == len(found)
    (shape,) = figure.layout.shapes
    assert (shape.x0, shape.x1, shape.name) == (2.5, 2.5, "limit: step time at most 2.5 x")
    assert "limit: params at most" in figure.layout.title.text
    own = {(shape.x0, shape.y0) for shape in interactive.front(run).layout.shapes}
    assert own == {(3.5, 0), (0, 10)}, "the other end is the edge"


def test_the_best_so_far_keeps_to_the_limits(begin: Begin, trial: MakeTrial) -> None:
    slow = trial(1, accuracy=0.9, step_time_ratio=3.0)
    run = begin(trial(0, accuracy=0.4), slow, trial(2, accuracy=0.5), limits=Limits(max_step_time=2.0))
    (best,) = (line for line in plot_progress(run).lines if line.get_label() == "best so far")
    rewards = [run.objective.reward(run.trial(index)) for index in (0, 2)]
    assert best.get_xydata().tolist() == [[1, rewards[0]], [3, rewards[1]], [3, rewards[1]]]
    with pytest.raises(ValueError, match="against must be one of trials, minutes, got 'days'"):
        plot_progress(run, against="days")  # type: ignore[arg-type]


def test_progress_of_a_search_that_a_supernet_judged(begin: Begin, trial: MakeTrial) -> None:
    judged = [trial(index, accuracy=0.2 + 0.1 * index, weights=Weights.SUPERNET) for index in range(3)]
    alone = [
        trial(10, arch=judged[2].arch, repeat=1, weights=Weights.OWN),
        trial(11, arch=judged[2].arch, repeat=2, weights=Weights.INHERITED),
    ]
    labels = plot_progress(begin(*judged, *alone)).get_legend_handles_labels()[1]
    wanted = [
        "a network, by the supernet",
        "best so far, by the supernet",
        "trained alone",
        "trained from a supernet's weights",
    ]
    assert labels == wanted


def looks_of(axes: Axes, names: Iterable[str]) -> list[tuple[object, ...]]:
    """Marker and dashes of the line with each label."""
    lines = {str(line.get_label()).strip().replace("\\$", "$"): line for line in axes.lines}
    return [(lines[name].get_marker(), str(lines[name]._dash_pattern)) for name in names]


def test_runs_over_each_other_are_told_apart_without_colour(runs: dict[str, Run]) -> None:
    fronts = {name: run.front() for name, run in runs.items()}
    axes = plot_front(runs)
    labels = [f"{name} ({len(front)})" for name, front in fronts.items()]
    assert len(set(looks_of(axes, labels))) == 3
    marks = [line for line in axes.lines if line.get_linestyle() == "None" and len(line.get_xdata())]
    for line, front in zip(marks, fronts.values(), strict=True):
        places = {(one.step_time_ratio, 100 * one.accuracy) for one in front}
        assert {tuple(place) for place in line.get_xydata().tolist()} == places
    axes = plot_progress(runs, against="minutes")
    assert len(set(looks_of(axes, runs))) == 3
    assert "best so far" in axes.get_title(loc="left")
    axes.figure.canvas.draw()
    assert len({str(look(number)) for number in range(20)}) == 20


def test_runs_that_do_not_compare_are_refused(runs: dict[str, Run], begin: Begin, trial: MakeTrial) -> None:
    other = begin(trial(0, device="another"))
    for plot in (plot_front, plot_progress):
        with pytest.raises(ValueError, match="step times of different devices do not compare"):
            plot({**runs, "other": other})
        with pytest.raises(ValueError, match="runs must be at least one, got none"):
            plot({})
        with pytest.raises(TypeError, match=r"several by their names, as \{'a': run\}, got list"):
            plot(list(runs.values()))


def test_a_style_holds_inside_alone(run: Run) -> None:
    before = dict(mpl.rcParams)
    sizes: dict[Size, tuple[float, float]] = {"notebook": (7.2, 9), "column": (3.3, 8)}
    for size, (inches, points) in sizes.items():
        with style(size):
            axes = plot_front(run)
        axes.figure.canvas.draw()  # with ticks that are made outside
        assert axes.figure.get_size_inches()[0] == inches
        assert axes.xaxis.label.get_fontsize() == axes._left_title.get_fontsize() == points
        assert {label.get_fontsize() for label in axes.get_xticklabels()} == {points - 1}
    assert dict(mpl.rcParams) == before
    with pytest.raises(ValueError, match="style must be one of notebook, column, got 'poster'"), style("poster"):  # type: ignore[arg-type]
        pass


@dataclass(frozen=True)
class Stage:
    image_size: int
    randaugment: float = 5.0
    dropout: float = 0.1
    mixup: float = 0.0


@dataclass(frozen=True)
class Recorded:
    """A training with an evaluation an epoch, each of two minutes; `sizes` by the epoch that each begins after."""

    accuracies: tuple[float, ...]
    sizes: dict[int, int]

    def along(self, axis: str) -> np.ndarray:
        return np.arange(1.0, len(self.accuracies) + 1) * (2 if axis == "minutes" else 1)

    def values(self, name: str) -> np.ndarray:
        values = np.array(self.accuracies)
        return {"ema_accuracy": values, "accuracy": values - 0.1, "loss": 1 - values}[name]

    def has_loss(self) -> np.ndarray:
        return np.arange(len(self.accuracies)) < 3

    def phases(self, axis: str) -> list[tuple[float, float, Stage]]:
        unit = 2 if axis == "minutes" else 1
        ends = [*list(self.sizes)[1:], len(self.accuracies)]
        return [
            (unit * begin, unit * end, Stage(size)) for (begin, size), end in zip(self.sizes.items(), ends, strict=True)
        ]


def test_a_training_is_drawn_with_its_stages() -> None:
    training: Training = Recorded((0.2, 0.4, 0.7, 0.8), {0: 16, 2: 32})
    axes = plot_learning(training, against="minutes")
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["averaged weights"].get_xydata().tolist() == [[2, 20], [4, 40], [6, 70], [8, 80]]
    assert lines["last weights"].get_ydata() == pytest.approx([10, 30, 60, 70])
    assert [text.get_text() for text in axes.texts] == ["16 px", "32 px"]
    assert [(patch.get_x(), patch.get_width()) for patch in axes.patches] == [(0, 4), (4, 4)]
    loss = plot_learning(training, of="loss")
    assert loss.lines[0].get_xydata() == pytest.approx(np.array([[1, 0.8], [2, 0.6], [3, 0.3]]))
    assert "RandAug 5" in loss.texts[0].get_text()


def test_trainings_over_each_other_are_told_apart_without_colour() -> None:
    trainings = {"grows": Recorded((0.2, 0.4, 0.7, 0.8), {0: 16, 2: 32}), "fixed": Recorded((0.1, 0.3, 0.6), {0: 32})}
    with style("column"):
        axes = plot_learning(trainings, level=0.6)
    axes.figure.canvas.draw()
    assert len(set(looks_of(axes, trainings))) == 2
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("32", (2, 40))]
    rings = [line.get_xydata().tolist() for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert rings == [[[3, 70]], [[3, 60]]]
    for options, rule in (
        ({"of": "error"}, "of must be one of accuracy, loss, got 'error'"),
        ({"against": "seconds"}, "against must be one of epochs, minutes, got 'seconds'"),
        ({"of": "loss", "level": 0.5}, "level must be None with the loss"),
    ):
        with pytest.raises(ValueError, match=rule):
            plot_learning(trainings, **options)
    with pytest.raises(ValueError, match="trainings must be at least one"):
        plot_learning({})


def test_step_times_stand_against_costs(run: Run) -> None:
    axes = plot_costs(run, against="params")
    (bars,) = (one for one in axes.containers if isinstance(one, ErrorbarContainer))
    trials = [one for one in run.ok if not one.repeat]
    assert bars.lines[0].get_xydata().tolist() == [[one.params / 1e3, one.step_time_ratio] for one in trials]
    tau = kendalltau([one.params for one in trials], [one.step_time_ratio for one in trials]).statistic
    assert axes.get_title(loc="left") == f"6 networks; Kendall's tau {tau:.2f}"
    assert "thousands" in axes.get_xlabel()
    assert "millions" in plot_costs(run).get_xlabel()


def test_calibration_stands_against_measurements(run: Run, begin: Begin, trial: MakeTrial, tmp_path: Path) -> None:
    axes = plot_calibration(run)
    (bars,) = (one for one in axes.containers if isinstance(one, ErrorbarContainer))
    assert bars.lines[0].get_xydata().tolist() == [[one.step_time_ratio, 1.05] for one in run.ok if not one.repeat]
    error = np.median([abs(1.05 / (one.step_time_ratio or 1) - 1) for one in run.ok if not one.repeat])
    assert axes.get_title(loc="left") == f"6 networks; median error {100 * error:.1f} %"
    (tmp_path / "run").rename(tmp_path / "other")
    without = dict.fromkeys(("step_time_predicted", "step_time_predicted_low", "step_time_predicted_high"))
    assert (
        plot_calibration(begin(trial(0, **without))).get_title(loc="left") == "no step time was predicted in this run"
    )


@pytest.mark.parametrize("size", ["notebook", "column"])
def test_a_run_with_no_trial_is_drawn(begin: Begin, size: Size) -> None:
    empty = begin()
    for plot in (plot_front, plot_progress, plot_costs, plot_calibration):
        with style(size):
            axes = plot(empty)
        axes.figure.canvas.draw()
        assert axes.figure.get_size_inches()[0] == {"notebook": 7.2, "column": 3.3}[size]
    with pytest.raises(ValueError, match="importance needs at least 20 networks with their decisions, got 0"):
        plot_importance(empty)
    for figure in (interactive.front(empty), interactive.progress(empty), interactive.costs(empty)):
        assert re.search(r"\b0 (networks|trials)", json.loads(figure.to_json())["layout"]["title"]["text"])


@pytest.fixture
def planted(begin: Begin, trial: MakeTrial) -> Run:
    """Accuracy follows from the third decision and nothing else; step times are noise."""
    space = load_space("efficientnetv2-tiny")
    generator = np.random.default_rng(3)
    places = [list(range(len(decision.values))) for decision in space.decisions]
    trials, seen = [], set()
    while len(trials) < 60:
        decisions = space.canonical(tuple(int(generator.choice(values)) for values in places))
        if decisions in seen:
            continue
        seen.add(decisions)
        accuracy = 0.4 + 0.1 * decisions[2]
        ratio = float(np.exp(generator.normal(0, 0.1)))
        arch = space.decode(decisions)
        trials.append(trial(len(trials), arch=arch, accuracy=accuracy, step_time_ratio=ratio, decisions=decisions))
    return begin(*trials, space=json.loads(space.to_json()))


def test_the_choice_that_decides_is_found_and_no_other(planted: Run) -> None:
    space = load_space("efficientnetv2-tiny")
    found = importance(planted, "accuracy")
    assert list(found.columns) == ["choice", "importance", "low", "high", "num_values"]
    assert found.choice[0] == space.decisions[2].name
    assert found.low[0] > 0.5
    assert (found.importance[1:] < 0.1).all()
    noise = importance(planted, "step_time_ratio")
    assert (noise.low <= 0).all(), "nothing decides a noise"
    axes = plot_importance(planted, "accuracy")
    assert axes.get_yticklabels()[-1].get_text() == space.decisions[2].name
    assert axes.get_title(loc="left") == "which choices matter for accuracy"
    (bars,) = interactive.choices(planted, "accuracy").data
    assert bars.y[-1] == space.decisions[2].name


def test_a_network_is_drawn_layer_by_layer() -> None:
    arch = architecture("efficientnetv2_s")
    axes = plot_network(arch)
    assert len(axes.patches) == 2 + sum(stage.depth for stage in arch.stages)
    words = [text.get_text() for text in axes.texts]
    assert "k3 e4\nSE" in words
    assert "k3 e1" in words
    assert f"{arch.stages[-1].width}\n1/2" in words
    colours = {(patch.get_facecolor(), patch.get_hatch() or "") for patch in axes.patches}
    assert len(colours) == 3, "stem and head, MBConv, Fused-MBConv"
    family = plot_family({name: architecture(f"efficientnetv2_{name.lower()}") for name in "SML"})
    assert [text.get_text() for text in family.texts if text.get_text() in "SML"] == ["S", "M", "L"]


def test_what_a_colour_says_something_else_says_too() -> None:
    from results.plots.drawing import ENDS, LOOKS, OTHER

    looks = [ENDS, OTHER, *LOOKS.values()]

    def grey(colour: str) -> float:
        return float(np.dot(colors.to_rgb(colour), (0.2126, 0.7152, 0.0722)))

    for (one, hatch, _), (other, other_hatch, _) in product(looks, looks):
        assert one == other or hatch != other_hatch or abs(grey(one) - grey(other)) > 0.03


def test_hover_texts_are_escaped(run: Run) -> None:
    text = interactive.progress(run).to_json() + interactive.front(run).to_json()
    assert "it $broke$" in text
    hostile = "<img src=x onerror=alert(1)>"
    failed = run.trials[-1]
    shown = interactive._trial_text(TrialResult(**{**asdict(failed), "arch": failed.arch, "reason": hostile}))
    assert "<img" not in shown
    assert "&lt;img" in shown


def test_interactive_pictures_show_the_same(run: Run) -> None:
    found = run.networks()
    figure = interactive.front(run)
    assert sum(len(trace.x) for trace in figure.data if trace.name != "best reward") == len(found)
    progress = interactive.progress(run, against="minutes")
    assert [len(trace.x) for trace in progress.data] == [6, 2, 7, 1]
    assert len(interactive.costs(run).data[0].x) == 6


def test_many_networks_make_a_small_file(begin: Begin, trial: MakeTrial, tmp_path: Path) -> None:
    few = trial(0)
    trials = [
        trial(index, arch=few.arch if index == 0 else trial(index % 500 + 1).arch, accuracy=0.5, repeat=index // 500)
        for index in range(1, 1500)
    ]
    axes = plot_progress(begin(*trials))
    axes.figure.savefig(tmp_path / "many.svg")
    assert (tmp_path / "many.svg").stat().st_size < 400_000


def test_a_picture_is_drawn_into_the_axes_that_are_given(run: Run) -> None:
    figure, grid = plt.subplots(1, 2)
    assert plot_front(run, ax=grid[0]) is grid[0]
    assert plot_progress(run, ax=grid[1]).figure is figure
    assert len(plt.get_fignums()) == 1


def test_names_of_any_length_and_kind_leave_room_for_the_picture(runs: dict[str, Run]) -> None:
    first, second, *_ = runs.values()
    for draw in (plot_front, plot_progress):
        axes = draw({"x" * 400: first, 2: second})  # type: ignore[dict-item]
        axes.figure.canvas.draw()
        legend = axes.get_legend()
        assert legend is not None
        long, number = (text.get_text() for text in legend.get_texts())
        assert long.startswith("x" * 40)
        assert len(long) < 60
        assert number.startswith("2")

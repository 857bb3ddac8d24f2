"""Plots: what is drawn is what is on record, of runs of any size and name, and readable without colour."""

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from results import Limits, Run, TrialResult, TrialStatus, pareto_front
from results.plots import (
    look_at_front,
    look_at_importance,
    look_at_reward,
    look_at_step_time,
    plot_family,
    plot_front,
    plot_importance,
    plot_network,
    plot_reward,
    plot_step_time,
    plot_step_time_model,
    style,
)
from results.plots.drawing import LOOKS, OTHER
from results.plots.reward_curve import Course
from results.plots.step_time import widest_pair
from results.plots.style import COLOURS, DASHES, MANY, MARKERS, Size
from scaling import Base, Family, parse_sizes
from search_space.catalog import architecture, published
from search_space.spec import ArchSpec
from search_space.unrounded import Unrounded

MakeRun = Callable[..., Run]
MakeSampled = Callable[..., list[TrialResult]]
MakeTrial = Callable[..., TrialResult]
PLOTS: dict[str, Callable[..., Axes]] = {
    "front": plot_front,
    "reward": plot_reward,
    "reward over seconds": lambda run, **options: plot_reward(run, over="seconds", **options),
    "macs": plot_step_time,
    "params": lambda run, **options: plot_step_time(run, against="params", **options),
    "model": plot_step_time_model,
}


def measure(arch: ArchSpec, rng: random.Random) -> dict[str, float]:
    low, ratio, high = sorted(rng.uniform(0.4, 2) for _ in range(3))
    return {
        "accuracy": rng.uniform(0.3, 0.9),
        "step_time_ratio": ratio,
        "step_time_ratio_low": low,
        "step_time_ratio_high": high,
    }


def axes() -> Axes:
    return Figure(layout="constrained").subplots()


def pixels(ax: Axes) -> Image.Image:
    """The figure, drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(ax.get_figure(root=True))  # type: ignore[arg-type]
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def texts(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


def title(ax: Axes) -> str:
    return " ".join(ax.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ").split())


def marks(ax: Axes, label: str) -> PathCollection:
    (found,) = [each for each in ax.collections if str(each.get_label()).startswith(label)]
    assert isinstance(found, PathCollection)
    return found


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("size", ["notebook", "column"])
@pytest.mark.parametrize("number", [0, 1, 30])
def test_runs_of_any_size_are_drawn(
    make_run: MakeRun, sampled: MakeSampled, name: str, size: Size, number: int
) -> None:
    run = make_run(sampled(number, measure))
    with style(size):
        ax = PLOTS[name](run, ax=axes())
        picture = pixels(ax)
    assert len(picture.convert("L").getcolors(256) or []) > 20, "it is not blank"
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    is_empty = any("was" in text.get_text() for text in ax.texts)
    assert is_empty is (number == 0)


def test_the_front_is_the_runs(make_run: MakeRun, sampled: MakeSampled) -> None:
    run = make_run(sampled(30, measure))
    ax = plot_front(run, ax=axes())
    front, everything = run.front(), run.networks()
    places = np.array([(one.step_time_ratio, 100 * one.accuracy) for one in front])
    assert np.allclose(marks(ax, "front, trained once").get_offsets(), places)
    assert len(marks(ax, "dominated").get_offsets()) == len(everything) - len(front)  # type: ignore[arg-type]
    across, up = ax.containers[0].get_children()  # type: ignore[union-attr]
    for one, of_ratio, of_accuracy in zip(front, across.get_segments(), up.get_segments(), strict=True):
        assert of_ratio[:, 0] == pytest.approx([one.step_time_ratio_low, one.step_time_ratio_high])
        assert of_accuracy[:, 1] == pytest.approx([100 * (one.accuracy_low or 0), 100 * (one.accuracy_high or 0)])
    best = run.best()
    assert best is not None
    assert f"best reward {best.reward:.3f} (trial {best.trial})" in texts(ax)
    of_networks = plot_front(everything, ax=axes())
    assert np.allclose(marks(of_networks, "front").get_offsets(), places)


def test_confirmed_and_tied_networks_have_marks_of_their_own(make_run: MakeRun, trial: MakeTrial) -> None:
    trials = [trial(index, accuracy=0.5 + index / 100) for index in range(3)]
    for first in trials[:2]:
        for repeat in (1, 2):
            fields = {"arch": first.arch, "repeat": repeat, "accuracy": 0.5 + repeat / 100}
            trials.append(trial(len(trials), **fields))
    run = make_run(trials)
    ax = plot_front(run, ax=axes())
    assert "front, confirmed (1)" in texts(ax)
    assert "tied with the best (1)" in texts(ax)
    ax = plot_reward(run, ax=axes())
    assert {"a trial (3)", "a confirming training (4)", "best, confirmed: 2 x (95 %)"} <= set(texts(ax))
    course = Course.of(run)
    assert np.allclose(course.best, np.maximum.accumulate([run.objective.reward(one) for one in trials[:3]] + [0] * 4))


def test_limits_and_failures_are_told(make_run: MakeRun, trial: MakeTrial) -> None:
    limits = Limits(max_step_time=1.5, min_accuracy=0.4, max_params=2_000_000, min_params=1)
    trials = [trial(0), trial(1, accuracy=0.1), trial(2, status=TrialStatus.OUT_OF_MEMORY)]
    trials += [trial(index, status=TrialStatus.DIVERGED) for index in (3, 4)]
    run = make_run(trials, limits=limits)
    ax = plot_front(run, ax=axes())
    assert "not drawn: 1 out of memory, 2 diverged, 1 outside the limits" in title(ax)
    told = [text for text in texts(ax) if text.startswith("limit")]
    assert told == [
        "limit: step time at most 1.5 x",
        "limit: accuracy at least 40 %",
        "limit: params at most 2 M",
        "limit: params at least 1e-06 M",
    ]
    lines = {str(line.get_label()): line for line in ax.get_lines()}
    assert list(lines[told[0]].get_xdata()) == [1.5, 1.5]
    assert list(lines[told[1]].get_ydata()) == [40, 40]
    ax = plot_reward(run, ax=axes())
    assert "without a reward (4)" in texts(ax)
    nothing = make_run(trials[2:], name="nothing")
    (said,) = plot_front(nothing, ax=axes()).texts
    assert "1 out of memory, 2 diverged" in said.get_text().replace("\n", " ")


def test_reward_stands_where_trials_ended(make_run: MakeRun, trial: MakeTrial) -> None:
    # The second to be asked for ended first.
    trials = [trial(0, ended_s=900.0, accuracy=0.5), trial(1, ended_s=600.0, accuracy=0.7), trial(2, ended_s=1200.0)]
    run = make_run(trials)
    ax = plot_reward(run, ax=axes(), over="seconds")
    assert ax.get_xlabel().endswith(", min")
    rewards = [run.objective.reward(trials[number]) for number in (1, 0, 2)]
    assert np.allclose(marks(ax, "a trial").get_offsets(), np.stack([[10, 15, 20], rewards], axis=1))
    (line,) = ax.get_lines()
    assert np.allclose(line.get_xydata(), [(10, rewards[0]), (15, rewards[0]), (20, rewards[0])])
    with pytest.raises(ValueError, match="over must be one of trials, seconds, got 'days'"):
        plot_reward(run, ax=axes(), over="days")  # type: ignore[arg-type]


def test_runs_over_each_other_differ_without_colour(make_run: MakeRun, trial: MakeTrial) -> None:
    runs = [make_run([trial(0), trial(1)], name=f"_{number}") for number in range(8)]
    ax = plot_reward(runs, ax=axes())
    assert [text.strip() for text in texts(ax)] == [f"_{number}" for number in range(8)]
    looks = {(str(line.get_marker()), str(line.get_linestyle()), str(line._dash_pattern)) for line in ax.get_lines()}  # type: ignore[attr-defined]
    assert len(looks) == 8
    with pytest.raises(ValueError, match="runs must be at least one"):
        plot_reward([], ax=axes())


def test_no_mark_is_told_by_colour_alone() -> None:
    assert len(set(MARKERS)) == len(MARKERS) == len(set(COLOURS)) == len(COLOURS)
    assert len(set(map(str, DASHES))) == len(DASHES)
    looks = [*LOOKS.values(), OTHER]
    greys = [float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114))) for colour, _ in looks]
    for (first, grey), (second, other) in combinations(zip(looks, greys, strict=True), 2):
        assert first[1] != second[1] or abs(grey - other) > 0.2, (first, second)


def test_the_pair_is_the_widest_of_like_counts(make_run: MakeRun, sampled: MakeSampled) -> None:
    networks = make_run(sampled(40, measure)).networks()
    found = widest_pair(networks, "macs")
    assert found is not None
    ratios = [
        max(one.step_time_ratio, other.step_time_ratio) / min(one.step_time_ratio, other.step_time_ratio)
        for one, other in combinations(networks, 2)
        if max(one.macs, other.macs) <= 1.05 * min(one.macs, other.macs)
    ]
    assert found.times == max(ratios)
    assert widest_pair(networks[:1], "macs") is None
    with pytest.raises(ValueError, match="against must be one of macs, params, got 'flops'"):
        plot_step_time(networks, ax=axes(), against="flops")  # type: ignore[arg-type]


def test_calibration_counts_what_intervals_hold(make_run: MakeRun, trial: MakeTrial) -> None:
    predicted = {"step_time_predicted": 1.0, "step_time_predicted_low": 0.9, "step_time_predicted_high": 1.1}
    trials = [trial(index, step_time_ratio=ratio, **predicted) for index, ratio in enumerate((1.0, 1.05, 1.25))]
    # One that is trained anew is no news to the model.
    trials.append(trial(3, arch=trials[0].arch, repeat=1, step_time_ratio=1.5, **predicted))
    ax = plot_step_time_model(make_run(trials), ax=axes())
    assert title(ax) == "the 95 % interval holds 2 of 3 (67 %); median error 4.8 %"
    assert {"interval holds the measured (2)", "interval misses it (1)"} <= set(texts(ax))
    without = [replace(one, **dict.fromkeys(predicted)) for one in trials]
    (said,) = plot_step_time_model(without, ax=axes()).texts
    assert "no step time was predicted" in said.get_text().replace("\n", " ")


def test_importance_is_drawn_with_its_intervals(make_run: MakeRun, sampled: MakeSampled) -> None:
    from results.plots import ChoiceImportance, Importance

    choices = (
        ChoiceImportance(decision="stage1.se_ratio", share=0.5, low=0.4, high=0.7),
        ChoiceImportance(decision="stage2.op", share=0.1, low=-0.1, high=0.2),
        ChoiceImportance(decision="stage3.op", share=-0.1, low=-0.2, high=0.1),
    )
    found = Importance(of="reward", num_networks=20, told=0.6, choices=choices)
    ax = plot_importance(found, ax=axes(), most=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["stage 1 se ratio", "stage 2 op"]
    assert texts(ax) == ["clear: 95 % interval above 0", "not clear: interval holds 0"]
    bars = [each.get_segments()[0] for each in ax.collections]
    assert [list(bar[:, 0]) for bar in bars] == [pytest.approx([40, 70]), pytest.approx([-10, 20])]
    assert "20 networks; a forest tells 60 %" in title(ax)
    assert "tells nothing" in title(plot_importance(replace(found, told=-0.1), ax=axes()))
    assert len(look_at_importance(found).data) == 2
    pixels(plot_importance(make_run(sampled(12, measure)), "step_time", ax=axes()))


def cells(ax: Axes) -> list[Rectangle]:
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def test_a_network_has_a_cell_a_layer() -> None:
    arch = architecture("efficientnetv2_s")
    ax = plot_network(arch, ax=axes(), image_size=384)
    pixels(ax)
    assert len(cells(ax)) == sum(stage.depth for stage in arch.stages) + 2
    heights = {round(cell.get_height(), 6) for cell in cells(ax)}
    assert len(heights) == 3, "expansions 1, 4 and 6"
    assert ax.get_title(loc="left") == f"{arch.params / 1e6:.3g} M params, {arch.macs(384) / 1e9:.3g} G MACs at 384 px"
    assert ax.texts[5].get_text() == "9 × MBConv 3×3, expand 6, SE 0.25\n160 channels, 24×24 px"


def test_a_family_stands_side_by_side() -> None:
    found = published("efficientnetv2_s")
    unrounded = found.unrounded or Unrounded.of(found.arch)
    sizes = {"train_size": found.train_size, "eval_size": found.eval_size, "batch_size": 32}
    base = Base(name="S", arch=found.arch, unrounded=unrounded, **sizes)
    family = Family.of(base, parse_sizes("S,M"))
    ax = plot_family(family, ax=axes())
    pixels(ax)
    layers = [sum(stage.depth for stage in member.arch.stages) + 2 for member in family.members]
    assert len(cells(ax)) == sum(layers)
    named = [text.get_text().splitlines()[0] for text in ax.texts if "px" in text.get_text()]
    assert named == ["S", "M"]
    pixels(plot_family({"$\\frac$": (found.arch, 224)}, ax=axes()))
    with pytest.raises(ValueError, match="at least one network, got none"):
        plot_family({}, ax=axes())


@pytest.mark.parametrize("name", ["$\\frac$", "<b>x</b> $y$"])
def test_names_are_drawn_letter_by_letter(make_run: MakeRun, trial: MakeTrial, name: str) -> None:
    trials = [trial(index) for index in range(3)]
    run = make_run(trials, name=name.replace("/", "-"))
    shown = run.folder.name
    pixels(plot_front(run, ax=axes()))  # "\frac" between dollars would be refused
    ax = plot_reward([run, run], ax=axes())
    pixels(ax)
    assert texts(ax)[0].replace(r"\$", "$") == shown
    for figure in (look_at_front(run), look_at_reward(run, over="seconds"), look_at_step_time(run)):
        written = figure.layout.title.text
        assert "$" not in written
        assert "<b>" not in written
        assert len(figure.data) > 0


def test_hovering_tells_the_network(make_run: MakeRun, sampled: MakeSampled) -> None:
    run = make_run(sampled(20, measure), limits=Limits(max_step_time=5.0, min_accuracy=0.01))
    figure = look_at_front(run)
    front = {trace.name: trace for trace in figure.data}[f"front ({len(run.front())})"]
    assert list(front.x) == [one.step_time_ratio for one in pareto_front(run.networks())]
    assert [text.split("<br>")[0] for text in front.hovertext] == [f"trial {one.trial}" for one in run.front()]
    assert [shape.x0 for shape in figure.layout.shapes][:1] == [5]
    (trials, best) = look_at_reward(run).data
    assert len(trials.x) == len(best.x) == 20
    assert "no network was measured" in look_at_front(make_run(name="empty")).layout.title.text


def test_without_plotly_the_extra_is_named(
    make_run: MakeRun, trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ImportError, match=r"pip install 'trainaware-nas\[notebook\]'"):
        look_at_front(make_run([trial(0)]))


def test_many_marks_are_pixels_in_a_vector_file(make_run: MakeRun, trial: MakeTrial) -> None:
    networks = make_run([trial(0)]).networks()
    networks = [replace(networks[0], trial=0, accuracy=0.9, accuracy_low=None, accuracy_high=None)] + [
        replace(networks[0], trial=number, accuracy=0.5 + number / 1e5, params=10_000 + number)
        for number in range(1, MANY + 10)
    ]
    assert marks(plot_front(networks, ax=axes()), "dominated").get_rasterized()
    ax = plot_step_time(networks, ax=axes())
    assert marks(ax, "a network").get_rasterized()
    assert not plot_front(networks[:5], ax=axes()).collections[0].get_rasterized()


def test_a_device_is_asked_for_where_there_are_several(make_run: MakeRun, trial: MakeTrial) -> None:
    run = make_run([trial(0), trial(1, device="gpu")])
    for plot in PLOTS.values():
        with pytest.raises(Exception, match="choose one"):
            plot(run, ax=axes())
        plot(run, ax=axes(), device="gpu")


def test_new_axes_are_pyplots_in_the_style() -> None:
    from matplotlib import pyplot as plt

    with style("column"):
        ax = plot_front([])
    figure: Any = ax.get_figure()
    assert figure.get_figwidth() == 3.3
    assert plt.fignum_exists(figure.number)
    plt.close(figure)
    with pytest.raises(ValueError, match="style must be one of notebook, column, got 'poster'"), style("poster"):  # type: ignore[arg-type]
        pass


def test_importing_the_plots_imports_nothing_heavy() -> None:
    code = "import sys, results.plots; print([name for name in sys.argv[1:] if name in sys.modules])"
    heavy = ("torch", "ray", "optuna", "matplotlib", "plotly", "sklearn")
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

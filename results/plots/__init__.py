"""Plots of runs, networks, families and trainings: `plot_*` on matplotlib's axes, for papers and notebooks, and
`look_at_*` as plotly's figures, where hovering tells which network a mark is of.

    with style("column"):
        plot_front(Run("runs/cifar10")).figure.savefig("front.pdf")
"""

from results.plots.drawing import plot_family, plot_network
from results.plots.front import plot_front
from results.plots.importance_plot import plot_importance
from results.plots.interactive import look_at_front, look_at_importance, look_at_reward, look_at_step_time
from results.plots.learning import Training, compare_trainings, plot_learning, training_figure
from results.plots.permutation import ChoiceImportance, Importance, importance
from results.plots.reward_curve import plot_reward
from results.plots.step_time import plot_step_time, plot_step_time_model
from results.plots.style import style

__all__ = [
    "ChoiceImportance",
    "Importance",
    "Training",
    "compare_trainings",
    "importance",
    "look_at_front",
    "look_at_importance",
    "look_at_reward",
    "look_at_step_time",
    "plot_family",
    "plot_front",
    "plot_importance",
    "plot_learning",
    "plot_network",
    "plot_reward",
    "plot_step_time",
    "plot_step_time_model",
    "style",
    "training_figure",
]

"""Pictures of a run: matplotlib axes for a paper, plotly figures to look around in (results.plots.interactive).

Each function draws into the axes that it is given, or into a new figure of pyplot's as wide as a notebook's cell or a
paper's column, and returns the axes. Learning curves of trainings are `nas curves`.
"""

from results.plots.costs import plot_calibration, plot_costs
from results.plots.drawing import plot_family, plot_network
from results.plots.front import plot_front
from results.plots.importance import importance, plot_importance
from results.plots.progress import plot_progress

__all__ = [
    "importance",
    "plot_calibration",
    "plot_costs",
    "plot_family",
    "plot_front",
    "plot_importance",
    "plot_network",
    "plot_progress",
]

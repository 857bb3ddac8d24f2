"""Pictures of runs, networks and trainings: matplotlib axes for a paper, plotly figures to look around in
(results.plots.interactive).

Each function draws into the axes that it is given, or into a new figure of pyplot's, and returns the axes:

    with style("column"):
        plot_front(run).figure.savefig("front.pdf")

Of several runs or trainings, by name, what compares is drawn over each other.
"""

from results.plots.costs import plot_calibration, plot_costs
from results.plots.drawing import plot_family, plot_network
from results.plots.front import plot_front
from results.plots.importance import importance, plot_importance
from results.plots.learning import Training, plot_learning
from results.plots.progress import plot_progress
from results.plots.style import style

__all__ = [
    "Training",
    "importance",
    "plot_calibration",
    "plot_costs",
    "plot_family",
    "plot_front",
    "plot_importance",
    "plot_learning",
    "plot_network",
    "plot_progress",
    "style",
]

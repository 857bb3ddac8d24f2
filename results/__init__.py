"""What was measured and what it shows: the record of a trial, the folder of a run, its networks, reward, Pareto front.

No torch, no Ray, no Optuna: a run opens on a machine that has none of them.
"""

from results.asks import Ask, in_order
from results.columns import COLUMNS, Column
from results.compare import Comparison
from results.devices import SeveralDevices, by_device
from results.durable import RunError, RunWriteError
from results.folder import SCHEMA_VERSION
from results.limits import Limits
from results.networks import Network, networks, networks_by_device
from results.pareto import best_network, hypervolume, pareto_front
from results.provenance import environment
from results.question import Asked, Question
from results.record import TrialResult, TrialStatus, Weights
from results.reward import Objective, reward
from results.state import RunState, is_locked
from results.store import Run, load
from results.tables import alone_text, best_text, csv_text, front_csv, front_text, summarize, text_table
from results.validation import MIN_NETWORKS, NetworkPair, Ranking, Validation, validate
from results.writer import RunWriter, check_run_name

__all__ = [
    "COLUMNS",
    "MIN_NETWORKS",
    "SCHEMA_VERSION",
    "Ask",
    "Asked",
    "Column",
    "Comparison",
    "Limits",
    "Network",
    "NetworkPair",
    "Objective",
    "Question",
    "Ranking",
    "Run",
    "RunError",
    "RunState",
    "RunWriteError",
    "RunWriter",
    "SeveralDevices",
    "TrialResult",
    "TrialStatus",
    "Validation",
    "Weights",
    "alone_text",
    "best_network",
    "best_text",
    "by_device",
    "check_run_name",
    "csv_text",
    "environment",
    "front_csv",
    "front_text",
    "hypervolume",
    "in_order",
    "is_locked",
    "load",
    "networks",
    "networks_by_device",
    "pareto_front",
    "reward",
    "summarize",
    "text_table",
    "validate",
]

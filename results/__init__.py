"""What was measured and what it shows: the record of a trial, the folder of a run, reward, Pareto front, tables.

No torch, no Ray, no Optuna: a run opens on a machine that has none of them.
"""

from results.devices import by_device
from results.durable import RunError, RunWriteError
from results.pareto import Limits, accuracy_interval, fronts_by_device, hypervolume, pareto_front
from results.provenance import environment
from results.record import TrialResult, TrialStatus
from results.reward import Objective, reward
from results.store import SCHEMA_VERSION, Run, best_trial
from results.tables import FrontRow, front_csv, front_rows, front_text, summarize, text_table
from results.validation import MIN_NETWORKS, NetworkPair, Ranking, Validation, validate
from results.writer import RunWriter, check_run_name

__all__ = [
    "MIN_NETWORKS",
    "SCHEMA_VERSION",
    "FrontRow",
    "Limits",
    "NetworkPair",
    "Objective",
    "Ranking",
    "Run",
    "RunError",
    "RunWriteError",
    "RunWriter",
    "TrialResult",
    "TrialStatus",
    "Validation",
    "accuracy_interval",
    "best_trial",
    "by_device",
    "check_run_name",
    "environment",
    "front_csv",
    "front_rows",
    "front_text",
    "fronts_by_device",
    "hypervolume",
    "pareto_front",
    "reward",
    "summarize",
    "text_table",
    "validate",
]

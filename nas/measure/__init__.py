"""What a training step costs on this device, measured fairly, and predicted before anything is trained."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nas.measure.calibration import Calibration, PartTime, read_calibration, write_calibration
from nas.measure.model import Prediction, StepTimeModel
from nas.measure.parts import Part, network_parts, space_parts
from nas.measure.rough import RoughStepTime
from nas.measure.step_time import Conditions, Precision, Samples, StepTime

if TYPE_CHECKING:
    from nas.measure.block_table import calibrate, kept_calibration
    from nas.measure.memory import TrainingMemory, measure_training_memory
    from nas.measure.networks import conditions_here, measure_dtype_gain, measure_step_time

__all__ = [
    "Calibration",
    "Conditions",
    "Part",
    "PartTime",
    "Precision",
    "Prediction",
    "RoughStepTime",
    "Samples",
    "StepTime",
    "StepTimeModel",
    "TrainingMemory",
    "calibrate",
    "conditions_here",
    "kept_calibration",
    "measure_dtype_gain",
    "measure_step_time",
    "measure_training_memory",
    "network_parts",
    "read_calibration",
    "space_parts",
    "write_calibration",
]

_WITH_TORCH = {
    "TrainingMemory": "nas.measure.memory",
    "calibrate": "nas.measure.block_table",
    "conditions_here": "nas.measure.networks",
    "kept_calibration": "nas.measure.block_table",
    "measure_dtype_gain": "nas.measure.networks",
    "measure_step_time": "nas.measure.networks",
    "measure_training_memory": "nas.measure.memory",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TORCH[name]), name)

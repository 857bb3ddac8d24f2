"""What a training step costs on this device, measured fairly."""

from typing import TYPE_CHECKING, Any

from nas.measure.step_time import StepTime

if TYPE_CHECKING:
    from nas.measure.networks import measure_step_time

__all__ = ["StepTime", "measure_step_time"]


def __getattr__(name: str) -> Any:
    if name == "measure_step_time":
        from nas.measure.networks import measure_step_time

        return measure_step_time
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

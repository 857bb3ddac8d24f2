"""What commands ask of a device, each question in a child process of its own: torch never enters the command itself."""

from dataclasses import replace
from typing import Any

from nas.cli.console import Failed
from nas.container import memory
from nas.isolate import run_in_child
from nas.measure import Conditions
from nas.measure.report import Setting

__all__ = ["CALIBRATION_DEADLINE_S", "SHORT_DEADLINE_S", "ask_child", "memory_bytes", "on_device"]

MEMORY_SHARE = 0.9
SHORT_DEADLINE_S, CALIBRATION_DEADLINE_S = 300.0, 7200.0


def memory_bytes() -> int:
    """What a child may hold."""
    return int(memory().total * MEMORY_SHARE)


def ask_child(what: str, call: str, *arguments: Any, deadline_s: float) -> Any:
    """What `call` returns in a child.

    Raises:
        Failed: where it ends otherwise; `what` says what was being done.
    """
    outcome = run_in_child(call, *arguments, deadline_s=deadline_s, memory_bytes=memory_bytes())
    if outcome.ended != "returned":
        raise Failed(f"{what} failed: {outcome.reason}")
    return outcome.value


def on_device(setting: Setting, choice: str) -> tuple[Setting, Conditions]:
    """The setting on the device that was chosen, and what a step time will hold under."""
    found = ask_child("finding the device", "nas.measure.report:find_device", choice, deadline_s=SHORT_DEADLINE_S)
    if found is None:
        raise ValueError("device must be cpu or auto where torch finds no GPU, got 'cuda'")
    device, name = found
    setting = replace(setting, compute=replace(setting.compute, device=device))
    return setting, Conditions.of(
        name,
        recipe=setting.recipe,
        compute=setting.compute,
        batch_size=setting.batch_size,
        image_size=setting.image_size,
    )

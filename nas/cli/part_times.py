"""How `nas scale` times what a family's members are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from tyro.conf import arg

from nas.cli.base import FoundBase
from nas.cli.child import CALIBRATION_DEADLINE_S, ask_child, on_device
from nas.cli.console import print_note
from nas.cli.setting import check_threads, setting_of_run
from nas.device import Compute
from nas.measure import Calibration, Part
from nas.measure.family_times import StepTimeTable
from nas.measure.report import Setting
from nas.train import Recipe
from search_space import ArchSpec, Space, StageChoices

__all__ = ["StepOptions", "part_timer", "step_time_table"]

BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Of the training step that step times are of, None for what was not typed. A run's winner is timed as the run's
    networks were."""

    batch_size: Annotated[int | None, arg(metavar="N")] = None
    """Images in the training step that is timed. Where not given, the run's, or 32."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """Threads that the step computes with. Where not given, the run's, or 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto is cuda where there is one."""


def step_time_table(options: StepOptions, found: FoundBase) -> StepTimeTable:
    """An empty table but for the parts of the reference: the run's, or where there is no run the base itself.

    Raises:
        ValueError: for threads or a device that are not there, a run that does not say what it measured under.
        Failed: where the timing fails.
    """
    setting, conditions = on_device(_setting(options, found), options.device)
    print_note(
        f"step times are of {conditions.device}, batch {setting.batch_size}, {setting.image_size} px, "
        f"{setting.compute.dtype}, threads {setting.compute.threads}"
    )
    return StepTimeTable(part_timer(setting), setting.image_size, setting.space.reference)


def _setting(options: StepOptions, found: FoundBase) -> Setting:
    base = found.base
    if found.run is not None:
        setting = setting_of_run(found.run)
        setting = replace(setting, space=setting.space.with_num_classes(base.arch.head.num_classes))
    else:
        setting = Setting(
            space=_space_of(base.arch, base.train_size),
            recipe=Recipe(),
            compute=Compute(threads=1),
            batch_size=BATCH_SIZE,
            image_size=base.train_size,
        )
    threads = setting.compute.threads if options.threads is None else options.threads
    check_threads(threads)
    batch_size = setting.batch_size if options.batch_size is None else options.batch_size
    return replace(setting, compute=replace(setting.compute, threads=threads), batch_size=batch_size)


def _space_of(arch: ArchSpec, image_size: int) -> Space:
    """The space that holds this network alone."""
    stages = tuple(
        StageChoices(
            op=(stage.op,),
            kernel=(stage.kernel,),
            expansion=(stage.expansion,),
            se_ratio=(stage.se_ratio,),
            width=(stage.width,),
            depth=(stage.depth,),
            stride=stage.stride,
        )
        for stage in arch.stages
    )
    return Space(
        name="one-network",
        stem=arch.stem,
        stages=stages,
        head=arch.head,
        image_size=image_size,
        batch_size=BATCH_SIZE,
        activation=arch.activation,
        norm_eps=arch.norm_eps,
        padding=arch.padding,
    )


def part_timer(setting: Setting) -> Callable[[Sequence[Part]], Calibration]:
    """Times parts under the setting, in a child."""

    def time_parts(parts: Sequence[Part]) -> Calibration:
        print_note(f"timing {len(parts)} parts ...")
        call = "nas.measure.report:calibrate_space"
        found: Calibration = ask_child("timing parts", call, setting, parts, deadline_s=CALIBRATION_DEADLINE_S)
        return found

    return time_parts

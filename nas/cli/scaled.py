"""A family as a table and as JSON."""

from dataclasses import asdict
from typing import Any

from nas.cli.console import short_count
from nas.measure import StepTimeModel
from nas.measure.family_times import StepTimeTable
from results import text_table
from scaling import Family, Member, Ramp, SizeRamp

__all__ = ["family_text", "member_document"]


def _ramp(ramp: Ramp | SizeRamp) -> str:
    return f"{ramp.first:g}" if ramp.first == ramp.last else f"{ramp.first:g}-{ramp.last:g}"


def _step_time(member: Member, family: Family, table: StepTimeTable | None) -> tuple[float, float, float] | None:
    """The predicted step time over the base's, with its 95 % interval."""
    if table is None:
        return None
    model = StepTimeModel(table.calibration)
    base, found = model.predict_all([family.base.arch, member.arch])
    return found.ratio / base.ratio, found.low / base.ratio, found.high / base.ratio


def member_document(member: Member, family: Family, table: StepTimeTable | None) -> dict[str, Any]:
    """One member; a step time is the ratio to the base's, with the interval of the prediction."""
    base, eval_size = family.base, member.recipe.eval_size
    step_time = _step_time(member, family, table)
    return {
        "name": member.name,
        "phi": member.phi,
        "depth_phi": member.depth_phi,
        "key": member.arch.key,
        "params": member.params,
        "params_ratio": member.params / base.arch.params,
        "macs": member.macs,
        "macs_ratio": member.macs / base.arch.macs(base.eval_size),
        "step_time_ratio": step_time and step_time[0],
        "step_time_ratio_low": step_time and step_time[1],
        "step_time_ratio_high": step_time and step_time[2],
        "eval_size": eval_size,
        "num_layers": sum(stage.depth for stage in member.arch.stages),
        "short": str(member.arch),
        "recipe": asdict(member.recipe),
    }


def family_text(family: Family, table: StepTimeTable | None) -> str:
    """The members as a table, then each network in its short form."""
    headers = ["", "phi", "params", "x base", "MACs", "x base", "step", "layers", "train px", "eval px"]
    headers += ["RandAugment", "mixup", "cutmix", "dropout"]
    rows = []
    for member in family.members:
        told = member_document(member, family, table)
        recipe = member.recipe
        apart = "" if member.phi == member.depth_phi else f", {member.depth_phi:.2f}"
        rows.append(
            (
                member.name,
                f"{member.phi:.2f}{apart}",
                f"{member.params:,}",
                f"{told['params_ratio']:.2f}",
                short_count(member.macs),
                f"{told['macs_ratio']:.2f}",
                "-" if told["step_time_ratio"] is None else f"{told['step_time_ratio']:.2f}",
                str(told["num_layers"]),
                _ramp(recipe.train_size),
                str(recipe.eval_size),
                _ramp(recipe.randaugment),
                _ramp(recipe.mixup),
                _ramp(recipe.cutmix),
                _ramp(recipe.dropout),
            )
        )
    first = family.members[0].recipe
    shared = (
        f"stochastic depth {first.stochastic_depth:g}, {first.epochs} epochs in {first.phases} phases, batch "
        f"{first.batch_size}; MACs are at the eval size"
    )
    step_note = (
        f"; step: predicted training step at {table.calibration.conditions.image_size} px over the base's"
        if table is not None
        else "; step times: --step-times, or nas measure"
    )
    names = max(len(member.name) for member in family.members)
    networks = [f"{member.name.ljust(names)}  {member.arch}" for member in family.members]
    return "\n".join([text_table(headers, rows, left=("",)), shared + step_note, "", *networks])

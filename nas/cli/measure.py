"""`nas measure`: time networks' training steps, or the parts of a space that predictions are made of."""

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from nas.cli.arch import NamedArch, find_arch
from nas.cli.calibrated import calibration_document, calibration_text
from nas.cli.child import CALIBRATION_DEADLINE_S, SHORT_DEADLINE_S, ask_child, memory_bytes, on_device
from nas.cli.console import print_json, print_note
from nas.cli.measured import Measured, Row, conditions_text, measured_text
from nas.cli.setting import SettingOptions, find_setting
from nas.isolate import run_in_child
from nas.measure import Calibration, Precision, Prediction, StepTimeModel, network_parts
from nas.measure.calibration import CALIBRATIONS
from nas.measure.report import Setting
from nas.text import printable
from nas.user_folders import cache_folder
from results import TrialStatus, environment
from search_space import ArchSpec

__all__ = ["Config", "run"]

MIN_DEADLINE_S, DEADLINE_TIMES = 600.0, 10.0
WIDEST = 160


@dataclass(frozen=True, kw_only=True)
class Config(SettingOptions):
    """Time a network's training step (forward, backward, optimizer) against a reference's, a step of one after a step
    of the other, so that a busy machine slows both; its memory too, and what was predicted of it.

    Example: nas measure efficientnetv2_s efficientnet_b0 --image-size 64 --batch-size 8 --compare

    The reference is that of the space, or with --compare the first ARCH. All networks of one command are measured one
    after the other, under the same conditions and with as many classes; where ARCHs disagree, the option has to be
    given. Milliseconds change with the machine's load, ratios hardly; with one thread on a processor they are of the
    processor's time. The largest batch that fits into the memory is told up to 65,536 images. A network that cannot be
    measured is a row that says why, and the exit code is 1.
    """

    arch: Annotated[Positional[tuple[str, ...]], arg(metavar="[ARCH ...]", help_behavior_hint="")] = ()
    """Names of the catalog, JSON files, or RUN:TRIAL (a run and a trial's number)."""
    compare: bool = False
    """Time the others against the first ARCH. Nothing is predicted then, as predictions are against the space's
    reference."""
    calibrate: bool = False
    """Time every part of the space's networks first, and keep that: what predictions are made of, here and in a
    search."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Auto is cuda where there is a GPU."""
    width: Annotated[float, arg(metavar="SHARE")] = Precision.width
    """Stop as soon as the ratio's 95 % interval is as narrow, as a share of the ratio."""
    max_rounds: Annotated[int, arg(metavar="N")] = Precision.max_rounds
    """Stop after as many steps of a network in any case."""
    max_seconds: Annotated[float, arg(metavar="S")] = Precision.max_seconds
    """Stop after as many seconds, once there are 6 rounds. A network that takes ten times as long, and ten minutes
    more, is given up."""
    json: bool = False
    """One JSON document on stdout, with every timed step."""


def run(config: Config) -> int:
    """Measure, and print what was found; 1 where a network could not be measured.

    Raises:
        ValueError: for what cannot be done as asked.
        Failed: where the calibration failed.
    """
    if not config.arch and not config.calibrate:
        raise ValueError("nas measure takes at least one ARCH, or --calibrate, got neither")
    if config.compare and len(config.arch) < 2:
        raise ValueError(f"--compare takes at least two ARCHs, got {len(config.arch)}")
    if not math.isfinite(config.max_seconds):
        raise ValueError(f"max_seconds must be a finite number, got {config.max_seconds}")
    precision = Precision(width=config.width, max_rounds=config.max_rounds, max_seconds=config.max_seconds)
    archs = [find_arch(text) for text in config.arch]
    setting = find_setting(config, archs)
    num_classes = setting.space.head.num_classes
    archs = [replace(named, arch=named.arch.with_num_classes(num_classes)) for named in archs]
    setting, conditions = on_device(setting, config.device)
    calibration = _calibration(setting, config)
    predicted = _predict(None if config.compare else calibration, archs, setting.image_size)
    rows = _measure(archs, setting, precision, predicted, compare=config.compare)
    measured = Measured(
        conditions=conditions,
        num_classes=num_classes,
        reference_name=archs[0].name if config.compare else f"the reference of {setting.space.name}",
        reference=archs[0].arch if config.compare else setting.space.reference,
        rows=tuple(rows),
        is_comparison=config.compare,
    )
    if config.compare:
        measured = measured.with_first_as_reference()
    if config.json:
        print_json(
            measured.to_dict()
            | {
                "space": setting.space.name,
                "precision": asdict(precision),
                "calibration": calibration_document(calibration) if calibration else None,
                "environment": environment(),
            }
        )
    else:
        print(conditions_text(conditions, num_classes))
        if config.calibrate and calibration:
            print(calibration_text(calibration, setting.space.name))
        if config.calibrate and rows:
            print()
        if rows:
            print(measured_text(measured, columns=min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)))
    return 0 if all(row.status is TrialStatus.OK for row in measured.rows) else 1


def _calibration(setting: Setting, config: Config) -> Calibration | None:
    """A new one where it is asked for; else the kept one, where that is of use."""
    found: Calibration | None = None
    if config.calibrate:
        # Now, and not after a minute's work.
        (cache_folder() / CALIBRATIONS).mkdir(mode=0o700, parents=True, exist_ok=True)
        print_note(
            f"calibrating {setting.space.name} for {setting.space.head.num_classes} classes at {setting.image_size} "
            "px: this takes about 45 s, and longer where steps are long ..."
        )
        call = "nas.measure.report:calibrate_space"
        found = ask_child("calibrating", call, setting, deadline_s=CALIBRATION_DEADLINE_S)
    elif not config.compare:
        call = "nas.measure.report:find_calibration"
        found = ask_child("looking for a calibration", call, setting, deadline_s=SHORT_DEADLINE_S)
    return found


def _predict(calibration: Calibration | None, archs: Sequence[NamedArch], image_size: int) -> list[Prediction | None]:
    """For each network what the calibration says; None where it lacks a part of it."""
    if calibration is None:
        return [None] * len(archs)
    reference, model = calibration.reference, StepTimeModel(calibration)

    def known(arch: ArchSpec) -> bool:
        # The names of parts do not tell activation and padding.
        same_kind = (arch.activation, arch.padding) == (reference.activation, reference.padding)
        return same_kind and calibration.has(network_parts(arch, image_size))

    return [model.predict(named.arch) if known(named.arch) else None for named in archs]


def _measure(
    archs: Sequence[NamedArch],
    setting: Setting,
    precision: Precision,
    predicted: Sequence[Prediction | None],
    *,
    compare: bool,
) -> list[Row]:
    """A row for each network, measured one after the other."""
    limit = memory_bytes()
    rows = []
    for number, (named, prediction) in enumerate(zip(archs, predicted, strict=True), start=1):
        print_note(f"measuring {number} of {len(archs)}: {printable(named.name)} ...")
        reference = setting.space.reference if not compare else None if number == 1 else archs[0].arch
        outcome = run_in_child(
            "nas.measure.report:measure_network",
            named.arch,
            reference,
            setting,
            precision,
            None if setting.compute.is_cuda else limit,
            deadline_s=MIN_DEADLINE_S + DEADLINE_TIMES * precision.max_seconds,
            memory_bytes=limit,
        )
        rows.append(Row.of(named, setting.image_size, outcome, prediction))
    return rows

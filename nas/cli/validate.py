"""`nas validate RUN`: does the run's short training rank networks as a longer one does?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, arg

from nas.cli.console import Failed, print_json, print_note
from nas.cli.runs import open_run
from nas.search import EngineError, LongTraining, Progress, ValidationConfig, find_long_training, train_longer
from nas.text import printable
from results import MIN_NETWORKS, NetworkPair, Ranking, Validation, text_table, validate

__all__ = ["Config", "run"]


@dataclass(frozen=True, kw_only=True)
class Config(ValidationConfig):
    """Is a run's short training fit for use? Some of its networks are trained for longer, and the two are compared.

    Example: nas validate my-run --times 4

    The networks are spread evenly over the run's ranking, the best and the worst included. The long training has the
    run's recipe, data and held-out images, and new seeds. It is a run of its own, in RUN/validate-4x: after an
    interruption the same command goes on, and when all is there it only reports. The verdict is yes where, for the
    reward, Kendall's tau is at least 0.5 with its interval above 0.3, and above that of params, step time or cost alone
    with a probability of 0.9. Of a run that a supernet judged, the networks are trained alone (--train-length; as a
    search does where not given), and the verdict is on the supernet.
    """

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run's folder, or its name below runs/."""
    json: bool = False
    """One JSON document on stdout."""


def run(config: Config) -> int:
    """Train what is missing, then report.

    Raises:
        ValueError: for no such run, one with too few networks, or what cannot be done as asked.
        Failed: where too few long trainings were measured in full.
    """
    training = find_long_training(open_run(config.run), config)
    if training.left:
        _train(config, training)
        training = find_long_training(open_run(config.run), config)
    for trial in training.failed:
        print_note(f"left out: trial {training.short[trial.index].index}, {trial.status}: {trial.reason}")
    pairs = training.pairs()
    if len(pairs) < MIN_NETWORKS:
        raise Failed(
            f"{training.folder}: of {len(training.short)} networks only {len(pairs)} were measured in full in the long "
            f"training, and fewer than {MIN_NETWORKS} show nothing"
        )
    found = validate(pairs)
    if config.json:
        print_json(_document(training, found))
    else:
        print(_text(config, training, found))
    return 0


def _train(config: Config, training: LongTraining) -> None:
    how_to_go_on = f"what was finished is kept; to go on: {_command(config)}"
    try:
        with Progress() as progress:
            end = train_longer(training, config, progress)
    except EngineError as error:
        raise Failed(f"{error}\n{how_to_go_on}") from error
    except KeyboardInterrupt:
        if (training.folder / "config.json").exists():
            print_note(how_to_go_on)
        raise
    if end.interrupted:
        print_note(how_to_go_on)
        raise KeyboardInterrupt


def _command(config: Config) -> str:
    """What goes on with this validation: all but its length is on record."""
    length = f" --train-length {config.train_length}" if config.train_length else ""
    return f"nas validate {printable(config.run)}{f' --times {config.times:g}' if config.times else length}"


def _devices(training: LongTraining) -> list[str]:
    return sorted({trial.device for trial in training.long if trial.ok})


def _document(training: LongTraining, found: Validation) -> dict[str, Any]:
    return {
        "run": str(training.run.folder),
        "validation": str(training.folder),
        "short_steps": training.short_steps(),
        "long_steps": training.long_steps(),
        "device": training.device,
        "long_devices": _devices(training),
        "num_networks": len(training.short),
        "failed": [
            {"trial": training.short[trial.index].index, "status": str(trial.status), "reason": trial.reason}
            for trial in training.failed
        ],
        **found.to_dict(),
    }


def _text(config: Config, training: LongTraining, found: Validation) -> str:
    by = training.judged_by
    steps = f"{training.short_steps()} steps against {training.long_steps()}"
    if not training.short_steps():
        steps = f"a supernet against {training.long_steps()} steps"
    lines = [
        f"{printable(str(training.run.folder))}: {steps}, "
        f"{len(found.pairs)} networks" + (f", {len(training.failed)} left out" if training.failed else ""),
        _pairs_table(found.pairs, by),
        "",
        _rankings_table("long accuracy", found.by_long_accuracy, by),
        "",
        _rankings_table("long reward", found.by_long_reward, by),
        "",
        _regret_text(found, by),
    ]
    if _devices(training) != [training.device]:
        others = printable(", ".join(_devices(training)))
        where = f"measured on {printable(training.device)} in the run, here on {others}"
        lines.append(f"{where}: step times do not compare")
    lines += ["", f"fit for use: {'yes' if found.verdict.fit else 'no'}"]
    judge = "supernet" if by == "supernet" else "short training"
    lines += [f"  {reason.replace('short training', judge)}" for reason in found.verdict.reasons]
    return "\n".join([*lines, "", *_next_steps(config, training, found)])


def _ranks(rewards: Sequence[float]) -> list[int]:
    return [1 + sum(other > reward for other in rewards) for reward in rewards]


def _pairs_table(pairs: Sequence[NetworkPair], by: str) -> str:
    short_ranks = _ranks([pair.short_reward for pair in pairs])
    long_ranks = _ranks([pair.long_reward for pair in pairs])
    rows = sorted(zip(short_ranks, long_ranks, pairs, strict=True), key=lambda row: (row[0], row[2].trial))
    figures = [f"{each} {figure}" for figure in ("accuracy", "reward", "rank") for each in (by, "long")]
    headers = ("trial", *figures)
    cells = [
        (
            str(pair.trial),
            f"{100 * pair.short_accuracy:.1f} %",
            f"{100 * pair.long_accuracy:.1f} %",
            f"{pair.short_reward:.4f}",
            f"{pair.long_reward:.4f}",
            str(short_rank),
            str(long_rank),
        )
        for short_rank, long_rank, pair in rows
    ]
    return text_table(headers, cells)


def _rankings_table(target: str, rankings: Sequence[Ranking], by: str) -> str:
    first = f"against the {target}"
    headers = (first, "order", "Kendall's tau (95 %)", "Spearman's rho (95 %)", f"P({by} is better)")
    cells = [
        (
            ranking.by.replace("short", by),
            ranking.order,
            str(ranking.tau or "undefined"),
            str(ranking.rho or "undefined"),
            "" if ranking.short_better is None else f"{ranking.short_better:.3f}",
        )
        for ranking in rankings
    ]
    return text_table(headers, cells, left=(first, "order"))


def _regret_text(found: Validation, by: str) -> str:
    regret = found.regret
    picked = f"the {by} reward picks trial {regret.picked}, of rank {regret.rank} of {len(found.pairs)} by long reward"
    if regret.rank == 1:
        return picked
    return f"{picked}: {100 * regret.share:.1f} % below the best, trial {regret.best}"


def _next_steps(config: Config, training: LongTraining, found: Validation) -> list[str]:
    if found.verdict.fit:
        return [f"  nas pareto {printable(config.run)}", f"  nas pareto {printable(str(training.folder))}"]
    steps = [f"  nas search ... --train-length {training.long_steps()}    # a search with a longer training"]
    if not training.short_steps():
        steps = ["  nas supernet train ... --budget LONGER"]
    if training.num_more:
        more = len(training.short) + min(training.num_more, len(training.short))
        steps.insert(0, f"  {_command(config)} --networks {more}    # more of its networks, added to these")
    return steps

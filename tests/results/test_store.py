"""A run reads back, torn or moved; what is damaged is named; a stranger's run does nothing but be read."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from results import (
    SCHEMA_VERSION,
    Limits,
    Objective,
    Run,
    RunError,
    RunWriter,
    SeveralDevices,
    TrialResult,
    lines,
    load,
)

MakeTrial = Callable[..., TrialResult]
NewRun = Callable[..., Path]


def test_a_run_reads_back(new_run: NewRun, trial: MakeTrial, objective: Objective) -> None:
    made = [trial(2, accuracy=0.4), trial(0), trial(1, status="failed"), trial(3, step_time_ratio=0.5)]
    run = Run(new_run(*made))
    assert run.trials == sorted(made, key=lambda one: one.index)
    assert [one.index for one in run.ok] == [0, 2, 3]
    assert run.objective == objective
    assert run.limits == Limits()
    assert run.notes == ()
    assert run.config["seed"] == 1
    assert run.config["schema_version"] == SCHEMA_VERSION
    assert run.trial(1) == made[2]
    with pytest.raises(RunError, match=r"has no trial 9 \(it holds 4 trials, up to 3\)"):
        run.trial(9)
    assert 0 < run.hypervolume() < 1


def test_best_and_front_keep_to_the_limits_of_the_run(tmp_path: Path, trial: MakeTrial, objective: Objective) -> None:
    fast, exact = trial(0, accuracy=0.6, step_time_ratio=0.1), trial(1, accuracy=0.9, step_time_ratio=3.0)
    with RunWriter.create(tmp_path / "run", config={}, objective=objective, limits=Limits(max_step_time=1.0)) as writer:
        writer.append(fast)
        writer.append(exact)
    run = Run(tmp_path / "run")
    ((kept,), best) = run.front(), run.best()
    assert (kept.trial, best) == (fast.index, kept)
    assert [one.trial for one in run.front(no_limits=True)] == [exact.index, fast.index]
    best = run.best(no_limits=True)
    assert best is not None
    assert best.trial == exact.index
    assert run.best(min_accuracy=1.0) is None
    assert run.front(min_accuracy=1.0) == run.networks(min_accuracy=1.0) == []
    assert run.hypervolume() > run.hypervolume(max_step_time=0.01) == 0


def test_a_run_is_asked_another_question(new_run: NewRun, trial: MakeTrial) -> None:
    exact, fast = trial(0, accuracy=0.9, step_time_ratio=1.8), trial(1, accuracy=0.7, step_time_ratio=0.5)
    run = Run(new_run(exact, fast))
    assert [run.best(w=w).trial for w in (0.0, -1.0)] == [0, 1]  # type: ignore[union-attr]
    own, other = run.objective, Objective(reference_params=2000, w=-1.0, v=0.0)
    assert [one.reward for one in run.networks()] == [own.reward(one) for one in (exact, fast)]
    assert [one.reward for one in run.front(w=-1, v=0)] == [other.reward(one) for one in (exact, fast)]
    assert [one.trial for one in run.networks(max_step_time=1)] == [1]
    assert [one.trial for one in run.networks(min_params=fast.params)] == [1]
    assert run.hypervolume(max_params=exact.params) < run.hypervolume()
    with pytest.raises(ValueError, match=r"Objective\.w must be a number from -10 to 10, got 11"):
        run.best(w=11)
    with pytest.raises(ValueError, match=r"Limits\.min_accuracy must be a share from 0 to 1, got 50"):
        run.front(min_accuracy=50)
    with pytest.raises(TypeError, match="unexpected keyword argument 'limits'"):
        run.best(limits=Limits())  # type: ignore[call-arg]


def test_a_last_line_cut_anywhere_is_left_out_and_told(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0), trial(1))
    path = folder / "trials.jsonl"
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    for cut in range(start + 1, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        run = Run(folder)
        assert [one.index for one in run.trials] == [0]
        assert run.notes == (f"{path}, line 2: cut off after {cut - start} bytes, left out",)
    path.write_bytes(whole[:start])
    assert Run(folder).notes == ()


def test_a_last_line_that_lacks_only_its_newline_counts(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0), trial(1))
    path = folder / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    run = Run(folder)
    assert len(run.trials) == 2
    assert run.notes == ()
    with RunWriter.resume(folder) as writer:
        writer.append(trial(2))
    assert [one.index for one in Run(folder).trials] == [0, 1, 2]


@pytest.mark.parametrize("damage", [b"{", b"null", b"\x00" * 50, b"\xff\xfe", b'{"index": 5}', b"[" * 100_000])
def test_damage_in_the_middle_names_its_line(new_run: NewRun, trial: MakeTrial, damage: bytes) -> None:
    folder = new_run(trial(0), trial(1), trial(2))
    path = folder / "trials.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[1] = damage
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(RunError, match=r"trials\.jsonl, line 2 is damaged: "):
        Run(folder)
    with pytest.raises(RunError, match="line 2 is damaged"):
        RunWriter.resume(folder)
    assert path.read_bytes() == b"\n".join(lines)


def test_two_trials_of_one_index_are_refused(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0))
    with (folder / "trials.jsonl").open("a") as file:
        file.write(trial(0).to_json() + "\n")
    with pytest.raises(RunError, match="two trials have index 0"):
        Run(folder)


def test_two_of_one_training_are_refused(new_run: NewRun, trial: MakeTrial) -> None:
    folder = new_run(trial(0), trial(1, arch=trial(0).arch, repeat=2), trial(2, arch=trial(0).arch, status="failed"))
    with (folder / "trials.jsonl").open("a") as file:
        file.write(trial(3, arch=trial(0).arch, repeat=2).to_json() + "\n")
    with pytest.raises(RunError, match="trials 1 and 3 are both repeat 2 of one network"):
        Run(folder)


def test_a_moved_run_opens(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    folder = new_run(trial(0))
    before = Run(folder)
    moved = tmp_path / "elsewhere" / "another name"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    after = Run(moved)
    assert (after.trials, after.config, after.front()) == (before.trials, before.config, before.front())
    assert str(tmp_path) not in "".join(path.read_text() for path in moved.iterdir())


def test_a_run_without_its_trials_says_so(new_run: NewRun) -> None:
    folder = new_run()
    assert Run(folder).notes == ()
    (folder / "trials.jsonl").unlink()
    run = Run(folder)
    assert run.trials == []
    assert "trials.jsonl is not there" in run.notes[0]
    with pytest.raises(RunError, match="it holds no trial"):
        run.trial(0)


def test_what_is_no_run_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        Run(tmp_path / "missing")
    with pytest.raises(RunError, match="holds no run"):
        Run(tmp_path)
    with pytest.raises(RunError, match="File name too long"):
        Run(tmp_path / ("x" * 300))
    with pytest.raises(RunError, match=r"\S"):
        Run("\x00")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "no valid JSON"),
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[]", "must be an object, got list"),
        ("{}", "schema_version must be an integer"),
        ('{"schema_version": true}', "schema_version must be an integer"),
        ('{"schema_version": NaN}', "NaN is no number"),
        (f'{{"schema_version": {SCHEMA_VERSION + 1}}}', "written by a newer version"),
    ],
)
def test_a_damaged_config_is_named(new_run: NewRun, text: str, rule: str) -> None:
    folder = new_run()
    (folder / "config.json").write_text(text)
    with pytest.raises(RunError, match=rf"config\.json: .*{rule}"):
        Run(folder)


def test_load_takes_a_path_however_it_is_written(
    new_run: NewRun, trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(trial(0))
    monkeypatch.setenv("HOME", str(folder.parent))
    for path in (folder, str(folder), f"~/{folder.name}"):
        assert load(path).trials == [trial(0)]
    for path in ("~nobody-of-this-name/run", folder / "config.json", "\x00"):
        with pytest.raises(RunError, match=r"\S"):
            load(path)


def test_a_run_of_several_devices_is_told_apart(new_run: NewRun, trial: MakeTrial) -> None:
    trials = [trial(0, device="slow"), trial(1, device="fast"), trial(2, device="fast", accuracy=0.9)]
    folder = new_run(*trials, trial(3, device="broken", status="failed"))
    run = Run(folder)
    assert run.devices == ["fast", "slow"]
    assert [one.trial for one in run.front(device="fast")] == [2, 1]
    assert run.front(device="slow") == [run.best(device="slow")]
    assert [run.best(device=device).trial for device in run.devices] == [2, 0]  # type: ignore[union-attr]
    assert run.hypervolume(device="fast") > run.hypervolume(device="slow") > 0
    several = r"run: has trials of 'slow' \(1\), 'fast' \(2\), and step times .* do not compare: choose one$"
    for ask in (run.networks, run.front, run.best, run.hypervolume):
        with pytest.raises(SeveralDevices, match=several):
            ask()
        with pytest.raises(RunError, match=r"full on device 'broken' \(it has trials of 'slow' \(1\), 'fast' \(2\)\)"):
            ask(device="broken")


def test_a_run_of_one_device_need_not_name_it(new_run: NewRun, trial: MakeTrial) -> None:
    run = Run(new_run(trial(0), trial(1, status="failed", device="another")))
    assert run.devices == ["cpu"]
    assert run.front() == run.front(device="cpu") == run.networks()
    assert [one.trial for one in run.front()] == [0]
    empty = Run(new_run(name="empty"))
    assert (empty.devices, empty.front(), empty.best(), empty.hypervolume()) == ([], [], None, 0.0)
    with pytest.raises(RunError, match=r"no trial was measured in full on device 'cpu' \(no trial was\)"):
        empty.front(device="cpu")


@pytest.mark.parametrize("damaged", [None, [], {"w": 1}, {"reference_params": 5, "w": "1"}, {"reference_params": -5}])
def test_a_damaged_objective_is_named(new_run: NewRun, damaged: object) -> None:
    folder = new_run()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"objective": damaged}))
    run = Run(folder)
    with pytest.raises(RunError, match=r"config\.json: objective: "):
        run.best()


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, (str(self.canary),)


def test_opening_a_strangers_run_executes_nothing(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    folder = new_run(trial(0))
    canary = tmp_path / "canary"
    bomb = pickle.dumps(Bomb(canary))
    for name in ("tuner.pkl", "experiment_state.json", ".metadata", "checkpoint.pt", "summary.json", "pareto.csv"):
        (folder / name).write_bytes(bomb)
    for name in ("sitecustomize.py", "results.py", "__init__.py", "config.py"):
        (folder / name).write_text(f"import os; os.mkdir({str(canary)!r})")
    run = Run(folder)
    run.best()
    run.front()
    with RunWriter.resume(folder) as writer:
        writer.append(trial(1))
        writer.write_summary()
    assert not canary.exists()
    pickle.loads(bomb)
    assert canary.exists(), "the bomb itself works"


def test_too_much_to_read_is_refused(new_run: NewRun, trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(trial(0), trial(1))
    with monkeypatch.context() as patch:
        patch.setattr(lines, "MAX_LINE_BYTES", 100)
        with pytest.raises(RunError, match="line 1: must be at most 100 bytes"):
            Run(folder)
    with (folder / "trials.jsonl").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(RunError, match=r"trials\.jsonl: must be at most 268435456 bytes"):
        Run(folder)
    (folder / "config.json").write_text(" " * (5 << 20))
    with pytest.raises(RunError, match=r"config\.json: must be at most"):
        Run(folder)


def test_pipes_and_links_in_place_of_files_are_refused(new_run: NewRun, trial: MakeTrial, tmp_path: Path) -> None:
    folder = new_run(trial(0))
    path = folder / "trials.jsonl"
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="is a symbolic link"):
        Run(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="is no regular file"):
        RunWriter.resume(folder)


def test_a_file_is_said_to_be_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="is no folder"):
        load(tmp_path / "file")

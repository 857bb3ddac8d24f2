"""Candidates judged with a supernet's weights: what is searched, what a trial does, what a validation compares."""

import json
import os
import re
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nas.cli.search import Config, _changes, _search_config
from nas.data import DataError, prepare
from nas.device import Compute
from nas.measure import Precision
from nas.search import SearchConfig, ValidationConfig
from nas.search.evaluate import evaluate, probe
from nas.search.inherited import SupernetRef
from nas.search.plan import Plan
from nas.search.run import check_data
from nas.search.task import ProbeRequest, TrialTask
from nas.train import TrainJob
from nas.train.feed import Feed
from nas.train.feed_data import FeedData
from nas.train.loop import TrainOutcome
from nas.train.supernets import judge
from nas.train.trained import read_supernet
from results import Run, RunError, RunWriter, TrialStatus, Weights
from search_space import Space, build_network
from supernet import extract


@pytest.fixture(autouse=True)
def _cache(digits_cache: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(digits_cache))


@pytest.fixture
def config(finished_supernet: Path) -> SearchConfig:
    return SearchConfig(evaluator="supernet", supernet=str(finished_supernet), seed=5, budget="3", confirm=0)


@pytest.fixture
def plan(config: SearchConfig) -> Plan:
    assert config.supernet is not None
    return Plan.of_supernet(config, config.supernet)


def task_of(plan: Plan) -> TrialTask:
    arch = plan.space.decode([len(decision.values) - 1 for decision in plan.space.decisions])
    return TrialTask(
        arch=arch,
        reference=plan.space.reference,
        seed=1,
        steps=plan.steps,
        batch_size=plan.batch_size,
        recipe=plan.config.recipe,
        data=plan.data.config,
        compute=Compute(),
        precision=Precision(max_rounds=6),
        supernet=plan.supernet,
    )


def test_the_supernet_says_what_is_searched(plan: Plan, small_space: Space, supernet_job: TrainJob) -> None:
    assert (plan.space, plan.image_size, plan.batch_size, plan.steps) == (small_space, 8, small_space.batch_size, 0)
    # The images that it was not trained on, though the search has another seed.
    assert plan.data.config == supernet_job.eval_data
    assert plan.data.config.split_seed != plan.config.data_config(8).split_seed
    record = plan.for_record()
    assert record["supernet"]["steps"] == 42
    assert json.loads(json.dumps(record))["search"]["evaluator"] == "supernet"


def test_a_trial_takes_accuracy_with_its_weights_and_times_the_step(
    plan: Plan, finished_supernet: Path, supernet_job: TrainJob
) -> None:
    task = task_of(plan)
    found = evaluate(task)
    with closing(Feed(supernet_job)) as feed:
        wanted = judge(supernet_job, read_supernet(finished_supernet).supernet, task.arch, feed)
    assert (found.status, found.correct, found.num_evaluated) == (TrialStatus.OK, *wanted)
    assert wanted[1] == prepare(supernet_job.eval_data).counts["holdout"]
    assert found.step_time is not None
    assert (found.train_steps, found.train_loss, found.peak_memory_bytes) == (None, None, None)


def test_other_weights_than_those_at_the_start_are_refused(plan: Plan) -> None:
    task = task_of(plan)
    assert task.supernet is not None
    with pytest.raises(RunError, match="must hold the weights that the search began with, got others"):
        evaluate(replace(task, supernet=replace(task.supernet, sha256="0" * 64)))


def test_a_resumed_search_wants_the_supernet_that_it_began_with(
    plan: Plan, tmp_path: Path, finished_supernet: Path
) -> None:
    config = plan.for_record()
    with RunWriter.create(tmp_path / "run", config=config, objective=plan.objective(), limits=plan.config.limits()):
        pass
    run = Run(tmp_path / "run")
    check_data(plan, run)
    moved = Path(shutil.copytree(finished_supernet, tmp_path / "moved"))
    typed = Config(resume="run", supernet=str(moved), given=("resume", "supernet"))
    assert _changes(typed) == {"supernet": str(moved)}
    check_data(Plan.of_supernet(plan.config, str(moved)), run)
    model = moved / "model.safetensors"
    tensors = load_file(model)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, model)
    with pytest.raises(RunError, match="must hold the supernet that the run began with, got another"):
        check_data(Plan.of_supernet(plan.config, str(moved)), run)


def test_other_images_than_those_that_it_was_trained_on_are_refused(
    plan: Plan, finished_supernet: Path, tmp_path: Path
) -> None:
    """Else it would be judged by images that it has seen."""
    other = Path(shutil.copytree(finished_supernet, tmp_path / "other"))
    record = json.loads((other / "config.json").read_text())
    record["job"]["data"]["holdout"] = 0.3
    (other / "config.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="the data must be those that the supernet was trained on, got others"):
        Plan.of_supernet(plan.config, str(other))
    task = task_of(plan)
    assert task.supernet is not None
    with pytest.raises(RunError, match="the data must be those that the supernet was trained on, got others"):
        evaluate(replace(task, supernet=replace(task.supernet, folder=str(other))))


def test_one_that_is_lost_while_a_search_goes_on(finished_supernet: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished_supernet, tmp_path / "a"))
    found = SupernetRef.find(folder)
    found.check_unchanged()
    with pytest.raises(RunError, match="must hold the supernet that the search began with, got another"):
        replace(found, sha256="0" * 64).check_unchanged()
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    with pytest.raises(RunError, match=r"model\.safetensors: is no regular file"):
        found.check_unchanged()


def test_where_there_is_none(finished_run: Path, finished_supernet: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="must hold a supernet, as nas supernet train makes it"):
        SupernetRef.find(finished_run)
    begun = Path(shutil.copytree(finished_supernet, tmp_path / "begun"))
    (begun / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"model\.safetensors: could not be read"):
        SupernetRef.find(begun)
    (begun / "result.json").unlink()
    with pytest.raises(RunError, match="the supernet's training has not ended"):
        SupernetRef.find(begun)


def test_damaged_weights_are_refused_before_anything_is_begun(finished_supernet: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(finished_supernet, tmp_path / "damaged"))
    model = damaged / "model.safetensors"
    tensors = load_file(model)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    save_file(tensors | {name: torch.full_like(tensors[name], torch.nan)}, model)
    with pytest.raises(RunError, match=rf"model\.safetensors: {re.escape(name)} must be finite"):
        SupernetRef.find(damaged)
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"model\.safetensors: is no safetensors file, or is damaged"):
        SupernetRef.find(damaged)


def test_the_command_takes_what_the_supernet_says(
    finished_supernet: Path, supernet_job: TrainJob, tmp_path: Path
) -> None:
    typed = Config(evaluator="supernet", supernet=str(finished_supernet), given=("evaluator", "supernet"))
    found = _search_config(typed)
    assert (found.space, found.data, found.image_size, found.holdout) == ("small", "digits", 8, 0.1)
    assert Path(found.supernet or "") == finished_supernet
    moved = replace(typed, data=str(tmp_path), given=(*typed.given, "data"))
    assert _search_config(moved).data == str(tmp_path)
    with pytest.raises(DataError):
        Plan.of_supernet(_search_config(moved), str(finished_supernet))
    with pytest.raises(ValueError, match="--holdout has no effect with --evaluator supernet"):
        _search_config(replace(typed, given=("holdout",)))


def test_a_training_alone_begins_with_random_or_with_the_supernets_weights(
    plan: Plan, finished_supernet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Tensor]] = []

    def train(network: nn.Module, *args: object, **options: object) -> TrainOutcome:
        begun.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return TrainOutcome(steps=4, loss=1.0, diverged=False)

    monkeypatch.setattr("nas.search.evaluate.train", train)
    task = replace(task_of(plan), precision=Precision(max_rounds=6))
    plan = replace(plan, alone_steps=4)
    for weights in (Weights.OWN, Weights.INHERITED):
        found = evaluate(plan.trial(task, weights))
        assert (found.status, found.train_steps) == (TrialStatus.OK, 4)
    own, inherited = begun
    wanted = extract(read_supernet(finished_supernet).supernet, task.arch).state_dict()
    assert all(torch.equal(inherited[name], tensor) for name, tensor in wanted.items())
    fresh = build_network(task.arch, generator=torch.Generator().manual_seed(task.seed)).state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in fresh.items())


def test_a_worker_that_has_the_data_does_not_look_for_them(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*args: object, **options: object) -> None:
        raise AssertionError("the data were looked for")

    plan = replace(plan, alone_steps=2)
    wanted = evaluate(task_of(plan))
    with monkeypatch.context() as patched:
        for module in ("nas.search.evaluate", "nas.train.feed_data"):
            patched.setattr(f"{module}.prepare", prepare)
        found = evaluate(plan.trial(task_of(plan), Weights.SUPERNET))
        assert (found.correct, found.num_evaluated) == (wanted.correct, wanted.num_evaluated)
        assert evaluate(plan.trial(task_of(plan), Weights.OWN)).correct is not None
    elsewhere = replace(plan.data, folder=plan.data.folder / "not-here")
    moved = replace(plan, data=elsewhere, judged_on=FeedData(elsewhere, elsewhere))
    again = evaluate(moved.trial(task_of(plan), Weights.SUPERNET))
    assert (again.correct, again.num_evaluated) == (wanted.correct, wanted.num_evaluated)


def test_a_probe_tells_of_trainings_alone(plan: Plan) -> None:
    request = ProbeRequest(space=plan.space, choose_dtype=False, calibrate=False)
    assert probe(task_of(plan), request).alone_s is None
    found = probe(task_of(plan), replace(request, alone_steps=2000))
    assert found.alone_s is not None
    assert found.alone_s > found.trial_s


def test_a_warm_start_trains_from_the_supernets_weights_on_its_images(
    finished_supernet: Path, supernet_job: TrainJob, small_space: Space
) -> None:
    typed = Config(warm_start=str(finished_supernet), train_length="4", budget="3", given=("warm_start",))
    config = _search_config(typed)
    assert (config.space, config.warm_start, config.supernet) == ("small", str(finished_supernet), None)
    assert config.confirming().share == 0.2
    plan = Plan.of_supernet(config, str(finished_supernet))
    assert (plan.space, plan.steps, plan.weights, plan.alone_steps) == (small_space, 4, Weights.INHERITED, 0)
    assert plan.data.config == supernet_job.eval_data
    task = plan.trial(task_of(plan), plan.weights)
    assert (task.steps, task.supernet, task.judged_on) == (4, plan.supernet, None)
    found = evaluate(task)
    assert (found.status, found.train_steps) == (TrialStatus.OK, 4)
    assert found.peak_memory_bytes is not None
    with pytest.raises(ValueError, match="--space has no effect with --warm-start"):
        _search_config(replace(typed, given=("space",)))


def test_a_validation_trains_alone_for_as_long_as_a_search_does() -> None:
    config = ValidationConfig()
    assert (config.folder_name(0), config.length(0)) == ("validate-alone", None)
    asked = ValidationConfig(train_length="40")
    assert (asked.folder_name(0), asked.length(0)) == ("validate-40", "40")
    with pytest.raises(ValueError, match="times cannot be given for a run that a supernet judged"):
        ValidationConfig(times=2).length(0)

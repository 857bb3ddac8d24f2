"""A run's mirror on an object store: at each moment a run, whatever the store and others do to it."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

import results.mirror
from results import Objective, Run, RunError, RunWriter, TrialResult, load
from results.fetched import fetch
from results.mirror import Mirror
from results.objects import Manifest, ObjectStore
from tests.results.mirrored import add, writing

MakeTrial = Callable[..., TrialResult]
DEADLINE_S = 30.0


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(results.mirror, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(results.mirror, "RETRY_S", 0.01)
    monkeypatch.setenv("NAS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}/run" if request.param == "memory" else f"file://{tmp_path}/store/run"


def wait_for(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


def num_mirrored(url: str) -> int:
    manifest = ObjectStore(url).manifest()
    return 0 if manifest is None else manifest.num_bytes("trials.jsonl")


def test_each_state_that_is_fetched_is_one_that_the_run_was_in(
    url: str, here: Path, trial: MakeTrial, tmp_path: Path
) -> None:
    notes: list[str] = []
    seen: list[int] = []
    with writing(here, url, notes) as writer:
        wait_for(lambda: ObjectStore(url).manifest(), "a first manifest")
        for index in range(40):
            add(writer, trial(index))
            if index % 4 == 0:
                fetch(url, tmp_path / "state", replace=True)
                state = Run(tmp_path / "state")
                asks, trials = state.asks_file.records, state.trials_file.records
                assert trials == tuple(writer.trials[: len(trials)])
                assert asks == tuple(writer.asks[: len(asks)])
                assert len(asks) - len(trials) in (0, 1), "an ask comes before its trial, and after the one before"
                seen.append(len(trials))
        writer.write_summary(stop_reason="done")
    assert notes == []
    assert len(set(seen)) > 3, "it went on while the run did"
    fetch(url, tmp_path / "there" / "run")
    for name in ("config.json", "asks.jsonl", "trials.jsonl", "summary.json", "pareto.csv"):
        assert (tmp_path / "there/run" / name).read_bytes() == (here / name).read_bytes()
    assert load(url).state.reason == "done"
    manifest = ObjectStore(url).manifest()
    assert manifest is not None
    assert ObjectStore(url).objects() == manifest.objects, "nothing is left that no manifest names"
    assert len(manifest.files["trials.jsonl"]) <= 8, "parts are merged"


def test_it_goes_on_elsewhere_and_the_first_session_is_told(
    url: str, here: Path, trial: MakeTrial, tmp_path: Path
) -> None:
    first: list[str] = []
    second: list[str] = []
    with writing(here, url, first) as writer:
        add(writer, trial(0))
        wait_for(lambda: num_mirrored(url) == writer.sizes["trials.jsonl"], "the first trial")
        fetch(url, tmp_path / "there" / "run")
        with writing(tmp_path / "there/run", url, second) as other:
            add(writer, trial(1, seed=1))
            add(other, trial(1, seed=2))
            wait_for(lambda: first, "the first session's note")
    assert first == [f"note: another process goes on with {url}: this one no longer writes there"]
    assert second == []
    assert [each.seed for each in load(url).trials] == [7, 2]
    assert [each.seed for each in Run(here).trials] == [7, 1], "its own record went on"
    manifest = ObjectStore(url).manifest()
    assert manifest is not None
    assert ObjectStore(url).objects() == manifest.objects, "the first session's objects are gone"


def test_a_url_that_holds_another_run_or_more_of_this_one_is_refused(
    url: str, here: Path, trial: MakeTrial, tmp_path: Path
) -> None:
    with writing(here, url, []) as writer:
        add(writer, trial(0))
    with pytest.raises(RunError, match="holds another run"):
        Mirror(tmp_path / "new", url, note=print)
    fetch(url, tmp_path / "there" / "run")
    with writing(tmp_path / "there/run", url, []) as other:
        add(other, trial(1))
        with pytest.raises(RunError, match="is being written by another process"):
            Mirror(other.folder, f"{url}-b", note=print)
    with pytest.raises(RunError, match="is ahead of"):
        Mirror(here, url, note=print)
    with pytest.raises(RunError, match="is there already"):
        fetch(url, here)


def test_a_store_that_fails_for_a_while_is_told_once_and_then_complete(
    here: Path, trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{tmp_path.name}/failing"
    notes: list[str] = []
    tries: list[str] = []

    def refuse(*arguments: Any, **options: Any) -> None:
        tries.append("put")
        raise OSError("the network is down")

    with writing(here, url, notes) as writer:
        wait_for(lambda: ObjectStore(url).manifest(), "a first manifest")
        with monkeypatch.context() as harmed:
            harmed.setattr(type(fsspec.filesystem("memory")), "_open", refuse)
            for index in range(3):
                add(writer, trial(index))
            wait_for(lambda: len(tries) > 3, "several tries")
        wait_for(lambda: num_mirrored(url) == writer.sizes["trials.jsonl"], "what was missing")
    assert notes == [
        f"note: {url} could not be written, and is tried again: the network is down",
        f"note: {url} is reached again, and complete",
    ]
    assert [each.index for each in load(url).trials] == [0, 1, 2]


def test_a_folder_that_went_another_way_than_its_mirror_is_refused(
    url: str, here: Path, trial: MakeTrial, tmp_path: Path
) -> None:
    with writing(here, url, []) as writer:
        add(writer, trial(0))
    fetch(url, tmp_path / "there/run")
    with writing(tmp_path / "there/run", url, []) as other:
        add(other, trial(1, seed=2))
    with RunWriter.resume(here) as writer:
        for index in (1, 2, 3):
            add(writer, trial(index, seed=1))
    with pytest.raises(RunError, match=r"holds trials that .* does not, which went another way"):
        Mirror(here, url, note=print)
    assert [each.seed for each in load(url).trials] == [7, 2]
    Mirror(tmp_path / "there/run", url, note=print)


def test_what_is_refused_leaves_no_object(url: str, here: Path) -> None:
    Mirror(here, url, note=print)
    assert ObjectStore(url).objects() == set()


@pytest.mark.parametrize("ended", [False, True])
def test_a_command_that_is_refused_takes_the_mirror_from_none(
    url: str, here: Path, trial: MakeTrial, monkeypatch: pytest.MonkeyPatch, *, ended: bool
) -> None:
    """It began before the other one had the lock."""
    notes, refused = list[str](), Mirror(here, url, note=print)
    with writing(here, url, notes) as writer:
        monkeypatch.setattr(results.mirror, "holds_lock", lambda folder: False)
        if ended:
            with refused:
                pass
        else:
            refused._push(last=False)
        monkeypatch.undo()
        add(writer, trial(0))
    assert notes == []
    assert len(load(url).trials) == 1


@pytest.mark.parametrize("what", ["manifest.json", "trials.jsonl"])
def test_what_cannot_be_put_whole_does_not_fill_the_store(
    here: Path, trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    url, fails = f"file://{tmp_path}/store/run", True
    mirror = Mirror(here, url, note=print)
    with RunWriter.create(here, config={}, objective=Objective(reference_params=2000)) as writer:
        mirror.of_lines(lambda: writer.sizes)
        put, put_manifest = Mirror._put, ObjectStore.put_manifest

        def put_half(self: Mirror, file: Any, limit: int | None = None) -> Any:
            if fails and file.name.endswith(what):
                file = Half(file)
            return put(self, file, limit)

        def put_none(self: ObjectStore, manifest: Manifest) -> None:
            put_manifest(self, manifest)
            if fails and what == "manifest.json":
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(Mirror, "_put", put_half)
        monkeypatch.setattr(ObjectStore, "put_manifest", put_none)
        sizes = []
        for index in range(6):
            add(writer, trial(index))
            (here / "model.safetensors").write_bytes(b"0" * 1000 * (index + 1))
            with pytest.raises(OSError, match="No space"):
                mirror._push(last=False)
            sizes.append(len(ObjectStore(url).objects()))
        assert max(sizes) <= 2 * len(list(here.iterdir())), sizes
        fails = False
        mirror._push(last=True)
    manifest = ObjectStore(url).manifest()
    assert manifest is not None
    assert ObjectStore(url).objects() == manifest.objects
    assert len(load(url).trials) == 6


class Half:
    """A file of which the disk takes no more than ten bytes."""

    def __init__(self, file: Any) -> None:
        self._parts = iter([file.read(10)])

    def read(self, size: int) -> bytes:
        for part in self._parts:
            return bytes(part)
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("then", ["it goes on", "it ends"])
def test_a_place_that_was_emptied_is_told_and_filled_anew(
    here: Path, trial: MakeTrial, tmp_path: Path, then: str
) -> None:
    url, notes = f"file://{tmp_path}/store/run", list[str]()
    with writing(here, url, notes) as writer:
        add(writer, trial(0))
        wait_for(lambda: num_mirrored(url) == writer.sizes["trials.jsonl"], "the first trial")
        shutil.rmtree(tmp_path / "store/run")
        if then == "it goes on":
            add(writer, trial(1))
            wait_for(lambda: num_mirrored(url) == writer.sizes["trials.jsonl"], "what was there, and the second")
    assert notes == [f"note: {url} has been emptied: all is put there anew"]
    assert [each.index for each in load(url).trials] == [each.index for each in load(here).trials]


def test_what_is_missing_at_the_end_is_told(
    here: Path, trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{tmp_path.name}/gone"
    notes: list[str] = []

    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no credentials")

    with monkeypatch.context() as harmed, writing(here, url, notes) as writer:
        add(writer, trial(0))
        wait_for(lambda: num_mirrored(url) == writer.sizes["trials.jsonl"], "the first trial")
        harmed.setattr(type(fsspec.filesystem("memory")), "_open", refuse)
        add(writer, trial(1))
    assert len(notes) == 2
    assert notes[1].startswith(f"note: {url} is behind: it holds the run as of ")
    assert notes[1].endswith("; missing since: asks.jsonl, trials.jsonl (no credentials)")
    assert [each.index for each in load(url).trials] == [0], "what was there is still a run"


def test_a_changed_object_is_refused_by_its_name(here: Path, trial: MakeTrial, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store/run"
    with writing(here, url, []) as writer:
        add(writer, trial(0))
    manifest = ObjectStore(url).manifest()
    assert manifest is not None
    (part,) = manifest.files["trials.jsonl"]
    path = tmp_path / "store/run/objects" / part.object
    whole = path.read_bytes()
    for changed in (whole.replace(b"0.5", b"0.9"), whole[:-1], whole + b"\n", b""):
        assert changed != whole
        path.write_bytes(changed)
        with pytest.raises(RunError, match=rf"{part.object} \(trials.jsonl\): is not what its manifest says"):
            fetch(url, tmp_path / "there" / "run")
    path.unlink()
    with pytest.raises(RunError, match=rf"{part.object} \(trials.jsonl\): is not there"):
        load(url)
    assert list((tmp_path / "there").iterdir()) == [], "nothing of it stays"


PART = {"object": f"{'0' * 32}/1", "num_bytes": 1, "sha256": "0" * 64}
GOOD: dict[str, Any] = {"run": "0" * 32, "session": "0" * 32, "files": {}, "version": 1}


@pytest.mark.parametrize(
    "document",
    [
        *(GOOD | {"files": {name: [PART]}} for name in ("../a", "/etc/passwd", ".lock", "checkpoints/../arch.json")),
        GOOD | {"files": {"checkpoints/step-1.pt\n": [PART]}},
        *(GOOD | {"files": {"config.json": [PART | {"object": name}]}} for name in ("../../owner.json", "a/1", "")),
        GOOD | {"files": {"config.json": [PART | {"num_bytes": -1}]}},
        GOOD | {"files": {"config.json": [PART | {"num_bytes": 1.0}]}},
        GOOD | {"files": {"config.json": [PART | {"num_bytes": 1 << 60}]}},
        GOOD | {"run": "../.."},
        GOOD | {"version": 2},
        GOOD | {"more": 1},
        [],
        "x" * (5 << 20),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(document: Any, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/manifest.json").write_text(json.dumps(document))
    with pytest.raises(RunError):
        fetch(f"file://{tmp_path}/store", tmp_path / "there" / "run")
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.parametrize("url", ["here", "memory://", "simplecache::memory://a", "nowhere://a/b", "s3://"])
def test_what_is_no_urls_store_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"URL|cannot be used"):
        Mirror(tmp_path / "run", url, note=print)


def test_an_empty_place_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no run \(no manifest.json\)"):
        load(f"memory://{tmp_path.name}/empty")


def test_the_manifest_says_what_it_is_of() -> None:
    """Read back as it was written."""
    store = ObjectStore("memory://told/run")
    manifest = Manifest(run="a" * 32, session="b" * 32)
    store.put_manifest(manifest)
    assert store.manifest() == manifest


def test_a_google_store_out_of_reach_is_soon_given_up() -> None:
    from pyarrow.fs import FileSystem

    within_30_s, within_5_s = (
        FileSystem.from_uri(f"gs://bucket/run?retry_limit_seconds={seconds}")[0] for seconds in (30, 5)
    )
    assert not within_30_s.equals(within_5_s)
    assert ObjectStore("gs://bucket/run")._files.fs.equals(within_30_s)
    assert ObjectStore("gs://bucket/run?retry_limit_seconds=5")._files.fs.equals(within_5_s)

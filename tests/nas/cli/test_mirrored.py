"""A mirror's URL on a command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.search import SearchEnd
from results.mirror import Mirror

Nas = Callable[..., Any]


def test_a_mirrors_url_stands_for_a_run(nas: Nas, a_run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE_DIR", str(folder / "cache"))
    url = f"file://{folder}/store/mirrored"
    with Mirror(a_run, url, note=print):
        pass
    told = nas("pareto", url, "--json").document
    assert told["run"] == "mirrored"
    assert told["by_device"] == nas("pareto", "first", "--json").document["by_device"]
    assert nas("report", url).code == 0
    assert (folder / "mirrored.html").exists()
    said = nas("pareto", f"file://{folder}/store/nothing")
    assert said.code == 2
    assert "holds no run" in said.err


@pytest.mark.parametrize("out", [None, "elsewhere"])
def test_a_search_that_is_gone_on_with_from_a_url_lies_in_a_new_folder(
    nas: Nas, a_run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, out: str | None
) -> None:
    url = f"file://{folder}/store/mirrored"
    with Mirror(a_run, url, note=print):
        pass
    asked: list[tuple[Path, str | None]] = []

    def resume(run: Path, progress: object, *, changes: dict[str, object], mirror: str | None) -> SearchEnd:
        asked.append((run, mirror))
        assert changes == {"budget": "40"}
        return SearchEnd(folder=run, stop_reason="done", interrupted=False)

    monkeypatch.setattr("nas.cli.search.resume_search", resume)
    said = nas("search", "--resume", url, "--budget", "40", *([] if out is None else ["--out", out]))
    assert said.code == 0, said.err
    new = Path("runs") / (out or "mirrored")
    assert asked == [(new, url)]
    assert (new / "trials.jsonl").read_bytes() == (a_run / "trials.jsonl").read_bytes()
    assert nas("search", "--resume", url, *([] if out is None else ["--out", out])).code == 2, "it is there already"


def test_a_mirror_that_cannot_be_used_is_refused_before_anything_begins(nas: Nas, folder: Path) -> None:
    for url in ("nowhere", "s3://", "nowhere://a"):
        said = nas("search", "--budget", "3", "--out", "b", "--mirror", url)
        assert said.code == 2
        assert repr(url) in said.err or url in said.err
    said = nas("train", "--family", "x", "--data", "digits", "--mirror", f"file://{folder}/m")
    assert (said.code, "--mirror is for one network" in said.err) == (2, True)
    assert not (folder / "runs").exists()

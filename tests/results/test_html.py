"""What a notebook shows is HTML that a run cannot write into."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from results import Limits, Objective, Run, RunWriter, TrialResult, load

MakeTrial = Callable[..., TrialResult]
SCRIPT = "<script>alert('\"x')</script>\u202e\x1b"
KNOWN_TAGS = {"div", "p", "b", "br", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "pre"}


class Page(HTMLParser):
    """The tags, their attributes and the text of a page; each tag is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _hostile(folder: Path, *trials: TrialResult, **config: Any) -> Run:
    hostile = {
        "space": {"name": SCRIPT},
        "data": {"summary": SCRIPT, "fingerprint": "f"},
        "search": {"budget": SCRIPT, "sampler": [SCRIPT], "seed": {SCRIPT: SCRIPT}},
        "image_size": SCRIPT,
        **config,
    }
    objective = Objective(reference_params=2000)
    with RunWriter.create(folder, config=hostile, objective=objective, limits=Limits(max_step_time=9.0)) as writer:
        for trial in trials:
            writer.append(trial)
        writer.write_summary(stop_reason=SCRIPT)
    moved = folder.with_name("<b onclick=x>")
    folder.rename(moved)
    with (moved / "trials.jsonl").open("a") as file:
        file.write("{")
    return load(moved)


def _check(text: str) -> Page:
    page = Page(text)
    assert set(page.tags) <= KNOWN_TAGS
    assert page.attributes <= {"title"}
    assert not set(text) & {"\u202e", "\x1b"}
    return page


def test_a_run_is_shown_and_escaped(tmp_path: Path, trial: MakeTrial) -> None:
    made = [
        trial(0, accuracy=0.6),
        trial(1, status="failed", reason=SCRIPT),
        trial(2, device=SCRIPT, worker=SCRIPT),
        trial(3, status="failed", reason=SCRIPT),
    ]
    run = _hostile(tmp_path / "run", *made)
    assert repr(run).isprintable()
    page = _check(run._repr_html_())
    text = " ".join(page.text)
    assert "<script>" in text, "as text"
    assert ": ended: <script>alert(" in text
    assert "4 trials: 2 ok, 2 failed" in text
    assert "w -0.07, v -0.05, max_step_time 9" in text
    assert text.count("1 of 1 networks on the front") == 2
    assert "best reward: trial 0, not confirmed" in text
    assert "cut off after 1 bytes" in text
    assert str(made[0].arch) in page.text
    assert page.tags.count("table") == 3


def test_a_comparison_is_shown_and_escaped(tmp_path: Path, trial: MakeTrial) -> None:
    run = _hostile(tmp_path / "run", trial(0, device=SCRIPT), space=None, train_steps=3)
    (tmp_path / "b").mkdir()
    other = _hostile(tmp_path / "b" / "run", trial(0, device=SCRIPT), space=None, train_steps=SCRIPT)
    page = _check(run.compare(other)._repr_html_())
    assert "train_steps" in page.text
    assert any("1 network in both" in text for text in page.text)


def test_a_run_without_trials_and_a_damaged_one_are_shown(new_run: Callable[..., Path], trial: MakeTrial) -> None:
    folder = new_run()
    assert "0 trials: none yet" in " ".join(_check(load(folder)._repr_html_()).text)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "objective": {"w": SCRIPT}, "search": 3, "data": []}))
    assert "config.json: objective" in " ".join(_check(load(folder)._repr_html_()).text)


def test_a_long_front_is_cut(new_run: Callable[..., Path], trial: MakeTrial) -> None:
    made = [trial(index, accuracy=0.3 + 0.01 * index, step_time_ratio=0.5 + 0.01 * index) for index in range(53)]
    run = load(new_run(*made))
    assert len(run.front()) == 53
    page = _check(run._repr_html_())
    assert page.tags.count("tr") == 1 + 2 + 1 + 50
    assert "and 3 more" in page.text

"""A run as one HTML file: whatever the record says, it is text; and the numbers are the run's."""

import base64
import hashlib
import json
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results import Limits, Objective, Run, RunError, RunWriter, TrialStatus, Weights, pareto_front
from results.report import default_path, report_html, write_report
from results.report.commands import commands
from results.report.data import report_data
from results.report.texts import failures
from tests.results.conftest import make_arch, make_trial

NewRun = Callable[..., Path]
VOID = {"meta", "br"}
NASTY = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "</style>",
    "<!--",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "&lt;",
    "\"'`",
    "\u2028\u2029",
    "\u202e\u200f",
    "\x00\x1b[2J",
    "\r\n",
)
HOSTILE = st.lists(st.sampled_from(NASTY) | st.text(min_size=1, max_size=8), min_size=1, max_size=5).map("".join)


class Page(HTMLParser):
    """Tags with their attributes and text by tag; each is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def handle_data(self, data: str) -> None:
        self.text.append((self._open[-1] if self._open else "", data))

    def all_of(self, tag: str) -> list[str]:
        return [text for within, text in self.text if within == tag]

    @property
    def data(self) -> Any:
        return json.loads(self.all_of("script")[0])

    @property
    def words(self) -> str:
        return " ".join(" ".join(text for tag, text in self.text if tag not in ("script", "style")).split())


def _hostile_run(folder: Path, text: str) -> Run:
    """A run in which everything that can be text is `text`."""
    config = {
        "space": {"name": text},
        "data": {"summary": text, "classes": [text]},
        "search": {"data": text, "budget": text, "sampler": [text], "goal": {text: text}, "supernet": text},
        "image_size": text,
        "batch_size": text,
        "environment": {"cpu": text, "versions": {text: text}, "git": {"commit": text}},
    }
    with RunWriter.create(folder, config=config, objective=Objective(reference_params=2000)) as writer:
        writer.append(make_trial(0, device=text, worker=text))
        writer.append(make_trial(1, status=TrialStatus.FAILED, reason=text, worker=text))
        writer.write_summary(stop_reason=text)
    return Run(folder)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(report_html(_hostile_run(tmp_path_factory.mktemp("usual") / "run", "x"), "x"))


@settings(max_examples=25)
@given(text=HOSTILE)
def test_what_a_record_says_is_only_ever_text(tmp_path_factory: pytest.TempPathFactory, usual: Page, text: str) -> None:
    run = _hostile_run(tmp_path_factory.mktemp("hostile") / "run", text)
    document = report_html(run, text)
    page = Page(document)
    tags = [(tag, sorted(attributes)) for tag, attributes in page.tags]
    assert tags == [(tag, sorted(attributes)) for tag, attributes in usual.tags]
    assert page.all_of("script")[1:] == usual.all_of("script")[1:]
    assert page.data == json.loads(json.dumps(report_data(run, text)))
    assert all(sign.isprintable() or sign == "\n" for sign in document)
    assert not [nasty for nasty in NASTY if nasty.startswith("<") and nasty != "</style>" and nasty in document]


def test_the_page_may_load_nothing_and_run_nothing_but_its_own(new_run: NewRun) -> None:
    page = Page(report_html(Run(new_run(make_trial(0))), "run"))
    (policy,) = [meta["content"] for tag, meta in page.tags if tag == "meta" and "http-equiv" in meta]
    assert policy is not None
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    for name, text in (("script-src", page.all_of("script")[1]), ("style-src", page.all_of("style")[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed[name] == f"'sha256-{digest}'"
    assert not {"src", "style", "onclick"} & {name for _, attributes in page.tags for name in attributes}
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert all(link.startswith("#") for link in links)


def test_the_numbers_are_the_runs(new_run: NewRun) -> None:
    trials = [make_trial(number, accuracy=0.5 + number / 20, step_time_ratio=1 + number % 3) for number in range(6)]
    again = [make_trial(6 + r, arch=make_arch(13), repeat=r, accuracy=0.6 + r / 50) for r in (1, 2)]
    run = Run(new_run(*trials, *again))
    data = Page(report_html(run, "run")).data
    (device,) = data["devices"]
    rows = [dict(zip(device["networks"]["columns"], row, strict=True)) for row in device["networks"]["rows"]]
    parts = [dict(zip(data["parts"]["columns"], row, strict=True)) for row in data["parts"]["rows"]]
    networks = run.networks()
    front, best = {one.trial for one in pareto_front(networks)}, run.best()
    assert best is not None
    assert len(rows) == len(networks) == 6
    for row, network in zip(rows, networks, strict=True):
        assert (row["trial"], row["params"], row["macs"]) == (network.trial, network.params, network.macs)
        assert row["accuracy"] == pytest.approx(network.accuracy, rel=1e-5)
        assert row["reward"] == pytest.approx(network.reward, rel=1e-5)
        assert (row["front"], row["best"]) == (network.trial in front, network.trial == best.trial)
        assert (row["confirmed"], row["num_trainings"]) == (network.confirmed, network.num_trainings)
        mine = [parts[number] for number in row["parts"]]
        assert sum(part["params"] for part in mine) == network.params
        assert sum(part["macs"] for part in mine) == network.arch.macs(224)
    assert len(device["trials"]["rows"]) == 8


def test_the_answer_says_how_sure_it_is(new_run: NewRun) -> None:
    assert "not confirmed: trained once" in Page(report_html(Run(new_run(make_trial(0))), "run")).words
    confirmed = [
        make_trial(10 * width + repeat, arch=make_arch(width), repeat=repeat, accuracy=width / 40 + repeat / 1000)
        for width in (10, 20)
        for repeat in (0, 1, 2)
    ]
    words = Page(report_html(Run(new_run(*confirmed, name="sure")), "run")).words
    assert "confirmed by 2 trainings" in words
    assert "P(best) >0.99" in words
    judged = [
        make_trial(0, weights=Weights.SUPERNET, accuracy=0.3),
        make_trial(1, arch=make_arch(8), repeat=1, accuracy=0.9),
    ]
    page = Page(report_html(Run(new_run(*judged, name="judged")), "run"))
    assert "accuracy, trained alone 90.0 %" in page.words
    networks = page.data["devices"][0]["networks"]
    row = dict(zip(networks["columns"], networks["rows"][0], strict=True))
    assert (row["accuracy"], row["alone_accuracy"]) == (0.3, 0.9)


def test_a_run_without_a_network_says_so(tmp_path: Path, new_run: NewRun, objective: Objective) -> None:
    page = Page(report_html(Run(new_run()), "run"))
    assert "no trial has ended" in page.words
    assert page.data["devices"] == []
    failed = [make_trial(0, status=TrialStatus.DIVERGED)]
    assert "its one trial failed" in Page(report_html(Run(new_run(*failed, name="failed")), "run")).words
    with RunWriter.create(
        tmp_path / "limited", config={}, objective=objective, limits=Limits(min_accuracy=0.9)
    ) as writer:
        writer.append(make_trial(0))
        words = Page(report_html(Run(tmp_path / "limited"), "run")).words
    assert "no network keeps to the limits" in words


def test_a_run_that_goes_on_says_so(tmp_path: Path, objective: Objective) -> None:
    with RunWriter.create(tmp_path / "run", config={}, objective=objective) as writer:
        writer.append(make_trial(0))
        assert "Architecture search, running : 1 trial on record" in Page(report_html(Run(tmp_path / "run"), "x")).words
    assert "It goes on" not in Page(report_html(Run(tmp_path / "run"), "x")).words


def test_devices_are_kept_apart(new_run: NewRun) -> None:
    page = Page(report_html(Run(new_run(make_trial(0, device="a"), make_trial(1, device="b"))), "run"))
    assert [device["name"] for device in page.data["devices"]] == ["a", "b"]
    assert [len(device["networks"]["rows"]) for device in page.data["devices"]] == [1, 1]
    assert [attributes["data-device"] for _, attributes in page.tags if "data-device" in attributes] == ["0", "1"]


def test_failures_are_grouped_by_what_is_said_but_for_numbers(new_run: NewRun) -> None:
    trials = [
        *(
            make_trial(number, status=TrialStatus.PRUNED, reason=f"a step takes {number}.5, over 1")
            for number in range(3)
        ),
        make_trial(3, status=TrialStatus.FAILED, reason="Traceback\n  line 3\nValueError: x"),
        make_trial(4),
    ]
    pruned, failed = failures(Run(new_run(*trials)))
    assert (pruned.status, pruned.count, pruned.num_more) == ("pruned", 3, 0)
    assert pruned.reasons == ((["a step takes 0.5, over 1"], 3, [0, 1, 2]),)
    assert failed.reasons == ((["Traceback", "  line 3", "ValueError: x"], 1, [3]),)


@pytest.mark.parametrize("name", ["run", "my run", "it's; rm -rf x", "$(x)", "runs/a:0"])
def test_commands_are_what_a_shell_reads(new_run: NewRun, name: str) -> None:
    for command in commands(Run(new_run(make_trial(0))), name):
        words = shlex.split(f"{command.before}17{command.after}")
        assert words[0] == "nas"
        assert f"{name}:17" in words


def test_only_a_report_is_overwritten(tmp_path: Path, new_run: NewRun) -> None:
    run = Run(new_run(make_trial(0)))
    mine = tmp_path / "mine.html"
    assert write_report(run, mine, "run") == mine.stat().st_size
    write_report(run, mine, "run")
    other = tmp_path / "thesis.html"
    other.write_text("<html>years of work</html>")
    link, dangling = tmp_path / "link.html", tmp_path / "dangling.html"
    link.symlink_to(mine)
    dangling.symlink_to(tmp_path / "nowhere")
    for path in (other, link, dangling):
        with pytest.raises(RunError, match="no report of ours"):
            write_report(run, path, "run")
    assert other.read_text() == "<html>years of work</html>"
    with pytest.raises(RunError, match="is a folder"):
        write_report(run, tmp_path, "run")
    with pytest.raises(RunError, match="must be in a folder that exists"):
        write_report(run, tmp_path / "none" / "x.html", "run")
    default_path(run).write_text("cut short")
    write_report(run, default_path(run), "run")
    assert "</html>" in default_path(run).read_text()

"""`nas report`: where it writes, what it says, what it leaves alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Nas = Callable[..., Any]


def test_a_report_is_written_where_it_is_asked_for(nas: Nas, a_run: Path) -> None:
    said = nas("report", "first", "--html", "out.html")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("out.html: 0.0")
    assert said.out.endswith("MB, 4 trials; open it in a browser\n")
    text = Path("out.html").read_text()
    assert "nas describe first:" in text
    assert not (a_run / "report.html").exists()


def test_a_report_lies_in_the_run_where_nothing_is_said(nas: Nas, a_run: Path) -> None:
    said = nas("report", "runs/first", "--json")
    assert said.code == 0
    written = a_run / "report.html"
    assert said.document == {
        "run": "first",
        "html": "runs/first/report.html",
        "num_bytes": written.stat().st_size,
        "num_trials": 4,
        "notes": [],
    }
    assert nas("report", "first").code == 0
    assert nas("pareto", "first").code == 0


def test_a_torn_run_has_a_report_that_says_so(nas: Nas, a_run: Path) -> None:
    with (a_run / "trials.jsonl").open("a") as file:
        file.write('{"index": 9')
    said = nas("report", "first")
    assert said.code == 0
    assert said.err.startswith("note: ")
    assert '<p class="note">' in (a_run / "report.html").read_text()


def test_what_is_no_report_stays(nas: Nas, a_run: Path) -> None:
    Path("notes.html").write_text("mine")
    said = nas("report", "first", "--html", "notes.html")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error: notes.html: is there and no report of ours: choose another name, or remove it\n"
    assert Path("notes.html").read_text() == "mine"
    said = nas("report", "first", "--html", "none/x.html", "--json")
    assert said.code == 2
    assert said.document["error"] == "none/x.html: must be in a folder that exists"
    assert nas("report", "frist").code == 2
    assert nas("report").code == 2

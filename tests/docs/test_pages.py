"""Every command and snippet of the site, and the README's commands, are what the code understands."""

import re
import tomllib
from importlib.metadata import entry_points

import pytest

from nas.cli.main import COMMANDS, main, parse_command
from tests.docs.pages import DOCS, ROOT, Block, blocks, commands, inline_codes, pages

README = ROOT / "README.md"
LANGUAGES = {"console", "python", "yaml", "text"}
FOLDERS = ("benchmarks", "nas", "results", "search_space", "supernet", "scaling", "tests")
TO_BE_WRITTEN = {"nas/search/samplers/_local.py"}
"""By who adds a sampler."""
RUN_WHOLE = ("quick-start.md", "your-space.md", "supernet.md", "families.md")


def _console(page: str) -> list[Block]:
    found = blocks(README if page == "README.md" else DOCS / page)
    return [block for block in found if block.language in ({"", "console"} if page == "README.md" else {"console"})]


def _check_command(command: list[str]) -> None:
    """`nas` by its own parser; of others what can be known here."""
    program, *words = command
    if program == "nas":
        parse_command(words[: words.index(">")] if ">" in words else words)
    elif program == "make":
        assert re.search(rf"^{re.escape(words[0])}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert words[:3] == ["install", "-c", "constraints.txt"]
        assert set(re.findall(r"\w+", words[-1])) <= set(extras)
    elif program == "python":
        files = words[2:] if words[:2] == ["-m", "pytest"] else words[:1]
        assert files
        assert all((ROOT / file).exists() for file in files)
    else:
        assert entry_points(group="console_scripts", name=program), f"no program {program}"


@pytest.mark.parametrize("page", ["README.md", *pages()])
def test_commands_are_what_the_parser_takes(page: str) -> None:
    for block in _console(page):
        for command in commands(block.text):
            try:
                _check_command(command)
            except (SystemExit, ValueError, AssertionError) as error:
                pytest.fail(f"{block.where}: {' '.join(command)}: {error}")


def test_the_readmes_commands_are_found() -> None:
    found = [command for block in _console("README.md") for command in commands(block.text)]
    assert len([command for command in found if command[0] == "nas"]) >= 7


@pytest.mark.parametrize(
    "typed", [["serach"], ["search", "--budgte", "3m"], ["search", "--budget", "soon"], ["scale", "--by", "size"]]
)
def test_a_wrong_command_is_seen(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((SystemExit, ValueError)):
        parse_command(typed)


def test_each_block_has_a_known_language() -> None:
    for page in pages():
        for block in blocks(DOCS / page):
            assert block.language in LANGUAGES, block.where
            assert (block.language == "yaml") == (block.title is not None), f"{block.where}: a space is a file"


def test_what_is_read_first_is_run() -> None:
    for page in RUN_WHOLE:
        runs = [block for block in _console(page) if block.not_run is None]
        assert len(runs) >= 3, page


def test_every_command_is_told_of() -> None:
    told = {" ".join(code.split()) for page in pages() for code in inline_codes(DOCS / page)}
    assert [name for name in COMMANDS if f"nas {name}" not in told] == []


def test_commands_options_and_files_in_the_text_exist(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        main([*name.split(), "--help"])
    options = set(re.findall(r"--[a-z][a-z.-]*", capsys.readouterr().out))
    for page in pages():
        for code in inline_codes(DOCS / page):
            words = code.split()
            if words[0] == "nas" and words[1] != "COMMAND":
                assert {words[1], " ".join(words[1:3])} & set(COMMANDS), f"{page}: {code}"
            if words[0] == "python":
                assert (ROOT / words[1]).is_file(), f"{page}: {code}"
                continue
            assert {word for word in words if word.startswith("--")} <= options, f"{page}: {code}"
            if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w/]+\.py", words[-1]) and code not in TO_BE_WRITTEN:
                assert (ROOT / words[-1]).is_file(), f"{page}: {code}"

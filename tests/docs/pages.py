"""The site's pages as tests see them: fenced blocks, inline code, commands (docs/decisions/0015)."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG = DOCS / "config" / "mkdocs.yml"
CLUSTERS = ("cluster.yaml", "raycluster.yaml")
"""YAML that is no space (tests/docs/test_clusters.py)."""
_COMMENT = re.compile(r"<!-- (?:not run: (?P<reason>.+)|run(?P<long> long)?(?: with: (?P<options>.+))?) -->\s*")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block. `title` is the file that it is; `options` are added to its commands when they are run, which
    they are not where there is a reason (`not_run`); `long` ones are run by `make long` alone."""

    where: str
    language: str
    title: str | None
    text: str
    options: tuple[str, ...] = ()
    not_run: str | None = None
    long: bool = False


def pages() -> list[str]:
    """The pages that say how something is done, in the order of the navigation, by their paths below docs/."""
    nav = yaml.safe_load(CONFIG.read_text())["nav"]
    listed: list[str] = []
    for entry in nav:
        below = entry if isinstance(entry, str) else next(iter(entry.values()))
        listed += [below] if isinstance(below, str) else below
    return [page for page in listed if page != "log.md" and not page.startswith(("api/", "decisions/"))]


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page in order."""
    found, comment = [], None
    for token in MarkdownIt().parse(path.read_text()):
        if token.type == "fence":
            assert token.map is not None, "a fence has lines"
            language, _, attributes = token.info.partition(" ")
            title = re.fullmatch(r'title="(.+)"', attributes)
            assert title or not attributes, f"{path.name}:{token.map[0] + 1}: what is {attributes}?"
            found.append(
                Block(
                    where=f"{path.name}:{token.map[0] + 1}",
                    language=language,
                    title=title[1] if title else None,
                    text=token.content,
                    options=tuple(shlex.split(comment["options"] or "")) if comment else (),
                    not_run=comment["reason"] if comment else None,
                    long=comment is not None and comment["long"] is not None,
                )
            )
        comment = _COMMENT.fullmatch(token.content) if token.type == "html_block" else None
    return found


def inline_codes(path: Path) -> Iterator[str]:
    """What stands between backticks in a page's text, on one line each."""
    for token in MarkdownIt().enable("table").parse(path.read_text()):
        for child in token.children or ():
            if child.type == "code_inline":
                yield " ".join(child.content.split())


def commands(text: str) -> list[list[str]]:
    """The commands of a console block as words. `>` is a word."""
    found: list[list[str]] = []
    for line in text.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=";>")
        words.whitespace_split = True
        command: list[str] = []
        for word in (*words, ";"):
            if word != ";":
                command.append(word)
            elif command:
                found.append(command)
                command = []
    return found

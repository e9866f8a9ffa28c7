"""The code blocks of the documentation, of the README and of the other pages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
PROGRAM = re.compile(r"(?:\.venv/bin/)?hypercorn|.*/bin/hypercorn")


class Block(NamedTuple):
    """One fenced block: its language, its `title`, its text, and where it stands."""

    language: str
    title: str
    text: str
    page: str
    line: int

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        title = TITLE.search(match[3])
        line = text.count("\n", 0, match.start()) + 1
        body = "\n".join(line[len(match[1]) :] for line in match[4].splitlines()) + "\n"
        found.append(Block(match[2], title[1] if title else "", body, page.relative_to(ROOT).as_posix(), line))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of(*languages: str) -> list[Block]:
    """The blocks in one of these languages."""
    return [block for block in BLOCKS if block.language in languages]


def command_lines(text: str) -> list[str]:
    """The logical lines of a shell block, without comments and continuation."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def calls_of(text: str) -> list[list[str]]:
    """The arguments of each call of `hypercorn` in a shell block."""
    return [call for line in command_lines(text) for call in calls_in(shlex.split(line, comments=True))]


def calls_in(words: list[str]) -> list[list[str]]:
    """The arguments of each call of `hypercorn` in a line of words."""
    calls: list[list[str]] = []
    inside, starting = False, True
    for word in words:
        if word in ("&&", "||", ";", "|", "&"):
            inside, starting = False, True
        elif inside:
            calls[-1].append(word)
        elif starting and "=" in word and not word.startswith("-"):
            continue  # a variable of the environment
        else:
            if starting and PROGRAM.fullmatch(word):
                inside = True
                calls.append([])
            starting = False
    return calls

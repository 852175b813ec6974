"""Commands and their output as a page shows them.

A block of `console` has commands after `$ `, and below each what it prints: all of these lines have
to come, in this order. Numbers count as one, and times whatever their unit, since they differ from
machine to machine; `...` stands for any lines, or within a line for any text. A block of `sh` has a
command a line, whose output is not shown. A block with a title is a file. Blocks that are indented
are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Step", "lacking", "steps"]

_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.S | re.M)
_NUMBER = re.compile(r"\d[\d.,]*(?:e-?\d+)?(?: (?:ms|s|min|h)\b)?")


@dataclass(frozen=True)
class Step:
    """One thing that a reader does."""

    command: str = ""
    """What is typed; empty where a file is written."""
    output: str = ""
    """What it prints, as the page has it; of a file its content."""
    file: str = ""
    """Name of the file that is written."""


def steps(page: Path) -> list[Step]:
    """Files and commands of a page, in their order."""
    return list(_steps(page.read_text(encoding="utf-8")))


def _steps(page: str) -> Iterator[Step]:
    for kind, title, text in _BLOCK.findall(page):
        if title:
            yield Step(output=text, file=title)
        elif kind == "sh":
            commands = text.replace("\\\n", " ").splitlines()
            yield from (Step(command) for line in commands if (command := _typed(line)))
        elif kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
                command, _, output = part.partition("\n")
                yield Step(_typed(command), output)


def _typed(line: str) -> str:
    """A line without the remark at its end."""
    return "" if line.startswith("#") else line.split("  #", maxsplit=1)[0].strip()


def lacking(shown: str, printed: str) -> list[str]:
    """Lines that a page shows and a command did not print, from the first on."""
    lines = [line for line in shown.splitlines() if line.strip() not in ("", "...")]
    there = iter([_plain(line) for line in printed.splitlines()])
    for number, line in enumerate(lines):
        pattern = re.compile(".*".join(map(re.escape, _plain(line).split("..."))))
        if not any(pattern.fullmatch(other) for other in there):
            return lines[number:]
    return []


def _plain(line: str) -> str:
    """A line without what differs from run to run: numbers, units of time, width of columns."""
    return " ".join(_NUMBER.sub("0", line).split())

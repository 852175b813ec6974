"""Commands that the docs show exist, with the options that they are given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from hpsearch.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
_COMMAND = re.compile(
    r"(?:\$ )?(?:\.venv/bin/|COLUMNS=\d+ |.* exec .* -- |docker run .* hpsearch:local )?"
    r"(?:hpsearch |docker compose run --rm worker |(?<=hpsearch:local ))(\S.*)"
)
"""Also in a container whose entry point it is, and in a pod."""


def shown() -> Iterator[tuple[str, list[str]]]:
    """(Page, words after `hpsearch`) of each command in a block or in the middle of a sentence."""
    for page in PAGES:
        if page.name in ("commands.md", "CHANGELOG.md"):  # made from the commands; of their day
            continue
        text = page.read_text(encoding="utf-8")
        text = text.replace("\\\n", " ")
        blocks = re.findall(r"^ *```(?:console|sh)?\n(.*?)^ *```$", text, re.S | re.M)
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.S | re.M)
        lines += [" ".join(code.split()) for code in re.findall(r"`(hpsearch [^`]+)`", prose)]
        for line in lines:
            if match := _COMMAND.match(line.split(" #")[0]):
                yield page.relative_to(ROOT).as_posix(), _words(match[1])


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:  # the beginning of a sentence, such as a message
        return []
    ends = [at for at, word in enumerate(words) if word in (">", "|", "&&", ";")]
    return words[: ends[0]] if ends else words


def test_each_command_that_a_page_shows_exists() -> None:
    root: Any = get_command(app)
    wrong, seen = [], 0
    for page, typed in shown():
        command, words = root, typed
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        if command is root:
            if words and words[0].isalpha() and words[0].islower():
                wrong.append(f"{page}: hpsearch {words[0]}")
            continue
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
        options = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        wrong += [f"{page}: hpsearch {command.name} {name}" for name in sorted(options - known)]
        seen += 1
    assert wrong == []
    assert seen > 150

"""The two consoles, and what every verb prints with: lines of status, commands, tables."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hpsearch import passwords
from hpsearch.terminal import visible, wrapped

__all__ = ["Name", "busy", "call", "columns", "err", "indented", "note", "out", "wide"]


class _Console(Console):
    """Prints text as it is: no markup or emoji in it, and `visible` whatever brought it. Where no
    terminal shows it, lines of text are whole: a log is searched, and has its own width."""

    def print(self, *objects: Any, soft_wrap: bool | None = None, **options: Any) -> None:
        """Print; text in lines of the terminal's width, or COLUMNS."""
        if soft_wrap is None and all(isinstance(one, str) for one in objects):
            soft_wrap = not (self.is_terminal or "COLUMNS" in os.environ)
        super().print(*objects, soft_wrap=soft_wrap, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """The parts of what is printed."""
        for part in super().render(renderable, options):
            yield part if part.control else part._replace(text=visible(part.text))


out = _Console(highlight=False, markup=False, emoji=False)
wide = _Console(highlight=False, markup=False, emoji=False, width=10_000)
"""Prints the same without an end of lines, where no terminal shows it."""
err = _Console(stderr=True, highlight=False, markup=False, emoji=False)


def call(command: str) -> str:
    """A command as it can be pasted here: by hpsearch's name, or by its path where that is not
    found, and with the same database."""
    called = Path(sys.argv[0])
    on_path = shutil.which("hpsearch")
    is_plain = called.name != "hpsearch" or (on_path and Path(on_path).samefile(called))
    words = f"{'hpsearch' if is_plain else os.path.relpath(called)} {command}"
    if "--storage" in sys.argv[:-1] and "--storage" not in command:
        url = sys.argv[sys.argv.index("--storage") + 1]
        words += f" --storage {shlex.quote(url)}"
    return passwords.hide(words)


def note(text: str) -> None:
    """A line of status; never wrapped, so that a command in it can be pasted."""
    err.print(passwords.hide(text), soft_wrap=True)


def columns(*names: str, right: Sequence[str] = ()) -> Table:
    """A table with these columns, those in `right` of numbers."""
    table = _Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(_line(name), justify="right" if name in right else "left",
                         overflow="fold")  # fmt: skip
    return table


class _Table(Table):
    """A table in which no text breaks its line: a row that a stranger made up would look true."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """A row: text in one line each."""
        super().add_row(*map(_line, cells), **options)


@dataclass(frozen=True)
class Name:
    """A name in one line. Where there is no room its middle goes: pods of one deployment, and
    studies of one series, differ in their last letters."""

    name: str

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        spare = max(options.max_width - 1, 0)
        tail = spare * 2 // 3
        whole = len(self.name) <= options.max_width
        last = self.name[-tail:] if tail else ""
        yield Text(self.name if whole else f"{self.name[: spare - tail]}…{last}")

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        return Measurement(min(8, len(self.name)), len(self.name))


def _line(cell: Any) -> Any:
    """Text in one line, before its width is measured; else what it is."""
    if isinstance(cell, Text):
        shown = cell.blank_copy(visible(cell.plain, lines=False))
        return shown if shown.plain != cell.plain else cell
    if isinstance(cell, Name):
        return Name(visible(cell.name, lines=False))
    return visible(cell, lines=False) if isinstance(cell, str) else cell


def busy(words: str) -> AbstractContextManager[object]:
    """A line on a terminal while nothing else is to be seen; gone at the end."""
    if not err.is_terminal:
        return nullcontext()
    return err.status(Text(passwords.hide(words)), spinner="line")


def indented(lines: Sequence[str]) -> None:
    """Print lines a step to the right, broken on a terminal alone, and between words."""
    for line in lines:
        out.print(wrapped(f"  {visible(line, lines=False)}", sys.stdout), soft_wrap=True)

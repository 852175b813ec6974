"""What a terminal would take for an order, made visible: text of strangers is printed, not obeyed.

Names of columns, classes, files and workers, and whatever stands in a shared database, come from
others. An escape sequence in them could clear the screen, rename the window or hide a line, and an
override of the direction of text could make one name look like another. `visible` is applied where
text leaves this process: in the console of `cli.console`, in `echo`, and by `passwords` in log
records, warnings and tracebacks.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TextIO

__all__ = ["echo", "visible", "wrapped", "write_csv"]

_ORDERS = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and newline, DEL, C1
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the direction of text
    r"\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # unseen, or ends a line
    r"\U000e0000-\U000e007f"  # tags
    r"\ud800-\udfff"  # halves of a character, which cannot be written at all
)
_ORDER = re.compile(f"[{_ORDERS}]")
_ORDER_OR_LINE = re.compile(rf"[\t\n{_ORDERS}]")

_COMMAND = re.compile(
    r"\bhpsearch [a-z][a-z-]*(?: (?!--)[^\s,;:()]+)?(?: --[a-z][a-z-]*(?:[ =](?!--)[^\s,;()]+)?)*"
)
"""A command within a sentence: verb, study or file, options."""
_WITHIN = "\0"
"""Stands for a blank that ends no line; `visible` leaves none in a text."""

_FORMULA = re.compile(r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet computes: these, and the same in full width."""


def visible(text: object, *, lines: bool = True) -> str:
    r"""`text` with each control character as Python writes it, such as `\x1b`.

    Args:
        text: What is printed.
        lines: Whether newlines and tabs may stay; not in what belongs in one line.
    """
    pattern = _ORDER if lines else _ORDER_OR_LINE
    return pattern.sub(lambda match: ascii(match[0])[1:-1], str(text))


def wrapped(text: str, stream: TextIO) -> str:
    """Text whose lines end between words where `stream` is a terminal, which would end them within
    words; what has no blank in it, such as a path, stays whole, and so does a command, which is
    there to be pasted."""
    if not stream.isatty():
        return text
    try:
        width = os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return text
    text = _COMMAND.sub(lambda command: command[0].replace(" ", _WITHIN), text)
    lines = (
        textwrap.wrap(
            line, width, subsequent_indent=line[: len(line) - len(line.lstrip(" "))],
            replace_whitespace=False, break_long_words=False, break_on_hyphens=False,
        )
        if len(line) > width else [line]
        for line in text.split("\n")
    )  # fmt: skip
    return "\n".join(part for parts in lines for part in parts).replace(_WITHIN, " ")


def write_csv(stream: TextIO, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Write a table with its header; a value that a row lacks is left empty.

    Text that begins as a formula does gets an apostrophe before it, as OWASP advises ("CSV
    Injection"); what reads as a number stays as it is. On a terminal it is made `visible`.
    """
    shown = _on_terminal if stream.isatty() else _cell
    line = io.StringIO()
    writer = csv.writer(line)  # with its own ends of lines: else a carriage return is not quoted
    for row in (dict(zip(columns, columns, strict=True)), *rows):
        writer.writerow([shown(row.get(column, "")) for column in columns])
        stream.write(line.getvalue().removesuffix("\r\n") + "\n")
        line.seek(0)
        line.truncate()


def _on_terminal(value: object) -> object:
    value = _cell(value)
    return visible(value) if isinstance(value, str) else value


def _cell(value: object) -> object:
    if not isinstance(value, str) or not _FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def echo(text: object, *, err: bool = False, end: str = "\n") -> None:
    """Print text to standard output or standard error at once."""
    stream = sys.stderr if err else sys.stdout
    stream.write(visible(text) + end)
    stream.flush()

"""The first line of a table as text: the same to whoever looks, a quick check or a worker."""

from __future__ import annotations

import csv

__all__ = ["header"]

_DELIMITERS = ",;\t|"


def header(line: str) -> tuple[str, list[str]]:
    """The delimiter, that which cuts the line into most names, and the names without blanks."""
    cut = {delimiter: _cut(line, delimiter) for delimiter in _DELIMITERS}
    delimiter = max(cut, key=lambda d: len(cut[d]))
    return delimiter, [name.strip() for name in cut[delimiter]]


def _cut(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # without this delimiter, a line of many names is one field, and too long
        return []

"""What a command prints: whole lines of it, the reports among them, and what it said last."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from hpsearch.spec.train import JSON

__all__ = ["Lines", "Reader"]

_CHUNK = 1 << 16
_MOST_LINE = 1 << 20
"""Of a line without an end more is not looked at."""
_SHOWN = 200
"""Letters of a line in a message."""
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours and moves of a terminal's cursor."""


class Reader:
    """Finds reports in lines.

    Args:
        metrics: `json`, or a regular expression with a named group for each number.
        metric: The number that a line of JSON has to have to be a report.
        takes_json: Whether lines of JSON are reports beside those that an expression fits.
    """

    def __init__(self, metrics: str, metric: str, *, takes_json: bool = False) -> None:
        self._pattern = None if metrics == JSON else re.compile(metrics)
        self._takes_json = takes_json or self._pattern is None
        self._metric = metric
        self._lines = 0
        self.last = ""
        """The last line of the output that has words, short enough for a message."""

    def told(self, line: str) -> dict[str, Any] | None:
        """A line of the file for reports, which has nothing else. ValueError for another."""
        if not line.strip():
            return None
        report = _object(line)
        if report is None:
            raise ValueError(f"HPSEARCH_REPORT got a line that is no JSON object: {line[:100]}")
        return report

    def written(self, line: str) -> dict[str, Any] | None:
        """A line of the output, most of which are no reports."""
        self._lines += 1
        self.last = _words(line) or self.last
        if self._takes_json and line.lstrip().startswith("{"):
            report = _object(line)
            if report and self._metric in report:
                return report
        match = self._pattern.search(line) if self._pattern is not None else None
        if match is None:
            return None
        return {name: float(text) for name, text in match.groupdict().items() if text is not None}

    @property
    def silence(self) -> str:
        """Why nothing that was printed is a report."""
        if not self._lines:
            return "it printed nothing"
        ways = [f'is a JSON object with "{self._metric}"'] if self._takes_json else []
        ways += [f"fits train.metrics, {self._pattern.pattern}"] if self._pattern else []
        wanted = " or ".join(ways)
        number = "1 line" if self._lines == 1 else f"{self._lines:,} lines, the last"
        return f"no line of its output {wanted} ({number}: {self.last or 'blank'})"


def _words(line: str) -> str:
    """What of a line is seen last, where a bar of progress is drawn over itself; "" for one without
    a letter or a digit."""
    parts = [" ".join(part.split()) for part in _STEERING.sub("", line[-_CHUNK:]).split("\r")]
    shown = next((part for part in reversed(parts) if re.search(r"\w", part)), "")
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} ..."


def _object(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


class Lines:
    """Whole lines of a descriptor."""

    def __init__(self, number: int) -> None:
        self.number, self._rest = number, b""

    def read(self) -> list[str] | None:
        """Those that are there by now; None at its end."""
        try:
            data = os.read(self.number, _CHUNK)
        except BlockingIOError:
            return []
        if not data:
            return self.rest() or None
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_MOST_LINE:]
        return [line.decode(errors="replace") for line in lines]

    def rest(self) -> list[str]:
        """What came after the last whole line, where no more of it is waited for."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest else []

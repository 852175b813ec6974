"""What is wrong with a study file: one `Fault` a place, all of them in one error."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from hpsearch.errors import StudyFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Fault",
    "Faults",
    "Path",
    "Place",
    "StudyFaultsError",
    "dotted",
    "listed",
    "nearest",
    "printable",
    "show",
]

Path = tuple[str | int, ...]
"""The keys that lead to a value, from the top of the file."""

Place = int | str
"""A line of the file, counted from 1, or the path that a `--set` option names."""

_MOST_LINES = 100
"""Faults that a message lists; a file with more is most likely not a study file at all."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where it is, what was expected there, and what came."""

    path: str
    """Keys that lead to the value, joined by dots; empty for the file as a whole."""
    expected: str
    got: str
    line: int | None = None
    """Line of the file, from 1; None where the value came from elsewhere."""
    column: int | None = None
    """Column, from 1; only of what is not YAML."""
    option: str | None = None
    """The `--set` option that the value came from, as `--set budget.trials`."""
    hint: str | None = None
    """What was most likely meant."""

    def text(self, source: str) -> str:
        """The fault as one line; `source` is the name of the file."""
        where = [self.option or ":".join(str(s) for s in (source, self.line, self.column) if s)]
        # An option already says its path.
        where += [self.path] if self.path and self.option != f"--set {self.path}" else []
        hint = f"; did you mean {self.hint}?" if self.hint else ""
        return f"{': '.join(where)}: expected {self.expected}; got {self.got}{hint}"


class StudyFaultsError(StudyFileError):
    """The study file or an option has faults; `faults` lists them in the order of the file."""

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(sorted(faults, key=lambda f: (f.line is None, f.line or 0)))
        number = len(self.faults)
        lines = [f"{source} has {number} fault{'s' if number > 1 else ''}:"]
        lines += [fault.text(source) for fault in self.faults[:_MOST_LINES]]
        if number > _MOST_LINES:
            lines.append(f"... and {number - _MOST_LINES} more")
        super().__init__("\n".join(lines))


class Faults:
    """Gathers faults while a document is checked, and knows the place of every path."""

    def __init__(self, places: dict[Path, Place] | None = None) -> None:
        self.places = {} if places is None else places
        self.options: dict[Path, str] = {}
        """What `--set` options have put into the document."""
        self._found: dict[Fault, None] = {}
        self._settled: set[Path] = set()

    def add(
        self,
        path: Path,
        expected: str,
        got: str,
        *,
        near: tuple[object, Iterable[str]] | None = None,
        beside: Iterable[Path] = (),
    ) -> None:
        """Note a fault at `path`.

        `near` is a word and the names that it may be a slip of. `beside` names the other values
        that are part of a disagreement: where one of them came from an option, the option is
        blamed, as the file was fine without it.
        """
        if any(path[:n] in self._settled for n in range(len(path) + 1)):
            return
        # Finding near names is slow, and nobody reads the thousandth hint.
        hint = nearest(*near) if near and len(self._found) < _MOST_LINES else None
        place: Place | None = self.place(path)
        for other in beside:
            for at, blamed in self.options.items():
                place = blamed if at[: len(other)] == other else place
        line = place if isinstance(place, int) else None
        option = f"--set {place}" if isinstance(place, str) else None
        fault = Fault(dotted(path), expected, got, line, option=option, hint=hint)
        self.note(fault)

    def add_unknown(self, path: Path, names: Iterable[str], expected: str = "") -> None:
        """Note that the last key of `path` is none of `names`."""
        names = list(names)
        self.add(path, expected or listed(names), show(path[-1]), near=(path[-1], names))
        meant = nearest(path[-1], names) if len(self._found) <= _MOST_LINES else None
        if meant and (*path[:-1], meant) not in self.places:
            self._settled.add((*path[:-1], meant))  # that it is missing is this fault once more

    def note(self, fault: Fault) -> None:
        """Note `fault` as it is; one that is there already is not noted again."""
        self._found[fault] = None

    def settle(self, path: Path, fault: Fault) -> None:
        """Note a fault that makes anything further about `path` idle."""
        self.note(fault)
        self._settled.add(path)

    def quiet(self, *paths: Path) -> None:
        """Say nothing further about these: what is wrong with them has been said."""
        self._settled.update(paths)

    def place(self, path: Path) -> Place | None:
        """The place of `path`, or of the section that it is missing from."""
        for n in range(len(path), -1, -1):
            if path[:n] in self.places:
                return self.places[path[:n]]
        return None

    def __len__(self) -> int:
        return len(self._found)

    def stop(self, source: str) -> NoReturn:
        """Raise all faults as one error."""
        raise StudyFaultsError(source, self._found)


def dotted(path: Path) -> str:
    """`path` as a message says it: `start.0.lr`."""
    return ".".join(printable(str(key)) for key in path)


def nearest(word: object, names: Iterable[str]) -> str | None:
    """The name that `word` is most likely a slip of, if any is near."""
    names = list(names)
    # Names are short; the comparison takes time with the square of the length.
    matches = difflib.get_close_matches(str(word)[:100], names, n=1)
    matches = matches or [name for name in names if name.lower() == str(word)[:100].lower()]
    return matches[0] if matches and matches[0] != word else None


def listed(names: Iterable[str]) -> str:
    """`names` as what is expected: `one of a, b, c`."""
    names = list(names)
    if len(names) > 30:
        names[20:] = [f"... ({len(names)} in all)"]
    return f"one of {', '.join(names)}" if len(names) > 1 else "".join(names)


def show(value: object) -> str:
    """`value` as a message shows it: as YAML would write it, and short."""
    if isinstance(value, dict):
        return f"keys ({_short(', '.join(map(str, value)))})" if value else "{}"
    if isinstance(value, float):
        return repr(value)
    try:
        return _short(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        return f"a value of type {type(value).__name__}"


def _short(text: str) -> str:
    return printable(text if len(text) <= 60 else f"{text[:56]} ...")


def printable(text: str) -> str:
    """`text` with control characters written out, so that no file can steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

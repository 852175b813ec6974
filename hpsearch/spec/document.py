"""YAML text -> plain values and the line of each.

The text becomes a stream of events, from which the tree is built here. So the depth and the size
of the tree are bounded while it grows (an alias can otherwise make a megabyte out of a line), and
plain scalars follow YAML 1.2's core schema to the letter: `on` and `2024-01-01` are text, `1e-5`
is a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from hpsearch.spec.dialects import in_text
from hpsearch.spec.faults import Fault, Faults, dotted, show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from hpsearch.spec.faults import Path, Place

__all__ = ["MOST_BYTES", "MOST_LEVELS", "MOST_NODES", "admit", "read", "split"]

MOST_BYTES = 1_000_000
MOST_NODES = 50_000
MOST_LEVELS = 20

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)


_YAML = {
    "found character '\\t' that cannot start any token": ("blanks, as YAML knows no tabs", "a tab"),
    "expected <block end>, but found '<block mapping start>'": (
        "a key as far from the margin as those beside it", "another indentation"),
    "mapping values are not allowed here": (
        "a key as far left as those beside it, or quotes round a text with a colon",
        "a colon",
    ),
    "could not find expected ':'": ("a colon after a key", "none"),
}  # fmt: skip
"""What the parser says of the commonest slips -> what was expected, and what came."""


def read(text: str, faults: Faults, option: str | None = None) -> object:
    """The content of `text`; the line of every value goes into `faults.places`.

    With `option`, the text is the value of `--set <option>`, and that is its place. What is not
    YAML, or is too deep or too large, is one fault and reads as None; the faults then hold
    nothing else about the text.
    """
    try:
        node = _Builder(text, faults, option).document()
    except _UnreadableError as error:
        faults.settle(split(option), error.fault)
        return None
    return _plain(node, split(option), faults.places, option)


def admit(value: object, path: Path, faults: Faults) -> object:
    """A copy of `value`, which came from a database, under the same bounds as a file's."""
    if len(path) > MOST_LEVELS:
        faults.settle(path[:1], Fault(dotted(path), _LEVELS, "more"))
        return None
    if isinstance(value, dict):
        return {str(key): admit(item, (*path, str(key)), faults) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [admit(item, (*path, index), faults) for index, item in enumerate(value)]
    expected = _trouble(value)
    if expected:
        faults.settle(path, Fault(dotted(path), expected, show(value)))
        return None
    return value


_LEVELS = f"at most {MOST_LEVELS} levels of nesting"


def split(option: str | None) -> Path:
    """The keys in `budget.trials`."""
    return tuple(option.split(".")) if option else ()


def _trouble(value: object) -> str:
    """What was expected in place of a scalar that nothing downstream can hold; "" if it is fine."""
    if isinstance(value, str):
        # Databases refuse NUL and half characters in text.
        odd = "\0" in value or any("\ud800" <= c <= "\udfff" for c in value)
        return "text without NUL and surrogate characters" if odd else ""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return "" if abs(value) < 1 << 63 else "a whole number below 2^63"
    if isinstance(value, float):
        return "" if abs(value) < float("inf") else "a finite number"
    return "text, a number, true, false or null"


class _UnreadableError(Exception):
    """The text cannot be read at all."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


@dataclass(frozen=True)
class _Node:
    """A value with its line; `items` are the nodes of a list, or of a mapping by key."""

    scalar: object
    items: list[_Node] | dict[str, _Node] | None
    line: int
    size: int
    """Nodes in the tree below, this one too, with aliases written out."""
    levels: int
    """Levels in the tree below, this one too."""


class _Builder:
    """Builds nodes from the events of one text."""

    def __init__(self, text: str, faults: Faults, option: str | None) -> None:
        self._text = text
        self._faults = faults
        self._option = option
        self._prefix = split(option)
        self._stream = self._events()
        self._anchors: dict[str, _Node | None] = {}
        self._nodes = 0
        """Nodes so far, with aliases written out."""

    def document(self) -> _Node:
        """The one document in the text."""
        root = None
        for event in self._stream:
            if isinstance(event, DocumentStartEvent):
                if root:
                    raise self._unreadable(event.start_mark, "one document", "a second one")
                root = self._node(next(self._stream), self._prefix)
        if root is None and self._option:
            return _Node(None, None, 1, 1, 1)  # `--set budget.hours=` takes the value away
        if root is None:
            raise self._unreadable(None, "a mapping of keys to values", "nothing")
        return root

    def _events(self) -> Iterator[Any]:
        try:
            yield from YAML(typ="safe", pure=True).parse(self._text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if mark and (
                translation := in_text(self._text.splitlines()[mark.line : mark.line + 1])
            ):
                raise self._unreadable(mark, *translation) from None
            problem = " ".join((error.problem or error.context or "").split())
            expected, got = _YAML.get(problem, ("YAML", problem))
            raise self._unreadable(mark, expected, got) from None
        except YAMLError as error:  # a character that YAML does not allow
            raise self._unreadable(None, "YAML", str(error).partition("\n")[0]) from None
        except AssertionError as error:  # how ruamel.yaml answers `%YAML 3.0`
            raise self._unreadable(None, "YAML 1.2", str(error)) from None

    def _node(self, event: Any, path: Path) -> _Node:
        if len(path) > MOST_LEVELS:
            raise self._unreadable(event.start_mark, _LEVELS, "more")
        self._nodes += 1
        if isinstance(event, AliasEvent):
            return self._aliased(event, path)
        if event.anchor:
            self._anchors[event.anchor] = None  # open: an alias from inside would be recursive
        line = event.start_mark.line + 1
        if event.tag:
            self._settle(path, line, "a value without a tag", str(event.tag))
        node = self._built(event, path, line)
        if self._nodes > MOST_NODES:
            raise self._unreadable(event.start_mark, f"at most {MOST_NODES:,} values", "more")
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _built(self, event: Any, path: Path, line: int) -> _Node:
        if isinstance(event, ScalarEvent):
            return _Node(self._scalar(event, path), None, line, 1, 1)
        mapping = isinstance(event, MappingStartEvent)
        items = self._mapping(path) if mapping else self._list(path)
        below = list(items.values()) if isinstance(items, dict) else items
        size = 1 + sum(node.size for node in below)
        return _Node(None, items, line, size, 1 + max((node.levels for node in below), default=0))

    def _list(self, path: Path) -> list[_Node]:
        items: list[_Node] = []
        while not isinstance(event := next(self._stream), SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, _Node]:
        items: dict[str, _Node] = {}
        while not isinstance(event := next(self._stream), MappingEndEvent):
            line = event.start_mark.line + 1
            key = self._key(event, path, line)
            # The value of a key that is wrong is read too, as its own faults should show.
            value = self._node(next(self._stream), (*path, "?" if key is None else key))
            if key is None:
                continue
            if key in items:
                first = items[key].line
                self._note((*path, key), line, "each key once", f"it again after line {first}")
            else:
                # The place of an entry is its key, not a block that starts on the next line.
                items[key] = replace(value, line=line)
        return items

    def _key(self, event: Any, path: Path, line: int) -> str | None:
        """The key that `event` begins, or None, with a fault, where it is not text."""
        if isinstance(event, ScalarEvent) and not event.tag:
            plain = event.implicit[0] and not _is_text(event.value)
            if not plain and not _trouble(event.value):
                return str(event.value)
            shown = show(event.value)
        else:
            self._node(event, (*path, "?"))
            shown = "something else"
        self._note(path, line, "text as a key (in quotes, if need be)", shown)
        return None

    def _aliased(self, event: Any, path: Path) -> _Node:
        name, mark = event.anchor, event.start_mark
        if name not in self._anchors:
            raise self._unreadable(mark, f"an anchor &{name} before *{name}", "none")
        node = self._anchors[name]
        if node is None:
            raise self._unreadable(mark, "an alias to a finished value", f"*{name} inside &{name}")
        if len(path) + node.levels > MOST_LEVELS + 1:
            raise self._unreadable(mark, _LEVELS, "more")
        self._nodes += node.size  # checked by the list or mapping around it
        return node

    def _scalar(self, event: ScalarEvent, path: Path) -> object:
        try:
            value = _resolved(event.value) if event.implicit[0] else event.value
            trouble = _trouble(value)
        except ValueError:  # Python reads no whole number of more than 4,300 digits
            trouble = _trouble(1 << 63)
        if not trouble:
            return value
        self._settle(path, event.start_mark.line + 1, trouble, show(event.value))
        return None

    def _fault(self, path: Path, line: int | None, expected: str, got: str) -> Fault:
        if self._option:
            return Fault(dotted(path), expected, got, option=f"--set {self._option}")
        return Fault(dotted(path), expected, got, line)

    def _note(self, path: Path, line: int, expected: str, got: str) -> None:
        self._faults.note(self._fault(path, line, expected, got))

    def _settle(self, path: Path, line: int, expected: str, got: str) -> None:
        self._faults.settle(path, self._fault(path, line, expected, got))

    def _unreadable(self, mark: Any, expected: str, got: str) -> _UnreadableError:
        line = mark.line + 1 if mark else None
        fault = self._fault(self._prefix, line, expected, got)
        # Columns of an option's value would be counted from its own start, which helps nobody.
        column = mark.column + 1 if mark and not self._option else None
        return _UnreadableError(replace(fault, column=column))


def _is_text(plain: str) -> bool:
    """Whether a plain scalar is text, and not a number or the like."""
    others = (_NULL, _TRUE, _FALSE, _INT, _OCTAL, _HEX, _FLOAT)
    return not any(pattern.fullmatch(plain) for pattern in others)


def _resolved(text: str) -> object:
    """A plain scalar as YAML 1.2's core schema reads it."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        # Python has no dot before inf and nan.
        return float(text if text[-1].isdigit() or text[-1] == "." else text.replace(".", ""))
    return text


def _plain(node: _Node, path: Path, places: dict[Path, Place], option: str | None) -> object:
    """The value of `node`, in new lists and dicts; the place of each part goes into `places`."""
    places[path] = option or node.line
    if isinstance(node.items, dict):
        return {k: _plain(n, (*path, k), places, option) for k, n in node.items.items()}
    if isinstance(node.items, list):
        return [_plain(n, (*path, i), places, option) for i, n in enumerate(node.items)]
    return node.scalar

"""Versions of a study's document, and what each of them means.

A study keeps the version that it was made with, and is searched, read and finished by the rules of
that version for good. A study file has no version: what is made of it has the current one.

1. Documents of hpsearch 0.1, which have no `version`. Every key that 0.1 had is written.
2. `version` is written, and keys at their default are not, so that a later key changes no digest.
   A trial's value is that of its best epoch, a joint search tries the default configuration first,
   and trials under way end with the hours. The source of tables is `table`, which was `csv`; tables
   of version 1 are read by the rules of then, and no trial of them is continued.
3. The default of a loss that is searched is the task's usual one among its values; it was the one
   in the middle of the list.

A new key in `models` needs a line in `SINCE_1`, and one of data a line in `_LATER`, or it would be
written into documents of version 1 and change their digests (`tests/data` holds some). A new fault
is one of studies from `CURRENT` on: a study that is in a database stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CURRENT", "FIRST", "OLD_TABLE", "SINCE_1", "completed", "explicit", "of", "overlaid",
           "reduced"]  # fmt: skip

FIRST = 1
CURRENT = 3

SINCE_1: dict[tuple[str, ...], Any] = {
    ("keep",): "last",
    ("track",): None,
    ("budget", "stop_after"): None,
    ("data", "normal"): [],
    ("data", "strange"): [],
}
"""Keys that version 1 does not have -> the value that its studies have for want of them."""

OLD_TABLE = "csv"
"""What version 1 calls the source of tables, and a study file still may."""

_SOURCE, _TABLE = ("data", "source"), "table"

_LATER: Mapping[str, Any] = {"memory": "auto", "shuffle": True, "normalize": "standard"}
"""Keys of data that version 1 does not write, of whichever source -> what they are by default, and
what its studies have for want of them."""

_DATA_1: Mapping[str, Any] = {
    "path": None,
    "target": None,
    "task": None,
    "root": None,
    "ignore": [],
}
"""Keys that version 1 writes for every source, also for one that has no such key."""

_NOTHING = object()


def of(document: Mapping[str, Any]) -> int:
    """The version of a document, which may be one that nobody here knows."""
    version: int = document.get("version", FIRST)
    return version


def completed(content: Mapping[str, Any], version: int) -> Mapping[str, Any]:
    """`content` with what its version means by the keys that it does not have, and with the source
    of tables that the version has."""
    if _at(content, _SOURCE) in (_TABLE, OLD_TABLE):
        content = _with(content, _SOURCE, OLD_TABLE if version == FIRST else _TABLE)
    for path, value in _lacking(version).items():
        if _at(content, path) is _NOTHING:
            content = _with(content, path, value)
    if version == FIRST:
        for key, value in _DATA_1.items():
            if _at(content, ("data", key)) == value:
                content = _with(content, ("data", key), _NOTHING)
    return content


def reduced(content: Mapping[str, Any], version: int) -> Mapping[str, Any]:
    """`content`, which has every key, with those that its version has.

    One whose value is not what the version means stays: it is a study that the version cannot say.
    """
    for path, value in _lacking(version).items():
        if _at(content, path) == value:
            content = _with(content, path, _NOTHING)
    if version != FIRST:
        return content
    data = {key: v for key, v in content["data"].items() if (key, v) not in _LATER.items()}
    return {**content, "data": {**_DATA_1, **data}}


def explicit(content: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """What a file itself says of keys that version 1 does not have."""
    named = {path: _at(content, path) for path in SINCE_1}
    return {path: value for path, value in named.items() if value is not _NOTHING}


def overlaid(
    content: Mapping[str, Any], values: Mapping[tuple[str, ...], Any]
) -> Mapping[str, Any]:
    """`content` with other values at some paths."""
    for path, value in values.items():
        content = _with(content, path, value)
    return content


def _lacking(version: int) -> dict[tuple[str, ...], Any]:
    return SINCE_1 if version == FIRST else {}


def _at(content: object, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(content, Mapping) or key not in content:
            return _NOTHING
        content = content[key]
    return content


def _with(content: Any, path: tuple[str, ...], value: object) -> Any:
    """`content` with another value at `path`, or without that key."""
    if not isinstance(content, Mapping):
        return content
    key, rest = path[0], path[1:]
    if rest:
        return {**content, key: _with(content.get(key, {}), rest, value)}
    others = {k: v for k, v in content.items() if k != key}
    return others if value is _NOTHING else {**others, key: value}

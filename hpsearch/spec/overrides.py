"""`--set path=value`: changes to the content of a study file before it is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.spec.document import read, split
from hpsearch.spec.faults import Fault, printable, show

if TYPE_CHECKING:
    from hpsearch.spec.faults import Faults

__all__ = ["overlay"]


def overlay(content: object, setting: str, faults: Faults) -> None:
    """Put `path=value` into `content`, which is changed; the value is read as YAML."""
    name, equals, text = setting.partition("=")
    path, name = split(name), printable(name)
    if not (equals and path and all(path)):
        given = Fault("", "path=value, such as budget.trials=20", show(setting), option="--set")
        faults.settle(("--set", setting), given)
        return
    section = content
    for depth, key in enumerate(path[:-1], start=1):
        if not isinstance(section, dict):
            break
        if section.get(key) is None:
            section[key] = {}
            faults.places[path[:depth]] = name
        section = section[key]
    if not isinstance(section, dict):
        # A root of another kind is a fault of its own.
        if isinstance(content, dict):
            got = f"one whose section is {show(section)}"
            faults.settle(
                path, Fault(name, "a path of keys through sections", got, option=f"--set {name}")
            )
        return
    for place in [p for p in faults.places if p[: len(path)] == path]:
        del faults.places[place]
    faults.places[path] = faults.options[path] = name
    section[path[-1]] = read(text, faults, name)

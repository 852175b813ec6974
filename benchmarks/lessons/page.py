"""What docs/explanation/lessons.md shows of the lessons: a table a guide, and on what they ran."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from benchmarks.lessons.catalog import LESSONS
from benchmarks.lessons.lesson import Lesson
from benchmarks.turns import RESULTS

__all__ = ["FILE", "results", "tables"]

FILE = RESULTS / "lessons.json"
_HEAD = ("lesson", "the guide says", "command", "what came of it", "what to make of it")


def results() -> dict[str, Any]:
    """Lesson -> its record; empty where none has been run."""
    found: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def tables() -> str:
    """A table for each guide."""
    found = results()
    parts = [
        f"## A guide on {guide}\n\n{_table(lessons, found)}"
        for guide, lessons in groupby(LESSONS.values(), key=lambda lesson: lesson.guide)
    ]
    return "\n".join(parts) + f"\n{_circumstances(found)}"


def _table(lessons: Iterable[Lesson], found: Mapping[str, Any]) -> str:
    rows = [_HEAD, ("---",) * len(_HEAD), *(_row(lesson, found) for lesson in lessons)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(lesson: Lesson, found: Mapping[str, Any]) -> tuple[str, ...]:
    name = f"[{lesson.name}](../../studies/{lesson.name}.yaml)"
    if lesson.name not in found:
        return name, lesson.claim, f"`{lesson.shown}`", "not measured yet", ""
    record = found[lesson.name]
    told = lesson.tell(record["figures"])
    command = f"`{lesson.shown}`, {record['seconds']:.0f} s"
    return name, lesson.claim, command, told.result, told.meaning


def _circumstances(found: Mapping[str, Any]) -> str:
    """On which machines and versions, each with its lessons."""
    groups: dict[str, list[str]] = {}
    for name in LESSONS:
        if name in found:
            groups.setdefault(_circumstance(found[name]), []).append(name)
    total = sum(found[name]["seconds"] for name in LESSONS if name in found)
    used = [found[name].get("cpu_seconds") for name in LESSONS if name in found]
    cpu = "" if None in used else f", {sum(used) / 60:.0f} of CPU"
    lines = "".join(f"- {', '.join(names)}: {line}\n" for line, names in groups.items())
    return f"{total / 60:.0f} minutes in all{cpu}.\n\n{lines}"


def _circumstance(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return (
        f"{record['when']}; {machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gib']} GiB; {versions}"
    )

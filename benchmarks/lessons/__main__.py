"""Run the lessons and write docs/explanation/lessons.md.

    python -m benchmarks.lessons [NAME ...]

Without names those that benchmarks/results/lessons.json lacks, so that a run that was broken off
continues; with names these, again. A lesson that does not show what it has to is kept, and named at
the end with exit code 1.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.lessons.catalog import LESSONS
from benchmarks.lessons.command import Subprocess
from benchmarks.lessons.lesson import Lesson
from benchmarks.lessons.page import FILE, results
from benchmarks.report import write
from benchmarks.turns import FailedError, SkippedError, machine, versions, write_json

__all__ = ["main"]

_console = Console(stderr=True)


def main() -> None:
    """Run them, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="run these, again")
    names = parser.parse_args().names
    if unknown := set(names) - LESSONS.keys():
        sys.exit(f"no lesson {', '.join(sorted(unknown))}; there are {', '.join(LESSONS)}")
    missed = []
    for name in names or [name for name in LESSONS if name not in results()]:
        try:
            missed += [f"{name}: {goal}" for goal in _run(LESSONS[name])]
        except SkippedError as why:
            _console.print(f"{name}: skipped, {why}")
        except FailedError as error:
            sys.exit(f"{name}: {error}")
    write()
    if missed:
        sys.exit("not reached:\n  " + "\n  ".join(missed))


def _run(lesson: Lesson) -> list[str]:
    """Run one and keep its figures: the goals that they do not reach."""
    begin, used = time.perf_counter(), _used_s()
    with tempfile.TemporaryDirectory(prefix="hpsearch-lesson-") as folder:
        figures = lesson.measure(Subprocess(Path(folder)))
    seconds = round(time.perf_counter() - begin, 1)
    record = {
        "figures": figures, "seconds": seconds, "cpu_seconds": round(_used_s() - used, 1),
        "when": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(), "versions": versions(),
    }  # fmt: skip
    write_json(FILE, {**results(), lesson.name: record})
    _console.print(f"{lesson.name}, {seconds:.0f} s: {lesson.tell(figures).result}")
    return lesson.failed(figures)


def _used_s() -> float:
    """Seconds of CPU of this process and of all that it has started and that have ended."""
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in of)


if __name__ == "__main__":
    main()

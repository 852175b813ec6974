"""Running the sides of a comparison in turn, and keeping what was measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = [
    "IDLE", "RESULTS", "ROOT", "UNITS", "Case", "FailedError", "Goal", "Measured", "Round", "Side",
    "SkippedError", "arguments", "environment", "in_turn", "machine", "timed", "versions",
    "write_json",
]  # fmt: skip

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"

UNITS = {
    "seconds": "s", "seconds_per_trial": "s a trial", "trials_per_s": "trials/s",
    "seconds_per_report": "s a report", "cpu_seconds_per_trial": "s of CPU a trial",
}  # fmt: skip
"""What can be compared. Of seconds less is better, of trials more."""

_PACKAGES = ("hpsearch", "optuna", "ray", "torch", "sqlalchemy", "scikit-learn")
IDLE = 0.5
"""A load below which the machine does little else."""
_LINES = 20
"""Last lines that are shown of what a process that failed has said."""

_console = Console(stderr=True)


class FailedError(Exception):
    """A side's process ended with an error."""


class SkippedError(Exception):
    """A side cannot be run here, and why."""


@dataclass(frozen=True)
class Side:
    """One of those compared."""

    name: str
    run: Callable[[Path], Mapping[str, Any]]
    """One fresh run in an empty folder: its figures, among them the one that is compared.

    Raises SkippedError where that cannot be done on this machine."""
    rounds: int | None = None
    """Of the first so many rounds, where it takes long; None: of all."""


@dataclass(frozen=True)
class Goal:
    """What hpsearch is to reach: one of the two."""

    times: float | None = None
    """The speed-up over the first peer at least."""
    seconds: float | None = None
    """At most so long."""

    def __str__(self) -> str:
        return f"at most {self.seconds:g} s" if self.seconds else f"at least {self.times:g}"


Round = Mapping[str, Mapping[str, Any]]
"""Side -> its figures in one round."""


@dataclass(frozen=True)
class Case:
    """One comparison: hpsearch is its first side."""

    name: str
    title: str
    sides: Sequence[Side]
    goal: Goal | None = None
    figure: str = "seconds"
    """What is compared: a key of `UNITS`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the record is to say: number of trials and the like."""
    compare: Callable[[Round], Round] | None = None
    """Adds to the figures of a round what only all its sides together show, where a figure of one
    side depends on what another came to."""


@dataclass(frozen=True)
class Measured:
    """The record of one case, as it stands in the JSON file."""

    name: str
    title: str
    figure: str
    goal: Goal | None
    facts: Mapping[str, Any]
    sides: Mapping[str, Sequence[Mapping[str, Any]]]
    """Side -> the figures of each of its runs, in the order of the runs."""
    skipped: Mapping[str, str]
    """Side -> why it was not run."""
    when: str
    command: str
    machine: Mapping[str, Any]
    load: float
    """Of the machine before the first run: processes that wanted a core."""
    versions: Mapping[str, str]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Measured:
        """The record of what `as_json` gave."""
        goal = Goal(**found["goal"]) if found["goal"] else None
        return cls(**{**found, "goal": goal})

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "goal": vars(self.goal) if self.goal else None}

    def middle(self, side: str, figure: str | None = None) -> float:
        """The median over a side's runs; of what is compared unless another figure is named."""
        return float(median(run[figure or self.figure] for run in self.sides[side]))

    def times(self, peer: str) -> float:
        """The speed-up over a peer, by the medians."""
        own, other = self.middle("hpsearch"), self.middle(peer)
        return own / other if self.figure == "trials_per_s" else other / own

    @property
    def peers(self) -> list[str]:
        """The sides that were run, without hpsearch."""
        return [name for name in self.sides if name != "hpsearch"]


def arguments(doc: str | None, **more: Mapping[str, Any]) -> argparse.Namespace:
    """The command line of a benchmark: what all have, and `more` options by name."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument(
        "--rounds", "--seeds", type=int, metavar="N", help="runs of each side (default 5)"
    )
    parser.add_argument("--quick", action="store_true", help="one small round; writes nothing")
    parser.add_argument(
        "--only", "--part", action="append", metavar="CASE", help="may be given again"
    )
    for name, settings in more.items():
        parser.add_argument(f"--{name}", **settings)
    found = parser.parse_args()
    found.rounds = found.rounds or (1 if found.quick else 5)
    return found


def in_turn(benchmark: str, cases: Iterable[Case], options: argparse.Namespace) -> None:
    """Run each case, print it, and write it to the benchmark's file unless `--quick` says not to.

    Cases that are not run this time stay in the file as they are. Ends the process where a side
    fails.
    """
    module = f"benchmarks.{Path(sys.argv[0]).stem}"  # several may write to one file
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    load = os.getloadavg()[0]  # before the first case: later ones would meet that of the first
    if load > IDLE:
        _console.print(f"other work runs here (load {load:.1f}): figures will be off")
    for case in cases:
        if options.only and case.name not in options.only:
            continue
        try:
            measured = _measure(case, options.rounds, command, load)
        except FailedError as error:
            sys.exit(f"{case.name}: {error}")
        Console().print(_picture(measured))
        if not options.quick:
            _write(RESULTS / f"{benchmark}.json", measured)


def _measure(case: Case, rounds: int, command: str, load: float) -> Measured:
    runs: dict[str, list[Mapping[str, Any]]] = {}
    skipped: dict[str, str] = {}
    for number in range(rounds):
        figures = {}
        for side in case.sides:
            if side.name in skipped or number >= (side.rounds or rounds):
                continue
            try:
                figures[side.name] = _run(side)
            except SkippedError as why:
                skipped[side.name] = str(why)
                continue
            if case.compare is None:
                _say(case, f"{number + 1}/{rounds}", side.name, figures[side.name])
        if case.compare is not None:
            figures = dict(case.compare(figures))
            for name, of in figures.items():
                _say(case, f"{number + 1}/{rounds}", name, of)
        for name, of in figures.items():
            runs.setdefault(name, []).append(of)
    return Measured(
        name=case.name, title=case.title, figure=case.figure, goal=case.goal, facts=case.facts,
        sides=runs, skipped=skipped, when=datetime.now(UTC).strftime("%Y-%m-%d"), command=command,
        machine=machine(), load=load, versions=versions(),
    )  # fmt: skip


def _run(side: Side) -> Mapping[str, Any]:
    """The figures of one run in a new folder."""
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        return side.run(Path(folder))


def _say(case: Case, turn: str, side: str, figures: Mapping[str, Any]) -> None:
    value = f"{figures[case.figure]:.4g} {UNITS[case.figure]}"
    _console.print(f"{case.name} {turn} {side}: {value}")


def _picture(measured: Measured) -> Table:
    table = Table(title=measured.title, title_justify="left", caption_justify="left")
    for column in ("side", f"median, {UNITS[measured.figure]}", "least", "most", "speed-up"):
        table.add_column(column, justify="left" if column == "side" else "right")
    for name, runs in measured.sides.items():
        values = [run[measured.figure] for run in runs]
        times = "" if name == "hpsearch" else f"{measured.times(name):.2f}"
        table.add_row(
            name, *(f"{v:.4g}" for v in (median(values), min(values), max(values))), times
        )
    for name, why in measured.skipped.items():
        table.add_row(name, "skipped", "", "", why)
    table.caption = f"goal: {measured.goal}" if measured.goal else None
    return table


def _write(path: Path, measured: Measured) -> None:
    cases = json.loads(path.read_text())["cases"] if path.exists() else []
    names = [case["name"] for case in cases]
    if measured.name in names:
        cases[names.index(measured.name)] = measured.as_json()
    else:
        cases.append(measured.as_json())
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"benchmark": path.stem, "cases": cases}, indent=1) + "\n")


def write_json(path: Path, found: Mapping[str, Any]) -> None:
    """Beside, then renamed: minutes or hours of work stand in it."""
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(found) + "\n")
    beside.replace(path)


def timed(command: Sequence[object], folder: Path, **env: str) -> float:
    """Seconds from a process's start to its end. FailedError where its exit code is not 0."""
    begin = time.perf_counter()
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment(**env), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-_LINES:])
        raise FailedError(f"{shlex.join(map(str, command))} ended with {done.returncode}\n{last}")
    return seconds


def environment(**env: str) -> dict[str, str]:
    """That of a side's process: none of hpsearch's settings, and this folder's modules."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HPSEARCH_")}
    paths = [str(ROOT), *filter(None, [clean.get("PYTHONPATH")])]
    return {**clean, "PYTHONPATH": os.pathsep.join(paths), **env}


def machine() -> dict[str, Any]:
    """The hardware that figures depend on."""
    return {"processor": _processor(), "cores": os.cpu_count(), "memory_gib": _memory_gib(),
            "system": f"{platform.system()} {platform.machine()}", "gpu": _gpu()}  # fmt: skip


def _processor() -> str:
    with Path("/proc/cpuinfo").open() as lines:
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _gpu() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def versions() -> dict[str, str]:
    """Of Python, and of the packages that figures depend on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

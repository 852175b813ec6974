"""Whether forecasts come true: `hpsearch plan` of the shipped studies, beside what they then take.

    python -m benchmarks.forecast [--seeds 6] [--only STUDY]

Each study is planned and then run by the commands, with as many workers as the machine has cores,
once for each seed of its search: what another seed finds takes another time. What the file of
results has is not run again. `fashion-staged` takes ten minutes a run, the others less than one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.turns import IDLE, RESULTS, ROOT, FailedError, timed, versions, write_json

__all__ = ["FILE", "HEAD", "Forecasted", "main", "rows"]

FILE = RESULTS / "forecast.json"

_STUDIES = ("digits", "circles-staged", "digits-staged", "fashion-staged")

_NEAR = 1.5
"""By this factor the truth may be off."""

_console = Console(stderr=True)


@dataclass(frozen=True)
class Forecasted:
    """One run of a study, in seconds of work."""

    expected: float
    low: float
    high: float
    took: float

    @property
    def times(self) -> float:
        """How many times longer it took than was expected."""
        return self.took / self.expected

    @property
    def is_near(self) -> bool:
        """Whether it was off by no more than the factor."""
        return 1 / _NEAR <= self.times <= _NEAR

    @property
    def is_within(self) -> bool:
        """Whether the truth lay in the range that was said."""
        return self.low <= self.took <= self.high


HEAD = ("study", "runs", "forecast, s", "took, s", "times the forecast",
        f"within a factor of {_NEAR:g}", "within the range")  # fmt: skip


def rows(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Of each study of a file of results a row: medians, with the least and the most."""
    made = list[tuple[str, ...]]()
    for study, seeds in found.items():
        runs = [Forecasted(**run) for run in seeds.values()]
        made.append((
            study, f"{len(runs)}", _spread([run.expected for run in runs], ".0f"),
            _spread([run.took for run in runs], ".0f"), _spread([run.times for run in runs], ".2f"),
            f"{sum(run.is_near for run in runs)}", f"{sum(run.is_within for run in runs)}",
        ))  # fmt: skip
    return made


def _spread(values: list[float], digits: str) -> str:
    middle, low, high = (format(v, digits) for v in (median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def _forecasted(study: str, seed: int) -> Forecasted:
    """Plan a study, run it, and read what it took."""
    from hpsearch.insight.report import Reader
    from hpsearch.store.engine import Database
    from hpsearch.store.ledger import Ledger

    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        storage = f"sqlite:///{folder}/study.db"
        options = [ROOT / "studies" / f"{study}.yaml", "--set", f"search.seed={seed}",
                   "--storage", storage]  # fmt: skip
        for verb in ("plan", "run"):
            timed([sys.executable, "-m", "hpsearch", verb, *options], Path(folder))
        snapshot = Reader(Ledger(Database(storage)), study).snapshot()
    assert snapshot.forecast is not None
    work = snapshot.forecast.work_s
    return Forecasted(work.expected, work.low, work.high, snapshot.study.active_s)


def main() -> None:
    """Run what the file of results does not have, and print what all of it comes to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=6, metavar="N")
    parser.add_argument("--only", action="append", choices=_STUDIES, metavar="STUDY")
    parser.add_argument("--output", type=Path, default=FILE)
    options = parser.parse_args()
    if os.getloadavg()[0] > IDLE:
        _console.print("other work is going on here: a forecast cannot know when it ends")
    path: Path = options.output
    found = json.loads(path.read_text())["studies"] if path.exists() else {}
    for seed in range(options.seeds):
        for study in options.only or _STUDIES:
            seeds = found.setdefault(study, {})
            if str(seed) in seeds:
                continue
            try:
                one = _forecasted(study, seed)
            except FailedError as error:
                sys.exit(f"{study}, seed {seed}: {error}")
            seeds[str(seed)] = asdict(one)
            write_json(path, {"versions": versions(), "studies": found})
            _console.print(
                f"{study}, seed {seed}: {one.expected:.0f} s ({one.low:.0f} to {one.high:.0f}), "
                f"took {one.took:.0f} s"
            )
    table = Table(*HEAD)
    for row in rows(found):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()

"""A search of minutes beside Optuna's over a good loop, and the same networks trained by both.

    python -m benchmarks.race [--seeds 5] [--minutes 3] [--part race|replay] [--widths 64 512]

`race`: two workers of hpsearch search a table, in stages and jointly, and two processes search it
by Optuna's TPE and successive halving (`benchmarks/resident.py`). The figure is the seconds from
the command's start to an accuracy no worse than Optuna's at its end; a side that does not reach it
is given all its time. `replay`: 16 configurations of one shape, from the command to its result.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import teacher
from benchmarks.products import dense_flop
from benchmarks.resident import REPLAYED, STORAGE, default
from benchmarks.turns import Case, Goal, Round, Side, arguments, in_turn, timed
from benchmarks.watching import Best, watched, work

__all__ = ["compare", "main", "reached", "widths"]

STUDIES = Path(__file__).parent / "studies"
WORKERS = 2
PEER, JOINT = "Optuna's TPE and halving, 2 processes", "hpsearch, joint"
LOOP = "plain loop, 2 processes"
WIDTHS = (64, 512)
SIZES = 14_000, 3_000
"""Rows of the training and of the validation part."""


def main() -> None:
    """Run the cases."""
    options = arguments(
        __doc__,
        minutes={"type": float, "help": "of each side of the race (default 3)"},
        widths={"type": int, "nargs": 2, "metavar": ("LEAST", "MOST"), "default": WIDTHS,
                "help": "of hidden layers in the race, by powers of two (default 64 512)"},
    )  # fmt: skip
    in_turn("race", _cases(options), options)


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    minutes = options.minutes or (0.5 if options.quick else 3.0)
    least, most = options.widths
    sizes = "" if (least, most) == WIDTHS else f"-{least}-{most}"
    table = f"a table of {teacher.ROWS:,} x {teacher.COLUMNS}, {teacher.CLASSES} classes"
    limit = {"minutes": minutes, "widths": widths(least, most)}
    yield Case(
        f"race{sizes}",
        f"to the final accuracy of Optuna's search of {minutes:g} minutes, searching in stages: "
        f"{table}, 1 to 4 layers of {least} to {most}",
        [_searching("hpsearch", limit, strategy="staged"), _searching(PEER, limit),
         _searching(JOINT, limit, strategy="joint")],
        Goal(times=2.0), facts={**limit, "workers": WORKERS},
        compare=functools.partial(compare, limit_s=60 * minutes),
    )  # fmt: skip
    yield Case(
        "replay", f"{table}; the same 16 networks 16-256-256-256-26, 10 epochs",
        [Side("hpsearch", _replay_ours), Side(LOOP, _replay_plain)], Goal(times=1.6),
        facts={"trials": len(REPLAYED), "workers": WORKERS},
    )  # fmt: skip


def widths(least: int, most: int) -> list[int]:
    """The powers of two from one to the other, times `least`."""
    return [least << i for i in range(most.bit_length()) if least << i <= most]


def _searching(name: str, limit: Mapping[str, Any], strategy: str | None = None) -> Side:
    seeds = itertools.count()  # each run of a side has the next one

    def run(folder: Path) -> dict[str, Any]:
        return _search(folder, next(seeds), strategy=strategy, **limit)

    return Side(name, run)


def _search(
    folder: Path, seed: int, *, strategy: str | None, minutes: float, widths: list[int]
) -> dict[str, Any]:
    teacher.write(folder / "race.csv")
    if strategy is None:
        until = time.time() + 60 * minutes
        command = [sys.executable, "-m", "benchmarks.resident", "search", "--until", until,
                   "--seed", seed, "--processes", WORKERS, "--widths", *widths]  # fmt: skip
    else:
        command = _hpsearch(
            folder, "race", f"search.seed={seed}", f"search.strategy={strategy}",
            f"budget.hours={minutes / 60}", f"parameters.architecture.width.values={widths}",
            f"parameters.architecture.width.default={default(widths)['width']}",
        )  # fmt: skip
    with watched(folder / "study.db") as best:
        timed(command, folder)
    # What came before the time was up: the last trials end a little later.
    better = [(seconds, value) for seconds, value in best if seconds <= 60 * minutes]
    return {**_work(folder), "better": better, "best": better[-1][1] if better else 0.0}


def _hpsearch(folder: Path, name: str, *settings: str) -> list[object]:
    study = shutil.copy(STUDIES / f"{name}.yaml", folder)
    words = itertools.chain.from_iterable(("--set", setting) for setting in settings)
    return [sys.executable, "-m", "hpsearch", "run", study, "--storage", STORAGE,
            "--workers", WORKERS, "--json", "--no-pictures", *words]  # fmt: skip


def compare(figures: Round, *, limit_s: float) -> Round:
    """Each side's seconds to what Optuna's search had at its end, and whether it came to that."""
    end = figures[PEER]["best"]
    return {
        name: {**of, "seconds": reached(of["better"], end, limit_s),
               "reached": of["best"] >= end}
        for name, of in figures.items()
    }  # fmt: skip


def reached(better: Best, value: float, limit_s: float) -> float:
    """Seconds to the first report that is no worse; all the time where there is none."""
    return next((seconds for seconds, best in better if best >= value), limit_s)


def _replay_ours(folder: Path) -> dict[str, Any]:
    teacher.write(folder / "race.csv")
    return _replayed(
        folder, _hpsearch(folder, "replay", f"start={json.dumps([*map(dict, REPLAYED)])}")
    )


def _replay_plain(folder: Path) -> dict[str, Any]:
    teacher.write(folder / "race.csv")
    return _replayed(
        folder, [sys.executable, "-m", "benchmarks.resident", "replay", "--processes", WORKERS]
    )


def _replayed(folder: Path, command: list[object]) -> dict[str, Any]:
    seconds = timed(command, folder)
    return {"seconds": seconds, **_work(folder)}


def _work(folder: Path) -> dict[str, Any]:
    storage = f"sqlite:///{folder}/study.db"
    done = work(storage, WORKERS, _epoch_flop)
    return {"trials": done.trials, "epochs": done.epochs, "work_seconds": done.seconds,
            "gflop_per_s": done.gflop_per_s, "busy": done.busy, "best": done.best}  # fmt: skip


def _epoch_flop(params: Mapping[str, Any]) -> float:
    hidden = [params["width"]] * params["depth"] if "width" in params else [256] * 3
    return dense_flop([teacher.COLUMNS, *hidden, teacher.CLASSES], *SIZES)


if __name__ == "__main__":
    main()

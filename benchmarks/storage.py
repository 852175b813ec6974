"""A plain Optuna script in 8 processes, with `hpsearch.storage` and with Optuna's own.

    python -m benchmarks.storage [--rounds 5] [--quick] [--only postgresql]

The script is `benchmarks.dispatch`'s: five parameters, up to ten reports, random sampling, ASHA.
The two sides differ in one line, the storage that the study is opened with.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

from benchmarks.dispatch import PRELOAD, in_processes, optuna_worker, servers, tuned_by
from benchmarks.turns import Case, Goal, Side, arguments, in_turn

__all__ = ["hpsearch_storage", "main"]

TRIALS, QUICK_TRIALS, WORKERS = 800, 64, 8


def main() -> None:
    """Run the cases."""
    options = arguments(__doc__, trials={"type": int, "metavar": "N", "help": "of each run"})
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOAD, "hpsearch.store.storage"])
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder, servers(folder) as new:
        in_turn("storage", _cases(options, context, new), options)


def _cases(
    options: argparse.Namespace, context: ForkServerContext, new: Callable[[str, Path], str]
) -> Iterator[Case]:
    trials = options.trials or (QUICK_TRIALS if options.quick else TRIALS)
    for kind in ("postgresql", "sqlite"):
        run = functools.partial(
            in_processes, context=context, kind=kind, new=new, trials=trials, workers=WORKERS,
            make=_make,
        )  # fmt: skip
        sides = [
            Side("hpsearch", functools.partial(run, body=hpsearch_storage)),
            Side("plain Optuna", functools.partial(run, body=optuna_worker)),
        ]
        goal = Goal(times=8.0) if kind == "postgresql" else None
        title = f"a script, {kind}, {WORKERS} processes; {trials} trials"
        facts = {"trials": trials, "workers": WORKERS, "database": kind}
        yield Case(kind, title, sides, goal, "trials_per_s", facts)


def _make(url: str, _folder: Path, _trials: int) -> None:
    import optuna

    import hpsearch

    storage = hpsearch.storage(url)
    optuna.create_study(study_name="dispatch", storage=storage, direction="maximize")


def hpsearch_storage(url: str, _folder: Path, number: int, share: int) -> None:
    """The same script as plain Optuna's but for its storage."""
    import optuna

    import hpsearch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tuned_by(hpsearch.storage(url), number, share)


if __name__ == "__main__":
    main()

"""A training function that trains nothing, in hpsearch's children and in plain Optuna's `optimize`.

    python -m benchmarks.functions [--rounds 5] [--quick] [--only postgresql-4]

What is left is what hpsearch adds to own training code: a trial in a process that takes the next
one too, a report, and the CPU time of a trial with a process of its own (`fresh: true`), which is
that of the worker, of what it forks from, and of the forked ones, without the database's.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

from benchmarks.dispatch import PRELOAD, in_processes, servers
from benchmarks.studies.loops.loop import objective
from benchmarks.turns import Case, Goal, Side, arguments, in_turn

__all__ = ["main"]

FOLDER = Path(__file__).parent / "studies" / "loops"
TRIALS, QUICK_TRIALS, EPOCHS, WORKERS = 400, 32, 3, 4
REPORTS, QUICK_REPORTS, FRESH_TRIALS = 2000, 100, 200


def main() -> None:
    """Run the cases."""
    options = arguments(__doc__, trials={"type": int, "metavar": "N", "help": "of each run"})
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOAD, "hpsearch.children.child"])
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder, servers(folder) as new:
        in_turn("functions", _cases(options, context, new), options)


def _cases(
    options: argparse.Namespace, context: ForkServerContext, new: Callable[[str, Path], str]
) -> Iterator[Case]:
    run = functools.partial(in_processes, context=context, kind="postgresql", new=new)
    trials = options.trials or (QUICK_TRIALS if options.quick else TRIALS)
    yield _beside_optuna(functools.partial(run, trials=trials, workers=WORKERS), trials)
    reports = QUICK_REPORTS if options.quick else REPORTS
    long = functools.partial(_make_ours, epochs=reports)
    one = functools.partial(run, trials=1, workers=1, make=long, body=_serve)
    yield Case(
        "report", f"a report of a function; {reports} of them", [Side("hpsearch", one)],
        Goal(seconds=0.002), "seconds_per_report", {"reports": reports},
    )  # fmt: skip
    few = QUICK_TRIALS if options.quick else FRESH_TRIALS
    own = functools.partial(_make_ours, fresh=True)
    fresh = functools.partial(run, trials=few, workers=1, make=own, body=_serve)
    yield Case(
        "fresh", f"a trial in a process of its own; {few} trials", [Side("hpsearch", fresh)],
        Goal(seconds=0.05), "cpu_seconds_per_trial", {"trials": few},
    )  # fmt: skip


def _beside_optuna(run: functools.partial[dict[str, Any]], trials: int) -> Case:
    title = f"a function, postgresql, {WORKERS} processes; {trials} trials of {EPOCHS} reports"
    sides = [
        Side("hpsearch", functools.partial(run, make=_make_ours, body=_serve)),
        Side("plain Optuna", functools.partial(run, make=_make_plain, body=_optimize)),
    ]
    facts = {"trials": trials, "workers": WORKERS, "reports": EPOCHS}
    return Case("postgresql-4", title, sides, Goal(times=3.0), "trials_per_s", facts)


def _make_ours(
    url: str, _folder: Path, trials: int, *, epochs: int = EPOCHS, fresh: bool = False
) -> None:
    from hpsearch.api.submit import submit
    from hpsearch.spec import load
    from hpsearch.store.engine import Database
    from hpsearch.store.ledger import Ledger

    more = ["name=dispatch", f"budget.trials={trials}", f"budget.epochs={epochs}"]
    spec = load(FOLDER / "functions.yaml", [*more, *(["train.fresh=true"] if fresh else [])])
    submit(Ledger(Database(url), make=True), spec, FOLDER)


def _serve(url: str, folder: Path, number: int, _share: int) -> None:
    from hpsearch.worker import Options, serve

    serve(
        Options(url, f"w{number}", studies=("dispatch",), until_done=True, threads=1,
                checkpoints=str(folder / "checkpoints"), code=str(FOLDER))
    )  # fmt: skip


def _make_plain(url: str, _folder: Path, _trials: int) -> None:
    import optuna

    optuna.create_study(study_name="dispatch", storage=url, direction="maximize")


def _optimize(url: str, _folder: Path, _number: int, share: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(
        study_name="dispatch", storage=url, sampler=optuna.samplers.RandomSampler()
    )
    study.optimize(functools.partial(objective, epochs=EPOCHS), n_trials=share)


if __name__ == "__main__":
    main()

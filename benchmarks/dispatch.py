"""Trials that train nothing, by hpsearch's workers and by plain Optuna: what the database allows.

    python -m benchmarks.dispatch [--rounds 5] [--quick] [--only postgresql-8]

Five parameters, up to ten reports, random sampling, ASHA. Workers are processes forked from one
that has loaded everything. They begin together; the time is that from the first trial's start to
the last one's end, as the database has it. SQL statements and commits are counted by SQLAlchemy's
events, on both sides from the moment at which the workers begin.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import multiprocessing
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.turns import Case, FailedError, Goal, Side, arguments, in_turn

__all__ = [
    "EPOCHS", "PRELOAD", "STUDY", "Body", "hpsearch_worker", "in_processes", "main",
    "optuna_worker", "servers", "tuned_by",
]  # fmt: skip

STUDY = Path(__file__).parent / "studies" / "dispatch.yaml"
TRIALS, FEW_TRIALS, QUICK_TRIALS, EPOCHS = 1600, 400, 64, 10
"""With few, the first steps of 8 workers are much of the time: that is a case of its own."""
WORKERS = (1, 8, 32)
PRELOAD = ["torch", "optuna", "psycopg", "hpsearch.worker", "benchmarks.noop"]
_START_S = 120.0

Body = Callable[[str, Path, int, int], None]
"""A worker: URL of the database, its folder, its number, its share of the trials."""


def main() -> None:
    """Run the cases."""
    options = arguments(__doc__, trials={"type": int, "metavar": "N", "help": "of each run"})
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder, servers(folder) as new:
        in_turn("dispatch", _cases(options, context, new), options)


@contextlib.contextmanager
def servers(folder: str) -> Iterator[Callable[[str, Path], str]]:
    """What gives the URL of a new database of a kind. PostgreSQL runs as it comes."""
    import sqlalchemy as sa

    from tests.postgres import Postgres

    server = Postgres(Path(folder) / "postgresql", "max_connections=300")

    def new(kind: str, folder: Path) -> str:
        if kind == "sqlite":
            return f"sqlite:///{folder}/study.db"
        name = f"b{uuid.uuid4().hex[:12]}"
        engine = sa.create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return sa.make_url(admin).set(database=name).render_as_string(hide_password=False)

    admin = server.start()
    try:
        yield new
    finally:
        server.stop()


def _cases(
    options: argparse.Namespace, context: ForkServerContext, new: Callable[[str, Path], str]
) -> Iterator[Case]:
    many = options.trials or (QUICK_TRIALS if options.quick else TRIALS)
    counts = {f"{kind}-{workers}": (kind, workers, many)
              for kind in ("postgresql", "sqlite") for workers in WORKERS}  # fmt: skip
    counts["postgresql-8-few"] = "postgresql", 8, min(many, FEW_TRIALS)
    for name, (kind, workers, trials) in counts.items():
        run = functools.partial(
            in_processes, context=context, kind=kind, new=new, trials=trials, workers=workers
        )
        title = f"{kind}, {workers} worker{'s' if workers > 1 else ''}; {trials} trials"
        sides = [
            Side("hpsearch", functools.partial(run, make=_make_ours, body=hpsearch_worker)),
            Side("plain Optuna", functools.partial(run, make=_make_plain, body=optuna_worker)),
        ]
        goal = Goal(times=10.0) if (kind, workers) == ("postgresql", 8) else None
        facts = {"trials": trials, "workers": workers, "database": kind}
        yield Case(name, title, sides, goal, "trials_per_s", facts)


def in_processes(
    folder: Path, *, context: ForkServerContext, kind: str, new: Callable[[str, Path], str],
    trials: int, workers: int, make: Callable[[str, Path, int], None], body: Body,
) -> dict[str, Any]:  # fmt: skip
    """The figures of a study that workers share, in processes forked from one that has loaded all.

    Args:
        folder: An empty one.
        context: What forks them.
        kind: Of the database.
        new: What makes one.
        trials: How many.
        workers: How many.
        make: Makes the study in the database of that URL.
        body: What each worker does.
    """
    url = new(kind, folder)
    make(url, folder, trials)
    ready = context.Barrier(workers)
    share, rest = divmod(trials, workers)
    processes = [
        context.Process(target=_worker, args=(body, ready, url, folder, i, share + (i < rest)))
        for i in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise FailedError(f"workers ended with {[process.exitcode for process in processes]}")
    return _figures(url, folder, workers)


def _worker(body: Body, ready: Barrier, url: str, folder: Path, number: int, share: int) -> None:
    counts = {"statements": 0, "commits": 0}
    _count(counts)
    ready.wait(_START_S)
    before = sum(os.times()[:4])
    body(url, folder, number, share)
    used = {"cpu_seconds": sum(os.times()[:4]) - before}  # its own, and of what it has started
    (folder / f"{number}.json").write_text(json.dumps(counts | used))


def _count(counts: dict[str, int]) -> None:
    """Count what every engine of this process sends."""
    import sqlalchemy as sa

    def count(name: str) -> Callable[..., None]:
        def listener(*_arguments: Any) -> None:
            counts[name] += 1

        return listener

    sa.event.listen(sa.Engine, "before_cursor_execute", count("statements"))
    sa.event.listen(sa.Engine, "commit", count("commits"))


def _figures(url: str, folder: Path, workers: int) -> dict[str, Any]:
    import optuna

    trials = optuna.load_study(study_name="dispatch", storage=url).trials
    ended = [t.datetime_complete for t in trials if t.datetime_complete]
    begun = [t.datetime_start for t in trials if t.datetime_start]
    seconds = (max(ended) - min(begun)).total_seconds()
    counts = [json.loads((folder / f"{i}.json").read_text()) for i in range(workers)]
    reports = sum(len(t.intermediate_values) for t in trials)
    return {
        "seconds": seconds,
        "trials": len(ended),
        "trials_per_s": len(ended) / seconds,
        "reports_per_trial": reports / len(ended),
        "seconds_per_report": seconds / reports,
        "cpu_seconds_per_trial": sum(c["cpu_seconds"] for c in counts) / len(ended),
        "statements_per_trial": sum(c["statements"] for c in counts) / len(ended),
        "commits_per_trial": sum(c["commits"] for c in counts) / len(ended),
    }


def _make_ours(url: str, folder: Path, trials: int) -> None:
    from hpsearch.api.submit import submit
    from hpsearch.spec import load
    from hpsearch.store.engine import Database
    from hpsearch.store.ledger import Ledger

    spec = load(STUDY, [f"budget.trials={trials}", f"budget.epochs={EPOCHS}"])
    submit(Ledger(Database(url), make=True), spec, folder)


def hpsearch_worker(url: str, folder: Path, number: int, _share: int) -> None:
    """hpsearch's own loop, but for the array."""
    from benchmarks.noop import NoopArray
    from hpsearch.worker import Options, runners, serve

    vars(runners)["Array"] = NoopArray
    serve(
        Options(url, f"w{number}", studies=("dispatch",), until_done=True, threads=1,
                checkpoints=str(folder / "checkpoints"))
    )  # fmt: skip


def _make_plain(url: str, _folder: Path, _trials: int) -> None:
    import optuna

    optuna.create_study(study_name="dispatch", storage=url, direction="maximize")


def optuna_worker(url: str, _folder: Path, number: int, share: int) -> None:
    """Ask, report, tell, as Optuna's tutorials have it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # SQLite gives up after 5 s of other processes' writing unless it is told to wait.
    waits = {"connect_args": {"timeout": 300.0}} if url.startswith("sqlite") else None
    tuned_by(optuna.storages.RDBStorage(url, engine_kwargs=waits), number, share)


def tuned_by(storage: Any, number: int, share: int) -> None:
    """Ask, report, tell: a share of the trials of the study, by worker `number`."""
    import optuna

    from benchmarks.noop import learning_curve

    study = optuna.load_study(
        study_name="dispatch",
        storage=storage,
        sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )
    for index in range(share):
        trial = study.ask()
        trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        trial.suggest_float("dropout", 0.0, 0.5)
        trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
        trial.suggest_float("label_smoothing", 0.0, 0.2)
        trial.suggest_float("beta1", 0.8, 0.99)
        values = learning_curve(number * 1_000_000 + index)
        state = optuna.trial.TrialState.COMPLETE
        for epoch, value in zip(range(1, EPOCHS + 1), values, strict=False):
            trial.report(value, epoch)
            if trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        pruned = state is optuna.trial.TrialState.PRUNED
        study.tell(trial, None if pruned else value, state)


if __name__ == "__main__":
    main()

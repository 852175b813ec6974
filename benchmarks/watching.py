"""A search looked at from outside: its best value over time, and what its workers did.

Read from Optuna's tables, which both sides of a race write, so that one measure serves both.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = ["Best", "Work", "watched", "work"]

_EVERY_S = 0.2
_BEST = "SELECT MAX(intermediate_value) FROM trial_intermediate_values"

Best = list[tuple[float, float]]
"""Seconds and value, of each better report."""


@contextlib.contextmanager
def watched(database: Path) -> Iterator[Best]:
    """The best report of the SQLite database so far, while something else runs in this block.

    Seconds count from the beginning of the block; the file need not be there then.
    """
    best: Best = []
    done = threading.Event()
    begin = time.perf_counter()

    def watch() -> None:
        last = False
        while not last:
            last = done.wait(_EVERY_S)  # and once more at the end
            value = _look(database)
            if value is not None and (not best or value > best[-1][1]):
                best.append((time.perf_counter() - begin, value))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield best
    finally:
        done.set()
        thread.join()


def _look(database: Path) -> float | None:
    """The best report; None where there is none, or the database is not made or is busy."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection,
    ):
        (value,) = connection.execute(_BEST).fetchone()
        return None if value is None else float(value)
    return None


@dataclass(frozen=True)
class Work:
    """What came of the trials of one study."""

    trials: int
    epochs: int
    best: float
    """The best report."""
    seconds: float
    """From the first trial's start to the last one's end."""
    gflop_per_s: float
    """Of matrix products, by all workers together."""
    busy: float
    """Share of these seconds in which a worker had a trial under way, mean over workers."""


def work(
    storage: str | BaseStorage, workers: int, epoch_flop: Callable[[dict[str, Any]], float]
) -> Work:
    """The work of the one study in a database.

    Args:
        storage: Optuna's, or its URL.
        workers: How many there were. A trial's attribute `worker` says which one trained it.
        epoch_flop: Operations of an epoch, by the trial's parameters.
    """
    import optuna

    (summary,) = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    trials = [t for t in study.trials if t.datetime_start and t.datetime_complete]
    spans = [_span(trial) for trial in trials]
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    flop = sum(len(t.intermediate_values) * epoch_flop(t.params) for t in trials)
    by_worker: dict[Any, list[tuple[float, float]]] = {}
    for trial, span in zip(trials, spans, strict=True):
        by_worker.setdefault(trial.user_attrs.get("worker"), []).append(span)
    busy = sum(_covered(of_worker) for of_worker in by_worker.values())
    return Work(
        trials=len(trials), epochs=sum(len(t.intermediate_values) for t in trials),
        best=max(value for t in trials for value in t.intermediate_values.values()),
        seconds=seconds, gflop_per_s=flop / seconds / 1e9, busy=busy / workers / seconds,
    )  # fmt: skip


def _span(trial: FrozenTrial) -> tuple[float, float]:
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    return trial.datetime_start.timestamp(), trial.datetime_complete.timestamp()


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    """The length that spans cover together, what overlaps counted once."""
    length, reached = 0.0, -float("inf")
    for begin, end in sorted(spans):
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length

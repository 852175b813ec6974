"""What a search took and saved, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from hpsearch.insight.reader import Reader
from hpsearch.reports import sections
from hpsearch.reports.spent import spent
from hpsearch.store.values import Known
from tests.played import DIGITS, Played, played

ADAM = {"depth": 1, "lr": 0.01, "optimizer": "adam"}


def test_epochs_that_pruning_and_stopping_saved(sqlite_url: str, tmp_path: Path) -> None:
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, [
        Played(ADAM, (0.5, 0.6, 0.7)), Played(ADAM, (0.1,), "PRUNED", "pruned by asha"),
        Played(ADAM, (0.5, 0.5)), Played(ADAM, (0.2,), "FAIL", "broke"),
        Played(ADAM, (0.1,), "PRUNED", "diverged"),
        Played(ADAM, (0.3,), "RUNNING"),
    ])  # fmt: skip
    reader = Reader(ledger, "s")
    snapshot = reader.snapshot()
    found = spent(snapshot, reader.trained_s(snapshot.study))
    assert (found.epochs, found.whole, found.pruned, found.stopped) == (9, 10, 2, 1)
    assert found.pruned_share == 0.2
    assert round(found.training_s, 3) == 0.9
    words = dict(sections.budget(snapshot, found))
    assert words["saved by pruning"] == "2 epochs (20 % of the 10 without it), by asha"
    assert words["saved by early stopping"] == "1 epoch (10 %)"
    known = [Known({}, 0.5, "a.csv"), Known({}, 0.6, "a.csv")]
    more = dict(sections.budget(snapshot, found, known))
    assert more["known before"] == "2 trials from elsewhere: a.csv"


def test_trials_at_the_same_time(sqlite_url: str, tmp_path: Path) -> None:
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, [Played(ADAM, (0.5,))] * 3)
    snapshot = Reader(ledger, "s").snapshot()
    start = datetime(2026, 1, 1)
    spans = ((0, 60), (0, 60), (60, 120))  # two beside each other, and one when they have ended
    trials = tuple(
        replace(trial, started=start + timedelta(seconds=a), ended=start + timedelta(seconds=b))
        for trial, (a, b) in zip(snapshot.trials, spans, strict=True)
    )
    study = replace(snapshot.study, active_s=120.0)
    found = spent(replace(snapshot, study=study, trials=trials), {})
    assert (found.at_once, found.most_at_once, found.durations_s) == (1.5, 2, 180.0)
    words = dict(sections.budget(snapshot, found))["at the same time"]
    assert "1.5 trials on average and 2 at most" in words
    assert "at most 3m00s in place of 2m00s" in words

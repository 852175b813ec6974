"""Parallel coordinates: every trial at its place, and a readable few of very many."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.insight.reader import Reader
from hpsearch.reports import lines
from hpsearch.reports.lines import parallel
from tests.played import DIGITS, Played, played

SGD = {"depth": 3, "lr": 1.0, "optimizer": "sgd", "momentum": 0.9}
ADAM = {"depth": 1, "lr": 0.001, "optimizer": "adam"}
ORDER = ("depth", "lr", "optimizer", "momentum")


def test_each_line_runs_where_its_trial_is(sqlite_url: str, tmp_path: Path) -> None:
    ledger, _ = played(
        sqlite_url, tmp_path, DIGITS, [Played(SGD, (0.9,)), Played(ADAM, (0.1,))]
    )  # fmt: skip
    found = parallel(Reader(ledger, "s").snapshot(), ORDER)
    assert found is not None
    assert [axis.name for axis in found.axes] == [*ORDER, "accuracy"]
    worst, best = found.lines
    assert best.shade < worst.shade
    heights = [[float(p.split(",")[1]) for p in one.points.split()] for one in (best, worst)]
    top, bottom, middles, unset = 34, 262, (91, 205), 284
    assert heights[0][:3] == [top, top, middles[1]]
    assert heights[1] == [bottom, bottom, middles[0], unset, bottom]
    assert [axis.unset for axis in found.axes] == [False, False, False, True, False]
    assert best.words == "trial 0: accuracy 0.9; depth 3, lr 1, optimizer sgd, momentum 0.9"
    assert found.note == ""


def test_of_many_the_best_and_some_of_the_others_are_drawn(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, _ = played(
        sqlite_url, tmp_path, DIGITS, [Played(ADAM, (at / 20,)) for at in range(12)]
    )  # fmt: skip
    snapshot = Reader(ledger, "s").snapshot()
    for name, few in (("_MOST_AXES", 2), ("_MOST_LINES", 6), ("_BEST_LINES", 4)):
        monkeypatch.setattr(lines, name, few)
    found = parallel(snapshot, ("lr", "depth", "optimizer", "momentum"))
    assert found is not None
    assert len(found.lines) == 6
    assert [line.words.partition(":")[0] for line in reversed(found.lines)][:4] == [
        "trial 11", "trial 10", "trial 9", "trial 8",
    ]  # fmt: skip
    assert "The 4 best of 12 completed trials, and 2 of the others drawn by chance." in found.note
    assert "The 2 parameters that mattered most of 4 are shown." in found.note


def test_one_trial_is_no_picture(sqlite_url: str, tmp_path: Path) -> None:
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, [Played(ADAM, (0.1,))])
    assert parallel(Reader(ledger, "s").snapshot(), ORDER) is None

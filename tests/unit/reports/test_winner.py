"""What is said of the network that a study hands over, after a finish that has tested it or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpsearch.insight.reader import Reader
from hpsearch.reports import sections, winner
from hpsearch.stages.results import default_point
from tests.played import DATA, DIGITS, Played, played
from tests.unit.reports.test_answer import verdict

ADAM = {"depth": 1, "lr": 0.01, "optimizer": "adam"}


def test_the_network_of_a_finish_is_told_from_the_best_trial(
    sqlite_url: str, tmp_path: Path
) -> None:
    trials = [Played({**ADAM, "lr": 1.0}, (0.5, 0.7)), Played(ADAM, (0.5, 0.6))]
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, trials, data=DATA)
    before = Reader(ledger, "s").snapshot()
    best, handed = before.trials
    snapshot = replace(before, verdict=verdict(), handed=handed)
    said = list(winner.notes(snapshot, handed))
    assert said[0] == ("The best of the winner's 3 trainings on validation data; its own test "
                       "accuracy is 0.98.")  # fmt: skip
    assert "Its configuration is not that of trial 0, the best of the search with 0.7" in said[1]
    heads, rows = winner.metrics(snapshot, handed)
    assert heads == ["metric", "validation", "test part"]
    assert rows[0] == ("accuracy", "0.6", "0.98")
    untested = verdict(test=None, network={}, use=0, rows=None, why="own code has none")
    plain = replace(before, verdict=untested, handed=handed)
    assert next(winner.notes(plain, handed)).endswith("winner's 3 trainings on validation data.")
    assert winner.metrics(plain, handed)[0] == ["metric", "validation"]
    assert winner.verdict(plain)
    (lr,) = [one for one in winner.chosen(before, best) if one.name == "lr"]
    assert (lr.value, lr.searched, lr.edge) == ("1", "0.001 to 1, by ratio", True)


def test_what_the_default_gave_on_validation_data_is_shown(sqlite_url: str, tmp_path: Path) -> None:
    trials = [Played(ADAM, (value,)) for value in (0.7, 0.6, 0.8)]
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, trials, data=DATA)
    before = Reader(ledger, "s").snapshot()
    point = default_point(before.spec)
    best, *defaults = before.trials
    again = tuple(replace(t, stage="final", params=point) for t in defaults)
    judged = {**verdict(), "last_trial": 2, "asked": 2}
    snapshot = replace(before, trials=(best, *again), verdict=judged, handed=best)
    assert winner.beside(snapshot)[1][0][:2] == ("default settings", "0.7 (0.6 and 0.8)")


def test_what_a_stage_gained_is_over_the_best_before_it(sqlite_url: str, tmp_path: Path) -> None:
    trials = [
        Played(ADAM, (value,), attrs={"stage": stage})
        for stage, value in (("a", 0.5), ("a", 0.6), ("b", 0.55), ("c", 0.65), ("final", 0.9))
    ]
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, trials)
    found = sections.stages(Reader(ledger, "s").snapshot())
    assert [(one.name, one.best, one.gain) for one in found] == [
        ("a", "0.6", ""), ("b", "0.55", "nothing"), ("c", "0.65", "+0.05"),
        ("final", "0.9", "trained again, not searched"),
    ]  # fmt: skip

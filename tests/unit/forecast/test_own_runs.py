"""What the trials of own training code say about those to come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.forecast.own_runs import own_pace
from hpsearch.forecast.pace import Pace, forecast
from hpsearch.spec import StudySpec, load
from tests.played import OWN, Played, played

PARAMS = {"lr": 0.01, "widths": "16"}
LONG, SHORT = (0.9, 0.8, 0.7), (0.9,)


def timed(url: str, folder: Path, trials: list[Played]) -> tuple[StudySpec, Pace]:
    ledger, _ = played(url, folder, OWN, trials)
    spec = load(folder / "s.yaml")
    pace = own_pace(spec, folder, ledger, "cpu")
    assert pace is not None
    return spec, pace


def test_the_start_of_a_program_is_no_part_of_an_epoch(sqlite_url: str, tmp_path: Path) -> None:
    """Most trials are pruned after their first epoch, which has the start of six seconds in it."""
    short = [Played(PARAMS, SHORT, "PRUNED", "pruned by asha", first_s=6.1) for _ in range(7)]
    spec, pace = timed(sqlite_url, tmp_path, short + [Played(PARAMS, LONG, first_s=6.1)] * 3)
    assert pace.timed == "3 of the 10 trials that the study has"
    planned = forecast(spec, pace)
    assert planned.epoch_s.expected == pytest.approx(0.1)
    assert pace.start_s == pytest.approx(6.0)
    without = forecast(spec, replace(pace, start_s=0.0))
    assert planned.work_s.expected - without.work_s.expected == pytest.approx(10 * 6.0)


def test_trials_of_one_epoch_say_what_they_can(sqlite_url: str, tmp_path: Path) -> None:
    _, pace = timed(sqlite_url, tmp_path, [Played(PARAMS, SHORT, first_s=6.1)] * 4)
    assert (pace.timed, pace.start_s) == ("4 of the 4 trials that the study has", 0.0)
    assert [shape.alone_s for shape in pace.shapes] == pytest.approx([6.1] * 4)


def test_a_trial_that_was_interrupted_is_left_out(sqlite_url: str, tmp_path: Path) -> None:
    waited = Played(PARAMS, LONG, attrs={"attempts": 2}, first_s=500.0)
    _, pace = timed(sqlite_url, tmp_path, [waited, *[Played(PARAMS, LONG, first_s=1.1)] * 3])
    assert pace.timed == "3 of the 4 trials that the study has"
    assert pace.start_s == pytest.approx(1.0)

"""Which trial `logs` shows where no number names one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.api.logs import Logs, trial_of
from hpsearch.cli.show import state
from hpsearch.insight.reader import Reader
from tests.played import OWN, Played, played

PARAMS = {"lr": 0.1, "widths": "16"}


def test_the_last_trial_that_wrote_something_is_shown(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [Played(PARAMS, (0.5,)), Played(PARAMS, (), "RUNNING")]
    ledger, _ = played(sqlite_url, tmp_path, OWN, trials)
    snapshot, logs = Reader(ledger, "s").snapshot(), Logs(str(tmp_path))
    assert trial_of(snapshot, None, logs).number == 1, "nothing has written anything"
    monkeypatch.setattr(Logs, "text", lambda _, trial: "" if trial.number else "epoch 1")
    assert trial_of(snapshot, None, logs).number == 0
    assert trial_of(snapshot, 1, logs).number == 1
    assert state(snapshot.trials[1], frozenset()) == "WAITING"

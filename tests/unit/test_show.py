"""What people see of studies in a terminal, without a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.api import handing
from hpsearch.cli import checking, show
from hpsearch.errors import NotFoundError
from hpsearch.insight.importance import measure
from hpsearch.insight.reader import Reader
from hpsearch.pictures.importance import content_of, draw
from hpsearch.spec import load
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import CODE
from tests.played import OWN, Played, played

PARAMS = {"lr": 0.01, "widths": "16"}
GROUPED = OWN.replace("  lr: ", "  learning_rate:\n    lr: ").replace(
    "  widths: ", "  architecture:\n    widths: "
)


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def shown(ledger: Ledger, *names: str) -> list[str]:
    snapshots = [Reader(ledger, name).snapshot() for name in names]
    with show.out.capture() as capture:
        show.studies(snapshots, ledger.workers())
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def test_a_name_is_in_one_line_however_long(sqlite_url: str, tmp_path: Path) -> None:
    """The metric's name gives way too, and nothing else."""
    text = OWN.replace("val/f1 <b>", "validation_f1_of_the_smallest_class")
    long = "a-study-with-a-name-that-takes-its-room"
    for name in ("wrong-name", long):
        ledger, _ = played(sqlite_url, tmp_path, text, [Played(PARAMS, (0.5,))], name=name, more=9)
    _, _, first, second = shown(ledger, "wrong-name", long)
    assert first.split() == ["wrong-name", "open", "1/10", "0", "0", "0", first.split()[6], "0.5",
                             "0s"]  # fmt: skip
    assert second.split()[0].startswith("a-st")
    assert second.split()[0].endswith("s-room")
    assert second.split()[1:6] == ["open", "1/10", "0", "0", "0"]
    assert max(map(len, (first, second))) <= 80


def test_what_a_refusal_has_ended_is_not_spent(sqlite_url: str, tmp_path: Path) -> None:
    failed = [Played(PARAMS, (), "FAIL", "error: no metric")] * 2
    ledger, study = played(sqlite_url, tmp_path, OWN, failed, more=28)
    ledger.record_sanity(study, {"suspect": CODE, "said": "its code fails", "stops": True})
    assert "0/30" in shown(ledger, "s")[-1]
    ledger.set_state("s", "open")
    assert "2/32" in shown(ledger, "s")[-1], "they are run again, beside the 30"


def test_a_trial_that_nobody_holds_is_waiting(sqlite_url: str, tmp_path: Path) -> None:
    ledger, study = played(sqlite_url, tmp_path, OWN, [Played(PARAMS, (0.5,), "RUNNING")] * 2)
    ledger.sign_off("w-s")
    ledger.sign_on("other", "host", 1, "cpu")
    assert len(ledger.claim("other", study.study_id, 1)) == 1
    reader = Reader(ledger, "s")
    snapshot = reader.snapshot()
    with show.out.capture() as capture:
        show.trials(snapshot, snapshot.trials, reader.at_work())
    assert [line.split()[1] for line in capture.get().splitlines()[3:5]] == ["RUNNING", "WAITING"]
    with pytest.raises(NotFoundError, match="1 running, 1 waiting for a worker, 0 pruned"):
        handing.with_network(reader)


@pytest.mark.parametrize("text", [OWN, GROUPED])
def test_groups_are_shown_where_own_code_has_some(
    sqlite_url: str, tmp_path: Path, text: str
) -> None:
    trials = [Played({"lr": 0.01 * n, "widths": "16"}, (1 / n,)) for n in range(1, 13)]
    ledger, _ = played(sqlite_url, tmp_path, text, trials)
    spec = load(tmp_path / "s.yaml")
    with show.out.capture() as capture:
        checking.describe(spec)
    measured = measure(ledger, "s", lambda _: None)
    with show.out.capture() as more:
        show.importance("s", measured)
    named = "architecture" in capture.get(), "architecture" in more.get(), bool(measured.groups)
    assert named == 3 * (text is GROUPED,)
    assert len(draw(content_of("s", measured)).axes) == 1 + spec.is_grouped

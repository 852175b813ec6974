"""The rules of a fleet that need no process."""

from __future__ import annotations

import re

import pytest

from hpsearch.fleet import End, Fleet, WorkerConfig, spread
from hpsearch.fleet.fleet import is_crash, pause_s
from hpsearch.fleet.worker_config import DevicePlace
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger


def test_pauses_double_up_to_a_minute() -> None:
    assert [pause_s(n) for n in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("code", "crash"),
    [(0, False), (1, True), (2, False), (3, False), (4, False), (8, False), (10, False), (11, True),
     (130, False), (143, True), (-9, True), (None, True)],
)  # fmt: skip
def test_a_crash_is_an_end_without_a_meaning(code: int | None, crash: bool) -> None:
    assert is_crash(End(code)) is crash


def test_ends_in_words() -> None:
    assert End(-9).how == "was killed by signal 9 (SIGKILL)"
    assert End(-64).how.startswith("was killed by signal 64")
    assert End(1, "KeyError: 'a'").how == "ended with exit code 1: KeyError: 'a'"
    assert End(None, "its node died").how == "was lost: its node died"


def test_workers_are_spread_over_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    gpus = ["cuda:0", "cuda:1"]
    assert [p.device for p in spread(gpus)] == gpus
    assert [p.device for p in spread(gpus, workers=3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert sorted(p.device for p in spread(gpus, per_device=2)) == sorted(gpus * 2)
    assert [p.threads for p in spread(["cpu"])] == [2] * 4
    assert [p.threads for p in spread(["cpu"], workers=1)] == [None]
    assert [p.threads for p in spread(["cpu"], workers=3)] == [2, 2, 2]
    assert [p.threads for p in spread(["cpu"], per_device=20)] == [1] * 20
    assert len({p.key for p in spread(gpus, per_device=3)}) == 6
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    assert [p.threads for p in spread(["cpu"])] == [None]


def orders(url: str, checkpoints: str | None) -> WorkerConfig:
    return WorkerConfig(url, ("s",), True, checkpoints, lease_s=30.0, grace_s=8.0, patience_s=300.0)


def test_urls_are_neither_on_the_command_line_nor_in_a_repr() -> None:
    url, checkpoints = "postgresql://u:secret@h/d", "s3://key:secret@bucket"
    told = orders(url, checkpoints)
    words = told.arguments("w", DevicePlace("0", "cpu", 2))
    assert words[:2] == ["worker", "s"]
    assert "secret" not in repr(told)
    assert "secret" not in " ".join(words)
    assert told.env == {"HPSEARCH_STORAGE": url, "HPSEARCH_CHECKPOINTS": checkpoints}
    assert orders(url, None).env == {"HPSEARCH_STORAGE": url}


class Lost:
    """A worker that is dead already."""

    def __init__(self, name: str) -> None:
        self.name = name

    def poll(self) -> End:
        return End(-9)

    def terminate(self) -> None:
        pass

    def kill(self) -> None:
        pass


class Losing:
    """A launcher whose workers die at once, one of each name."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def seats(self) -> list[DevicePlace]:
        return [DevicePlace(name, "cpu") for name in self._names]

    def warm_up(self) -> None:
        pass

    def launch(self, seat: DevicePlace) -> Lost:
        return Lost(seat.key)

    def wait(self, timeout_s: float) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_worker_that_cannot_be_signed_off_holds_up_no_other(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(Database(sqlite_url))
    for name in ("bad", "good"):
        ledger.sign_on(name, "host", 1, "cpu")
    with ledger.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE UPDATE ON hpsearch_workers WHEN OLD.worker = 'bad' "
            "BEGIN SELECT RAISE(ABORT, 'not this one, mysql://me:sesame@db'); END"
        )
    fleet = Fleet(Losing("bad", "good"), ledger)
    fleet.tend()  # starts them
    fleet.tend()  # finds them dead
    assert {w.worker: w.state for w in ledger.workers()} == {"bad": "idle", "good": "left"}
    (said,) = caplog.messages
    assert re.match(r"worker bad is not signed off: .*not this one, mysql://me:\*\*\*@db", said)
    fleet.tend()
    assert len(caplog.messages) == 1

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

    def __init__(self, name: str, end: End) -> None:
        self.name, self._end = name, end

    def poll(self) -> End:
        return self._end

    def terminate(self) -> None:
        pass

    def kill(self) -> None:
        pass


class Losing:
    """A launcher whose workers die at once, one of each name."""

    def __init__(self, *names: str, end: End = End(-9)) -> None:  # noqa: B008 -- it is frozen
        self._names, self._end = names, end
        self.launched = 0

    def seats(self) -> list[DevicePlace]:
        return [DevicePlace(name, "cpu") for name in self._names]

    def warm_up(self) -> None:
        pass

    def launch(self, seat: DevicePlace) -> Lost:
        self.launched += 1
        return Lost(seat.key, self._end)

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


def minutes_of(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has happened after ten minutes, looked at each second."""
    news: list[str] = []
    for second in range(600):
        monkeypatch.setattr("hpsearch.fleet.fleet.time.monotonic", lambda now=second: float(now))
        news += [one.text for one in fleet.tend()]
    return news


def test_a_worker_that_dies_each_time_is_given_up(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = Losing("w")
    fleet = Fleet(launcher, Ledger(Database(sqlite_url)))
    news = minutes_of(fleet, monkeypatch)
    pauses = re.findall(r"killed by signal 9 \(SIGKILL\); a new one starts in (\d+) s", str(news))
    assert pauses == ["1", "2", "4", "8"]
    assert "given up after 5 crashes in a row" in news[-1]
    assert (fleet.over, launcher.launched) == (True, 5)


@pytest.mark.parametrize(("standing", "starts"), [(True, 15), (False, 1)])
def test_a_standing_fleet_waits_out_a_database_that_is_away(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, standing: bool, starts: int
) -> None:
    launcher = Losing("w", end=End(3, "the database is away"))
    fleet = Fleet(launcher, Ledger(Database(sqlite_url)), standing=standing)
    minutes_of(fleet, monkeypatch)
    assert launcher.launched == starts
    assert fleet.over is not standing

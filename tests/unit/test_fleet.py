"""The rules of a fleet that need no process."""

from __future__ import annotations

import pytest

from hpsearch.fleet import End, Orders, spread
from hpsearch.fleet.fleet import is_crash, pause_s
from hpsearch.fleet.orders import Seat


def test_pauses_double_up_to_a_minute() -> None:
    assert [pause_s(n) for n in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("code", "crash"),
    [(0, False), (1, True), (2, False), (3, False), (4, False), (8, False), (9, True),
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
    monkeypatch.setattr("hpsearch.fleet.local.cpu_count", lambda: 8)
    gpus = ["cuda:0", "cuda:1"]
    assert [p.device for p in spread(gpus)] == gpus
    assert [p.device for p in spread(gpus, workers=3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert sorted(p.device for p in spread(gpus, per_device=2)) == sorted(gpus * 2)
    assert [p.threads for p in spread(["cpu"])] == [None]
    assert [p.threads for p in spread(["cpu"], workers=3)] == [2, 2, 2]
    assert [p.threads for p in spread(["cpu"], per_device=20)] == [1] * 20
    assert len({p.key for p in spread(gpus, per_device=3)}) == 6


def test_the_database_url_is_neither_on_the_command_line_nor_in_a_repr() -> None:
    orders = Orders("postgresql://u:secret@h/d", ("s",), until_done=True)
    words = orders.arguments("w", Seat("0", "cpu", 2))
    assert words[:2] == ["worker", "s"]
    assert "secret" not in repr(orders)
    assert "secret" not in " ".join(words)

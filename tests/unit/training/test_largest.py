from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpsearch.errors import DataError, HpsearchError
from hpsearch.training.data import DataSettings
from hpsearch.training.largest import largest, search
from tests.unit.training.packing import DEVICE

DATA = DataSettings("digits", limit=510)  # 420 training rows
DEADLY = """
import os, signal
from hpsearch.training.solo import Solo
step = Solo.step
def deadly(self, rows, rate):
    if len(rows) > {limit}:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, rows, rate)
Solo.step = deadly
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(("low", "rows"), [(1, 1000), (16, 420), (16, 16), (7, 10**6)])
@pytest.mark.parametrize("limit", [0, 1, 15, 16, 17, 100, 419, 420, 5000])
def test_only_a_size_that_was_run_is_found(low: int, rows: int, limit: int) -> None:
    run: list[int] = []
    found = list(search(lambda size: run.append(size) or size <= limit, low, rows))
    assert found == sorted(size for size in run if size <= limit)
    assert max(run) <= rows
    if limit < low:
        assert not found
    else:
        most = min(limit, rows)
        assert found[-1] <= most <= max(found[-1] * 1.1, found[-1] + 1)


def test_what_was_found_is_kept(cache: Path, candidate) -> None:
    assert largest(candidate(), DATA, str(DEVICE), 16)[0] == 420
    (kept,) = cache.rglob("*.json")
    kept.write_text(json.dumps({"found": 77, "on": "paper"}))
    assert largest(candidate(batch_size=8, lr=0.5), DATA, str(DEVICE), 16) == (77, "paper")
    kept.write_text(json.dumps({"found": 421, "on": "paper"}))  # which no device has found
    assert largest(candidate(), DATA, str(DEVICE), 16)[0] == 420
    kept.write_text("{")
    assert largest(candidate(), DATA, str(DEVICE), 16)[0] == 420


def test_what_cannot_be_kept_is_an_answer(cache: Path, candidate) -> None:
    cache.touch()  # no folder can be made there
    assert largest(candidate(), DATA, str(DEVICE), 16)[0] == 420


def test_a_process_that_the_system_kills_costs_no_more_than_its_size(
    cache: Path, candidate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(DEADLY.format(limit=380))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    assert largest(candidate(), DATA, str(DEVICE), 100)[0] == 375
    (tmp_path / "sitecustomize.py").write_text(DEADLY.format(limit=1))
    with pytest.raises(HpsearchError, match=r"16 rows does not fit .*batch_size.min"):
        largest(candidate(widths=(8,)), DATA, str(DEVICE), 16)


def test_a_fault_of_the_data_is_told_as_such(cache: Path, candidate) -> None:
    with pytest.raises(HpsearchError, match="no-such") as caught:
        largest(candidate(), DataSettings("csv", Path("no-such.csv"), "y"), str(DEVICE), 16)
    assert caught.value.exit_code == DataError.exit_code

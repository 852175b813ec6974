from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import DataError, HpsearchError
from hpsearch.preflight.max_batch_size import largest, main, search
from hpsearch.sources.dataset import DataSettings
from tests.unit.training.packing import DEVICE, deadly
from tests.zygote import Job, Process

DATA = DataSettings("digits", limit=510)  # 420 training rows


@dataclass
class Forked:
    """In place of `subprocess`: what tries the sizes is forked and need not load PyTorch."""

    hook: Callable[[], None] | None = None
    PIPE = subprocess.PIPE

    def run(
        self, _: list[str], *, input: str, env: dict[str, str], **streams: Any
    ) -> subprocess.CompletedProcess[str]:
        job = Job([], env, hooks=[self.hook] if self.hook else [], body=main)
        del streams["check"]
        with Process(job, stdin=subprocess.PIPE, **streams) as process:
            said, _ = process.communicate(input)
        return subprocess.CompletedProcess([], process.returncode, said)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Forked:
    forked = Forked()
    monkeypatch.setattr("hpsearch.preflight.max_batch_size.subprocess", forked)
    return forked


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


def test_what_was_found_is_kept(cache: Path, candidate, forked: Forked) -> None:
    assert largest(candidate(widths=(8,)), DATA, str(DEVICE), 300)[0] == 420
    (kept,) = cache.rglob("*.json")
    kept.write_text(json.dumps({"found": 377, "on": "paper"}))
    assert largest(candidate(widths=(8,), batch_size=8, lr=0.5), DATA, str(DEVICE), 300) == (
        377,
        "paper",
    )
    kept.write_text(json.dumps({"found": 421, "on": "paper"}))  # which no device has found
    assert largest(candidate(widths=(8,)), DATA, str(DEVICE), 300)[0] == 420
    kept.write_text("{")
    assert largest(candidate(widths=(8,)), DATA, str(DEVICE), 300)[0] == 420


def test_what_cannot_be_kept_is_an_answer(cache: Path, candidate) -> None:
    cache.touch()  # no folder can be made there
    assert largest(candidate(widths=(8,)), DATA, str(DEVICE), 300)[0] == 420


def test_a_process_that_the_system_kills_costs_no_more_than_its_size(
    cache: Path, candidate, forked: Forked
) -> None:
    forked.hook = partial(deadly, 380)
    assert largest(candidate(), DATA, str(DEVICE), 100)[0] == 375
    forked.hook = partial(deadly, 1)
    with pytest.raises(HpsearchError, match=r"16 rows does not fit .*batch_size.min"):
        largest(candidate(widths=(8,)), DATA, str(DEVICE), 16)


def test_a_fault_of_the_data_is_told_as_such(cache: Path, candidate, forked: Forked) -> None:
    with pytest.raises(HpsearchError, match="no-such") as caught:
        largest(candidate(), DataSettings("csv", Path("no-such.csv"), "y"), str(DEVICE), 16)
    assert caught.value.exit_code == DataError.exit_code

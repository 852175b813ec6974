from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hpsearch.errors import DataError, HpsearchError
from hpsearch.preflight.max_batch_size import largest, try_sizes
from hpsearch.sources.dataset import DataSettings
from tests.unit.training.packing import DEVICE, deadly
from tests.zygote import Job, Process

DATA = DataSettings.of("digits", limit=510)  # 420 training rows


@dataclass
class Forked:
    """In place of `subprocess`: what tries the sizes is forked and need not load PyTorch."""

    hook: Callable[[], None] | None = None
    PIPE = subprocess.PIPE

    def run(
        self, _command: list[str], *, input: bytes, stdout: int, check: bool
    ) -> subprocess.CompletedProcess[bytes]:
        hooks = [self.hook] if self.hook else []
        job = Job([], hooks=hooks, body=partial(try_sizes, *pickle.loads(input)))
        with Process(job, stdout=stdout) as process:
            answers, _ = process.communicate()
        return subprocess.CompletedProcess([], process.returncode, answers.encode())


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Forked:
    forked = Forked()
    monkeypatch.setattr("hpsearch.preflight.max_batch_size.subprocess", forked)
    return forked


def test_no_batch_has_more_than_the_training_rows(candidate) -> None:
    for low in (300, 500):
        answer = largest(candidate(widths=(8,)), DATA, str(DEVICE), low)
        assert answer == (420, "as many as there are training rows")


def test_a_process_that_the_system_kills_costs_no_more_than_its_size(
    candidate, forked: Forked
) -> None:
    forked.hook = partial(deadly, 380)
    size, why = largest(candidate(), DATA, str(DEVICE), 100)
    assert size == 200
    assert why.startswith(f"the largest that was run on {DEVICE.type}")
    forked.hook = partial(deadly, 1)
    with pytest.raises(HpsearchError, match=r"16 rows does not fit .*batch_size.min"):
        largest(candidate(widths=(8,)), DATA, str(DEVICE), 16)


def test_an_error_is_not_taken_for_a_lack_of_memory(candidate, forked: Forked) -> None:
    forked.hook = _broken
    with pytest.raises(HpsearchError, match="cannot be tried"):
        largest(candidate(), DATA, str(DEVICE), 16)


def _broken() -> None:
    from hpsearch.training.solo import Solo

    del Solo.step


def test_a_fault_of_the_data_is_told_as_such(candidate, forked: Forked) -> None:
    with pytest.raises(HpsearchError, match="no-such") as caught:
        largest(
            candidate(),
            DataSettings.of("table", path=Path("no-such.csv"), target="y"),
            str(DEVICE),
            16,
        )
    assert caught.value.exit_code == DataError.exit_code

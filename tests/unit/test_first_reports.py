"""What the first two reports of own training code look like."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hpsearch.preflight.first_reports import SUSPECT, diverged, judged

SPEC: Any = SimpleNamespace(metric="f1", budget=SimpleNamespace(epochs=10))


@pytest.mark.parametrize(
    ("curve", "seconds", "saves", "suspect", "said"),
    [
        ({1: 0.5, 2: 0.6}, 60.0, True, None, ""),
        ({1: 0.5, 2: 0.4, 3: 0.4}, 1.0, False, None, ""),
        ({1: 0.5, 2: 0.6}, 6.0, False, None, "saves nothing (run.save)"),
        ({1: 0.5, 2: 0.5}, 1.0, True, SUSPECT, "f1 is 0.5 after each of its first 2 epochs"),
    ],
)
def test_the_first_two(curve, seconds: float, saves: bool, suspect: str | None, said: str) -> None:
    found = judged(SPEC, curve, seconds, saves=saves)
    assert found["suspect"] == suspect
    assert said in found["said"] if said else not found["said"]
    assert found["epoch_s"] == seconds
    assert not found["stops"]


def test_no_number() -> None:
    assert diverged("f1 became nan in epoch 1")["said"].startswith("f1 became nan in epoch 1; look")

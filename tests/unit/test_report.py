"""What a reader of a study sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpsearch.forecast import Forecast, Rung, Span
from hpsearch.report import Reader
from hpsearch.spec import load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger

FORECAST = Forecast(
    workers=1, device="cpu", trials=4, begun=4, epochs=Span(8, 8, 8), rungs=(Rung(2, 4.0),),
    start_s=1.0, work_s=Span(2, 1, 3), device_s=Span(2, 1, 3), epoch_s=Span(0.1, 0.1, 0.1),
    candidate_bytes=1, stack_bytes=2, disk_bytes=3, warnings=("slow",),
)  # fmt: skip


class Counting(Ledger):
    """Counts how often it is asked for a forecast."""

    asked = 0

    def forecast(self, digest: str) -> dict[str, Any] | None:
        self.asked += 1
        return super().forecast(digest)


@pytest.fixture
def ledger(tmp_path: Path, sqlite_url: str) -> Counting:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\n"
        "parameters: {learning_rate: {lr: {min: 0.01, max: 1}}}\n"
        "search: {sampler: random}\nbudget: {trials: 4, epochs: 2}\n"
    )
    spec = load(file)
    ledger = Counting(Database(sqlite_url))
    ledger.create(
        name="s", direction="maximize", digest="d", base="/", budget=4, hours=None,
        document=spec.document, crash_limit=3,
    )  # fmt: skip
    return ledger


def test_a_forecast_is_read_once_and_when_the_state_has_changed(ledger: Counting) -> None:
    reader = Reader(ledger, "s")
    assert [reader.snapshot().forecast for _ in range(3)] == [None] * 3
    assert ledger.asked == 1
    ledger.keep_forecast("d", FORECAST.as_json())
    ledger.set_state("s", "stopped")
    assert [reader.snapshot().forecast for _ in range(3)] == [FORECAST] * 3
    assert ledger.asked == 2


@pytest.mark.parametrize(
    "kept",
    [
        {"seconds": 1.5},
        {**FORECAST.as_json(), "epochs": 8},
        {**FORECAST.as_json(), "rungs": [{"epoch": 1}]},
        {**FORECAST.as_json(), "workers": "two"},
    ],
)
def test_a_forecast_of_another_form_is_none(ledger: Counting, kept: dict[str, Any]) -> None:
    ledger.keep_forecast("d", kept)
    assert Reader(ledger, "s").snapshot().forecast is None


@pytest.mark.parametrize(
    ("sampler", "trials", "whole"),
    [("grid", 3, True), ("grid", 2, False), ("auto", 3, True), ("random", 3, False)],
)
def test_a_grid_has_nothing_to_be_extended_by(
    tmp_path: Path, sqlite_url: str, sampler: str, trials: int, whole: bool
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\n"
        "parameters: {architecture: {depth: {min: 1, max: 3}}}\n"
        f"search: {{sampler: {sampler}}}\nbudget: {{trials: {trials}}}\n"
    )
    ledger = Ledger(Database(sqlite_url))
    ledger.create(
        name="s", direction="maximize", digest="d", base="/", budget=trials, hours=None,
        document=load(file).document, crash_limit=3,
    )  # fmt: skip
    assert Reader(ledger, "s").snapshot().is_whole is whole

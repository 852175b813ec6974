from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError
from hpsearch.sources.inputs import RowInputs, fit_rows
from hpsearch.sources.raw import Raw, Rows

if TYPE_CHECKING:
    from tests.plugins.toy_source.toy_source import WavesSpec


def read(section: WavesSpec, base: Path, decided: Mapping[str, Any] | None = None) -> Raw:
    if section.count < 10:
        raise DataError(f"data.count: {section.count} waves are too few; give 10 or more")
    numbers = np.arange(section.count)
    targets = numbers % 2
    rows_ND = np.sin(np.linspace(0, 6, 24) * (1 + targets)[:, None] + numbers[:, None] / 9)
    if section.shape == "square":
        rows_ND = np.sign(rows_ND)
    middle = decided["middle"] if decided else float(rows_ND.mean())
    rows_ND = rows_ND - middle

    def fit(train: Rows) -> tuple[RowInputs, tuple[str, ...]]:
        return fit_rows(rows_ND[train]), (f"{len(train)} waves to learn from",)

    return Raw(
        task="classification",
        targets=targets,
        classes=("long", "short"),
        take=lambda rows: rows_ND[rows],
        fit=fit,
        fingerprint=hashlib.sha256(rows_ND.tobytes()).hexdigest(),
        decided={"middle": middle},
    )


def describe(decided: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"waves around {decided['middle']:.3f}",)

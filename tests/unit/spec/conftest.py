from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hpsearch.spec import StudyFaultsError, StudySpec, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = {
    "name": "name: base",
    "data": "data: {source: digits}",
    "network": "network: {family: mlp}",
    "parameters": "parameters:\n  learning_rate:\n    lr: {min: 0.001, max: 0.1}",
    "budget": "budget: {trials: 4}",
}


@pytest.fixture(scope="session")
def study() -> Callable[..., str]:
    """Writes a study; see `written`."""
    return written


def written(snippet: str = "") -> str:
    """The text of a small study in which the sections of `snippet` replace or follow others."""
    parts = [part for part in re.split(r"^(?=[^\s#])", snippet, flags=re.MULTILINE) if part]
    sections = BASE | {part.partition(":")[0]: part.rstrip("\n") for part in parts}
    return "\n".join(sections.values()) + "\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Writes the text of a study file and gives its path."""

    def written(text: str | bytes) -> Path:
        path = tmp_path / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.fixture
def read(write: Callable[[str | bytes], Path]) -> Callable[..., StudySpec]:
    """Loads the text of a study file."""

    def loaded(text: str | bytes, *overrides: str) -> StudySpec:
        return load(write(text), overrides)

    return loaded


@pytest.fixture
def refuse(read: Callable[..., StudySpec]) -> Callable[..., StudyFaultsError]:
    """Loads a faulty text and gives the error."""

    def refused(text: str | bytes, *overrides: str) -> StudyFaultsError:
        with pytest.raises(StudyFaultsError) as caught:
            read(text, *overrides)
        return caught.value

    return refused

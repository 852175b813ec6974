"""The checks for sources: ours and a foreign one pass, and broken promises are found."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hpsearch.sources import DataSpec, Source
from hpsearch.sources.raw import Raw
from hpsearch.spec.source import SOURCES
from hpsearch.testing import check_source
from tests.plugins import install


def test_ours_keep_their_promises(tmp_path: Path) -> None:
    rows = "".join(f"{row % 7},{'uvw'[row % 3]},{row % 2}\n" for row in range(60))
    (tmp_path / "t.csv").write_text(f"a,b,y\n{rows}")
    for name in SOURCES.own:
        assert SOURCES[name].name == name
    check_source(SOURCES["digits"])
    for name in ("table", "csv"):
        check_source(SOURCES[name], tmp_path, path="t.csv", target="y")
    np.savez(tmp_path / "a.npz", X=np.arange(720.0).reshape(60, 4, 3), y=np.arange(60) % 3)
    check_source(SOURCES["arrays"], tmp_path, path="a.npz")
    check_source(SOURCES["series"], tmp_path, path="t.csv", target="y", window=4, horizon=2)
    later = {"split": {"by": "a"}, "test_path": "t.csv"}
    check_source(SOURCES["table"], tmp_path, path="t.csv", target="y", **later)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    install("toy_source", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(SOURCES, "_loaded", {**SOURCES._loaded})
    SOURCES._loaded["waves"] = source = importlib.import_module("toy_source").SOURCE
    yield source
    for name in [name for name in sys.modules if name.split(".")[0] == "toy_source"]:
        del sys.modules[name]


def test_a_source_of_another_package_does_too(toy: Source) -> None:
    check_source(toy, count=60)
    check_source(toy, count=60, shape="square")


def other_targets(raw: Raw) -> Raw:
    return replace(raw, targets=np.random.default_rng().integers(0, 2, len(raw.targets)))


def flat(raw: Raw) -> Raw:
    return replace(raw, take=lambda rows: raw.take(rows)[0])


def doubled(raw: Raw) -> Raw:
    return replace(raw, take=lambda rows: raw.take(rows) * len(rows))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (other_targets, "read again, it has other targets"),
        (lambda raw: replace(raw, fingerprint=""), "fingerprint needs to be a hash"),
        (lambda raw: replace(raw, classes=("one",)), "two or more classes"),
        (lambda raw: replace(raw, decided={"a": (1,)}), "decided needs to be JSON"),
        (lambda raw: replace(raw, order=np.zeros(3)), "order needs a value a row"),
        (lambda raw: replace(raw, task="regression"), "the task regression has numbers"),
        (doubled, "a row alone has other inputs"),
    ],
)
def test_a_broken_promise_is_named(
    toy: Source, monkeypatch: pytest.MonkeyPatch, how: Callable[[Raw], Raw], words: str
) -> None:
    waves: ModuleType = importlib.import_module("toy_source.waves")
    read = waves.read

    def broken(section: Any, base: Path, decided: Any) -> Raw:
        return how(read(section, base, decided))

    monkeypatch.setattr(waves, "read", broken)
    with pytest.raises(AssertionError, match=words):
        check_source(toy, count=60)


def test_a_key_without_a_meaning_is_named(toy: Source) -> None:
    class Bare(DataSpec):
        count: int = 20

    with pytest.raises(AssertionError, match="count needs a docstring"):
        check_source(replace(toy, section=Bare))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "smells"}, "kind: expected one of rows"),
        ({"files": ("path",)}, "files: the section has no key path"),
        ({"read": "toy_source.waves.read"}, "read: expected package.module:name"),
    ],
)
def test_a_declaration_that_contradicts_itself(
    toy: Source, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(toy, **changes)

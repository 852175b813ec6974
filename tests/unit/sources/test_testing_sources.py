"""The checks for sources: ours and a foreign one pass, and broken promises are found."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hpsearch.errors import DataError
from hpsearch.sources import DataSpec, Source
from hpsearch.sources.arrays.inputs import fit_sequences
from hpsearch.sources.inputs import Given, RowInputs, fit_images, fit_rows
from hpsearch.sources.look import Look
from hpsearch.sources.raw import Raw
from hpsearch.spec.source import SOURCES, Disagreement
from hpsearch.testing import check_source
from tests import plugins


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
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    """A source of a package that can be imported, and is not installed."""
    monkeypatch.syspath_prepend(Path(plugins.__file__).parent / "toy_source")
    yield importlib.import_module("toy_source").SOURCE
    for name in [name for name in sys.modules if name.split(".")[0] == "toy_source"]:
        del sys.modules[name]


def test_a_source_of_a_package_that_is_not_installed_does_too(toy: Source) -> None:
    assert SOURCES.find("waves") is None
    check_source(toy, count=60)
    assert SOURCES.find("waves") is None
    check_source(toy, count=60, shape="square")


WALKS_NTD = np.random.default_rng(0).normal(3, 2, (60, 5, 2)).cumsum(axis=1)


def read_walks(section: DataSpec, base: Path, decided: Any = None) -> Raw:
    return Raw(
        task="classification",
        targets=np.arange(60) % 2,
        classes=("a", "b"),
        take=lambda rows: WALKS_NTD[rows],
        fit=lambda train: (fit_sequences(WALKS_NTD[train]), ()),
        fingerprint="walks",
    )


def test_a_source_of_sequences_has_inputs() -> None:
    walks = Source(
        "walks", "walks", DataSpec, f"{__name__}:read_walks",
        "hpsearch.sources.arrays.inputs:ArrayInputs", "sequences", "classes",
    )  # fmt: skip
    check_source(walks)
    inputs = fit_sequences(WALKS_NTD)
    assert (inputs.kind, inputs.shape) == ("sequences", (5, 2))
    scaled = inputs.of_rows(WALKS_NTD).inputs
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1, atol=1e-6)


def test_inputs_of_another_shape_are_refused_with_it() -> None:
    with pytest.raises(DataError, match=r"shape \(60, 5, 2\); expected rows of numbers \(N, D\)"):
        fit_rows(WALKS_NTD)
    with pytest.raises(DataError, match=r"shape \(60, 2\); expected \(N, T, D\)"):
        fit_sequences(WALKS_NTD[:, 0])
    with pytest.raises(DataError, match=r"shape \(60, 5, 2\); expected \(N, C, H, W\)"):
        fit_images(WALKS_NTD, 16)


def other_targets(raw: Raw) -> Raw:
    return replace(raw, targets=np.random.default_rng().integers(0, 2, len(raw.targets)))


def flat(raw: Raw) -> Raw:
    return replace(raw, take=lambda rows: raw.take(rows)[0])


def doubled(raw: Raw) -> Raw:
    return replace(raw, take=lambda rows: raw.take(rows) * len(rows))


def other_rows(raw: Raw) -> Raw:
    return replace(raw, take=lambda rows: raw.take(rows) + np.random.default_rng().random())


def other_classes(raw: Raw) -> Raw:
    return replace(raw, classes=(*raw.classes, str(np.random.default_rng().random())))


def fewer_targets(raw: Raw) -> Raw:
    return replace(raw, targets=raw.targets[:-2])


@dataclass(frozen=True)
class Odd(RowInputs):
    """Inputs of which one function is another."""

    def of_rows(self, rows: Any) -> Any:
        return Given(self(rows) + 1)

    def of_files(self, files: Any) -> Any:
        return files[0].read_bytes()


@dataclass(frozen=True)
class Unread(RowInputs):
    """Those of which the files cannot be read."""

    def of_files(self, files: Any) -> Any:
        return Given(files[0].read_bytes())


def having(inputs: type[RowInputs]) -> Callable[[Raw], Raw]:
    def made(raw: Raw) -> Raw:
        fitted, notes = raw.fit(np.arange(40))
        assert isinstance(fitted, RowInputs)
        return replace(raw, fit=lambda _: (inputs(fitted.mean, fitted.deviation), notes))

    return made


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (other_rows, "read again, it has other rows"),
        (other_classes, "read again, it has other classes"),
        (fewer_targets, "take gives a row 58, counted from 0, for 58 targets"),
        (lambda raw: replace(raw, fingerprint=12), "hash of the data, a text; got 12"),
        (having(Odd), "of_rows gives other inputs than training"),
        (having(Unread), "of_files fails where it needs to give DataError: FileNotFoundError"),
        (other_targets, "read again, it has other targets"),
        (lambda raw: None, "read gives a NoneType, not a Raw"),
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


def test_a_look_and_keys_that_say_something_else_are_found(toy: Source) -> None:
    class Disagreeing(toy.section):  # type: ignore[name-defined, misc]
        def disagreements(self) -> Iterator[Disagreement]:
            yield ("count",), "an odd number", "60"

    with pytest.raises(AssertionError, match="disagree: count: expected an odd number; got 60"):
        check_source(replace(toy, section=Disagreeing), count=60)
    for look, words in ((other_look, "look says shape"), (no_look, "gives a str, not a Look")):
        with pytest.raises(AssertionError, match=words):
            check_source(replace(toy, look=f"{__name__}:{look.__name__}"), count=60)


def other_look(section: DataSpec, base: Path) -> Look:
    return Look("waves", (), shape=(3,))


def no_look(section: DataSpec, base: Path) -> str:
    return "waves"


def test_a_declaration_that_imports_torch_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.install("toy_source", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    declaration = tmp_path / "toy_source" / "__init__.py"
    declaration.write_text(f"import torch\n{declaration.read_text()}")
    (tmp_path / "torch.py").touch()  # what a fresh Python loads, in no time
    source = importlib.import_module("toy_source").SOURCE
    with pytest.raises(AssertionError, match="toy_source, which declares waves, imports torch"):
        check_source(source, count=60)
    for name in [name for name in sys.modules if name.split(".")[0] == "toy_source"]:
        monkeypatch.delitem(sys.modules, name)


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

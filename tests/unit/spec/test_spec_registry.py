"""Declarations of installed packages are found by name, and a broken one stops no other."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path

import pytest

from hpsearch.spec.family import FAMILIES, Family
from hpsearch.spec.registry import PluginError, Registry

GROUP = "hpsearch.families"
GOOD = """
from hpsearch.families import Family
FAMILY = Family("good", "Good.", frozenset({"rows"}), (), "good:build")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs a package of one module that has this text, and these entry points."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def installed(name: str, text: str, **entries: str) -> Registry[Family]:
        (tmp_path / f"{name}.py").write_text(text)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"[{GROUP}]", *(f"{entry} = {value}" for entry, value in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
        importlib.invalidate_caches()
        return Registry(Family, GROUP)

    yield installed
    for new in set(sys.modules) - modules:
        del sys.modules[new]


def test_ours_are_the_folders() -> None:
    folders = Path(sys.modules["hpsearch"].__file__).parent / "families"
    assert set(FAMILIES.own) == {p.parent.name for p in folders.glob("*/__init__.py")}
    assert list(FAMILIES.all(installed=False)) == list(FAMILIES.own)


def test_an_installed_one_is_found_by_its_name(package) -> None:
    families = package("good", GOOD, good="good:FAMILY")
    assert families.find("good").doc == "Good."
    assert list(families.all()) == [*FAMILIES.own, "good"]
    assert families.find("bad") is None
    with pytest.raises(PluginError, match="there is no family 'bad' here: install the package"):
        families["bad"]


def test_one_of_ours_is_found_without_a_look_at_packages(package, monkeypatch) -> None:
    families = package("good", GOOD, good="good:FAMILY")
    monkeypatch.setattr(Registry, "_entries", property(lambda self: pytest.fail("looked")))
    assert families.find("mlp") is FAMILIES["mlp"]


@pytest.mark.parametrize(
    ("text", "entry", "words"),
    [
        ("import nonsense_that_is_nowhere", "bad:FAMILY",
         "family bad of bad 1.0 cannot be loaded: ModuleNotFoundError: No module named 'nonsense"),
        ("raise SystemError('first\\nsecond')", "bad:FAMILY", "SystemError: first"),
        ("", "bad:FAMILY", "AttributeError: module 'bad' has no attribute 'FAMILY'"),
        ("FAMILY = 3", "bad:FAMILY", "is no Family: bad:FAMILY is of type int"),
        (GOOD, "bad:FAMILY", "calls itself 'good'; both names have to be the same"),
        (GOOD.replace('"rows"', '"pictures"'), "bad:FAMILY", "takes: expected some of rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(package, caplog, text, entry, words) -> None:
    package("good", GOOD, good="good:FAMILY")
    families = package("bad", text, bad=entry)
    with pytest.raises(PluginError) as caught:
        families.find("bad")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with caplog.at_level(logging.WARNING):
        assert list(families.all()) == [*FAMILIES.own, "good"]
    assert caplog.messages == [str(caught.value)]


def test_two_of_one_name_are_none(package, caplog) -> None:
    package("good", GOOD, good="good:FAMILY")
    families = package("other", GOOD, good="other:FAMILY", mlp="other:FAMILY")
    with pytest.raises(PluginError, match=r"good of good 1\.0 and of other 1\.0: only one of them"):
        families.find("good")
    assert families.find("mlp") is FAMILIES["mlp"]
    assert list(families.all()) == list(FAMILIES.own)
    assert [message[:42] for message in caplog.messages] == [
        "family good of good 1.0 and of other 1.0: ", "family mlp of other 1.0 is left out: hpsea",
    ]  # fmt: skip


def test_a_study_of_a_family_that_does_not_work_has_one_fault(
    package, refuse, study, monkeypatch
) -> None:
    monkeypatch.setattr("hpsearch.spec.models.FAMILIES", package("bad", "", bad="bad:FAMILY"))
    own = (
        "parameters: {grain: {values: [fine, coarse]}, lr: {min: 0.1, max: 1, when: {grain: fine}}}"
    )
    (fault,) = refuse(study(f"network: {{family: bad}}\n{own}\nstart: [{{grain: fine}}]")).faults
    assert fault.path == "network.family"
    assert fault.expected.startswith("a family that works (family bad of bad 1.0 cannot be loaded")

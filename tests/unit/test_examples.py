"""The studies are in the wheel."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_wheel_is_told_to_have_the_studies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"studies": "hpsearch/examples"}


def test_an_installation_has_the_studies_and_their_data() -> None:
    try:
        installed = distribution("hpsearch")
    except PackageNotFoundError:
        pytest.skip("hpsearch is not installed")
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip("an editable installation has no files of its own")
    files = {str(file) for file in installed.files or ()}
    shipped = {f"hpsearch/examples/{f.name}" for f in (ROOT / "studies").iterdir() if f.is_file()}
    assert shipped <= files

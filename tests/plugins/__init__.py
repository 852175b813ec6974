"""Packages that add to hpsearch, as their authors would ship them."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["install", "write_info"]

_HERE = Path(__file__).parent


def install(project: str, folder: Path) -> None:
    """Put a package and what pip would write of it into a folder, which is to be on `sys.path`."""
    about = tomllib.loads((_HERE / project / "pyproject.toml").read_text())["project"]
    shutil.copytree(_HERE / project / project, folder / project)
    write_info(folder, about["name"], about["version"], about["entry-points"])


def write_info(
    folder: Path, name: str, version: str, groups: Mapping[str, Mapping[str, str]]
) -> None:
    """Write what pip leaves of a package beside it: its name, version and entry points."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        line
        for group, entries in groups.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

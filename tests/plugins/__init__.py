"""Packages that add to hpsearch, as their authors would ship them."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

__all__ = ["install"]

_HERE = Path(__file__).parent


def install(project: str, folder: Path) -> None:
    """Put a package and what pip would write of it into a folder, which is to be on `sys.path`."""
    about = tomllib.loads((_HERE / project / "pyproject.toml").read_text())["project"]
    shutil.copytree(_HERE / project / project, folder / project)
    info = folder / f"{project}-{about['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    )
    groups = (
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())])
        for group, entries in about["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups) + "\n")

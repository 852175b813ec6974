"""Anyone who does what docs/guides/add-a-family.md says has a family."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

from hpsearch.spec import load
from hpsearch.spec.family import FAMILIES, Family
from hpsearch.spec.registry import Registry
from hpsearch.testing import check_family
from tests.plugins import write_info

PAGE = (Path(__file__).parents[2] / "docs/guides/add-a-family.md").read_text()
PAGE = PAGE.replace("highway", "page_highway")  # hpsearch may have a family highway


def test_the_page_makes_a_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declaration, network, test = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (project,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (study,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    package = tmp_path / "page_highway"
    package.mkdir()
    (package / "__init__.py").write_text(declaration)
    (package / "network.py").write_text(network)
    groups = tomllib.loads(project)["project"]["entry-points"]
    (group,) = groups
    write_info(tmp_path, "page_highway", "1.0", groups)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    family = Registry(Family, group)["page_highway"]
    assert "check_family(FAMILY)" in test
    check_family(family)
    monkeypatch.setitem(FAMILIES._loaded, "page_highway", family)
    (tmp_path / "study.yaml").write_text(study)
    assert load(tmp_path / "study.yaml").space.names == ("layers", "units", "lr", "drop")
    for name in ("page_highway.network", "page_highway"):
        monkeypatch.delitem(sys.modules, name)

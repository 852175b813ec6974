"""Anyone who does what docs/guides/add-a-source.md says has a source."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from hpsearch.spec.source import Source
from hpsearch.testing import check_source

PAGE = (Path(__file__).parents[2] / "docs/guides/add-a-source.md").read_text()
PAGE = PAGE.replace("my_package", "page_source")


@pytest.mark.parametrize("inputs", ["RowInputs", "LogInputs"])
def test_the_page_makes_a_source(
    inputs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration, read, logs, test = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    if inputs == "LogInputs":
        declaration = declaration.replace("hpsearch.sources.inputs:Row", "page_source.waves:Log")
        read = read.replace("fit_rows(rows", "fit_logs(rows").replace("np.sin(", "2 + np.sin(", 1)
    package = tmp_path / "page_source"
    package.mkdir()
    (package / "__init__.py").write_text(declaration)
    (package / "waves.py").write_text(f"{read}\n{logs}")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    source = importlib.import_module("page_source").SOURCE
    assert source.inputs.endswith(inputs)
    assert "check_source(SOURCE, count=60)" in test
    check_source(source, count=60)
    for name in ("page_source.waves", "page_source"):
        sys.modules.pop(name)


def test_each_field_is_on_the_page() -> None:
    for field in fields(Source):
        assert f"| `{field.name}` | " in PAGE

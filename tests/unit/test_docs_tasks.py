"""Anyone who does what docs/guides/add-a-task.md says has a task."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

from hpsearch.spec import load
from hpsearch.spec.registry import Registry
from hpsearch.spec.task import TASKS, Task
from hpsearch.tasks.learning import functions_of
from hpsearch.testing import check_task
from tests.plugins import write_info

PAGE = (Path(__file__).parents[2] / "docs/guides/add-a-task.md").read_text()
PAGE = re.sub(r"(?<!\.)\bquantile\b", "page_quantile", PAGE)  # hpsearch may have a task quantile


def test_the_page_makes_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declaration, functions, test = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (project,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (study,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    package = tmp_path / "page_quantile"
    package.mkdir()
    (package / "__init__.py").write_text(declaration)
    (package / "learning.py").write_text(functions)
    groups = tomllib.loads(project)["project"]["entry-points"]
    (group,) = groups
    write_info(tmp_path, "page_quantile", "1.0", groups)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    task = Registry(Task, group)["page_quantile"]
    assert "check_task(TASK)" in test
    check_task(task)
    functions_of(task)
    for name in sys.modules["page_quantile.learning"].__all__:
        assert f"| `{name}(" in PAGE, "each function has a row of the table"
    monkeypatch.setitem(TASKS._loaded, "page_quantile", task)
    (tmp_path / "rides.csv").write_text("minutes\n1\n")
    (tmp_path / "study.yaml").write_text(study)
    spec = load(tmp_path / "study.yaml")
    assert spec.settings({})["level"] == 0.9
    assert (spec.metric, spec.direction) == ("loss", "minimize")
    for name in ("page_quantile.learning", "page_quantile"):
        monkeypatch.delitem(sys.modules, name)

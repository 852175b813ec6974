from __future__ import annotations

import ast
import runpy
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import optuna
import pytest

import hpsearch
from hpsearch.errors import HpsearchError

ROOT = Path(hpsearch.__file__).parents[1]
HERE = ROOT / "hpsearch/store/optuna_private.py"  # not imported: it would stop this module too


def private_names(file: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each import out of Optuna with an underscore in front anywhere."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("optuna"):
            for alias in node.names:
                parts = [*node.module.split("."), alias.name]
                if any(part.startswith("_") and part != "__version__" for part in parts):
                    yield node.module, alias.name


@pytest.mark.parametrize(("module", "name"), sorted(private_names(HERE)))
def test_optuna_still_has_what_is_taken_from_its_inside(module: str, name: str) -> None:
    assert hasattr(import_module(module), name), (
        f"Optuna {optuna.__version__} has no {module}.{name}: see {HERE.relative_to(ROOT)}"
    )


def test_nothing_else_imports_private_names_of_optuna() -> None:
    files = [*(ROOT / "hpsearch").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert {file for file in files if any(private_names(file))} == {HERE}


def test_a_name_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("optuna.samplers._tpe.sampler._split_trials")
    with pytest.raises(HpsearchError) as error:
        runpy.run_path(str(HERE))
    assert "_split_trials" in str(error.value)
    assert str(error.value).endswith("pip install 'optuna==5.0.0'")
    assert "\n" not in str(error.value)

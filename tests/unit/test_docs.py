"""What is made from the code is up to date, and what the docs show is true."""

from __future__ import annotations

import importlib
import pkgutil
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from ruamel.yaml import YAML

import hpsearch
from hpsearch.errors import EXIT_CODES, HpsearchError
from hpsearch.pictures.catalog import PICTURES
from hpsearch.preflight.data_check import warnings
from hpsearch.sources.opening import look
from hpsearch.spec import load
from hpsearch.stages.outline import limit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "made", sorted(runpy.run_path(str(ROOT / "docs/make.py"))["made"]().items())
)
def test_what_is_made_from_the_code_is_up_to_date(made: tuple[Path, str]) -> None:
    path, content = made
    assert path.read_text(encoding="utf-8") == content, "run python docs/make.py"


def test_each_page_is_in_the_navigation_of_the_site() -> None:
    """A new page, such as that of a new family, or mkdocs ends with --strict."""
    config = SimpleNamespace(nav=YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"])
    hooks = runpy.run_path(str(ROOT / "docs/hooks.py"))
    pages = list(_pages(hooks["on_config"](config).nav))
    assert sorted(pages) == sorted(
        path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")
    )
    assert "reference/families/mlp.md" in pages


def _pages(entry: list | dict | str) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from _pages(part)


def test_the_example_in_the_readme_is_a_study_file(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    file = tmp_path / "study.yaml"
    file.write_text(example)
    assert load(file).name == "wine"


def test_the_fault_in_the_readme_is_the_one_that_check_reports(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (shown,) = re.findall(r"^wine\.yaml:.*$", text, re.M)
    file = tmp_path / "wine.yaml"
    file.write_text(example.replace("{trials: 60", "{trails: 60"))
    with pytest.raises(HpsearchError) as raised:
        load(file)
    assert shown in str(raised.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda f: f.name)
def test_each_shipped_study_is_one_and_points_editors_to_the_schema(file: Path) -> None:
    spec = load(file)
    assert spec.budget.trials or limit(spec)
    assert list(warnings(spec)) == []
    if seen := look(spec, file.parent):  # a table that is shipped beside it
        notes = [note for note in seen.notes if "the target, numbers from" not in note]
        assert (notes, seen.warnings) == ([], ())
    assert file.read_text().startswith("# yaml-language-server: $schema=study.schema.json\n")


@pytest.mark.parametrize(
    "file", sorted((ROOT / "studies").glob("*-staged.yaml")), ids=lambda f: f.name
)
def test_each_staged_study_says_what_its_winner_is_compared_with(file: Path) -> None:
    spec = load(file)
    assert spec.final
    assert [p.name for p in spec.space if p.default is None and not p.when] == []


def test_the_map_names_modules_that_exist() -> None:
    table = (
        (ROOT / "docs/explanation/design.md").read_text().split("## Floors")[1].split("\n## ")[0]
    )
    names = [
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.M)
        for name in re.findall(r"`(.*?)`", row)
    ]
    assert len(names) > 50
    for name in names:
        importlib.import_module(f"hpsearch.{name}")


def test_the_page_of_pictures_has_each_of_them_and_shows_small_ones() -> None:
    page = (ROOT / "docs/guides/pictures.md").read_text()
    for picture in PICTURES:
        assert f"| {picture.name} | {picture.doc} |" in page
    shown = re.findall(r"\]\((pictures/\w+\.png)\)", page)
    assert len(shown) >= 10
    for name in shown:
        assert (ROOT / "docs/guides" / name).stat().st_size < 60_000, name


def test_every_module_lists_its_public_names() -> None:
    for found in pkgutil.walk_packages(hpsearch.__path__, "hpsearch."):
        module = importlib.import_module(found.name)
        listed = module.__all__
        assert len(listed) == len(set(listed))
        assert all(hasattr(module, name) for name in listed), found.name
        public = {
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == found.name
            if isinstance(value, type) or callable(value)
        }
        assert public <= set(listed), (found.name, public - set(listed))


def test_every_error_has_a_code_with_a_meaning_and_stands_in_the_tree() -> None:
    import hpsearch.errors as module

    classes: list[type[HpsearchError]] = [HpsearchError, *HpsearchError.__subclasses__()]
    for cls in classes:
        assert cls.exit_code in EXIT_CODES
        assert cls.__name__ in (module.__doc__ or "") or cls.__module__ != module.__name__


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_of_pages_beside_the_site_lead_somewhere(page: Path) -> None:
    """Those within docs/ are checked where the site is built."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def _examples() -> list[tuple[str, str]]:
    """(Page, study file) of each study that a page shows as a whole."""
    blocks = (
        (page.relative_to(ROOT).as_posix(), block)
        for page in (ROOT / "docs").rglob("*.md")
        for block in re.findall(
            r"```yaml(?: title=\"[^\"]+\")?\n(name:.*?)```", page.read_text(), re.S
        )
    )
    # Families and tasks of packages that are not installed have tests of their own.
    return sorted(b for b in blocks if "{family: highway}" not in b[1] and "quantile" not in b[1])


@pytest.mark.parametrize(("page", "study"), _examples())
def test_each_study_that_a_page_shows_is_one(page: str, study: str, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("def build(problem, width=64, depth=2, dropout=0.1): ...\n")
    (tmp_path / "train.py").write_text("def train(run): ...\n")
    file = tmp_path / "study.yaml"
    file.write_text(study)
    assert load(file).name

"""Own code runs from one folder, and only what its manifest has."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpsearch.code import Code, explained, function, running, use
from hpsearch.code.imports import located
from hpsearch.errors import CodeError


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    use(None)


def code(folder: Path, **files: str) -> Code:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    use(made := Code.at(folder))
    return made


def test_without_a_folder_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "own_a.py").write_text("def f(): return 1")
    with pytest.raises(CodeError, match="--code DIR"):
        function("own_a.py:f")


def test_files_import_each_other(tmp_path: Path) -> None:
    code(
        tmp_path,
        own_a="from own_b import two\nfrom parts.deep import three\ndef f(): return two + three",
        own_b="two = 2",
        parts__deep="three = 3",
    )
    assert function("own_a.py:f")() == 5
    assert not list(tmp_path.rglob("*.pyc"))


def test_another_folder_takes_its_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        code(tmp_path / name, own_a=f"import own_b\ndef f(): return own_b.x + '{name}'",
             own_b=f"x = '{name} '")  # fmt: skip
        assert function("own_a.py:f")() == f"{name} {name}"
    use(None)
    assert "own_a" not in sys.modules


def test_what_has_changed_or_come_since_is_not_imported(tmp_path: Path) -> None:
    made = code(tmp_path, own_a="import own_b", own_c="import own_d", own_b="")
    made.check()
    (tmp_path / "own_b.py").write_text("raise SystemExit")
    (tmp_path / "own_d.py").write_text("raise SystemExit")
    with pytest.raises(CodeError, match=r"own_b\.py has changed since"):
        function("own_a.py:f")
    with pytest.raises(CodeError, match=r"own_d\.py below .* is not part of"):
        function("own_c.py:f")
    with pytest.raises(CodeError, match=r"own_d\.py is not part of"):
        function("own_d.py:f")
    with pytest.raises(CodeError, match=r"has changed .*: own_b\.py differs; put it back"):
        made.check()
    (tmp_path / "own_b.py").write_text("")
    made.check()  # the new file is none that it may import


def test_a_path_that_code_adds_is_no_way_round(tmp_path: Path) -> None:
    made = code(tmp_path, own_a=f"import sys; sys.path.append({str(tmp_path / 'sub')!r})\n"
                "import own_sub\ndef f(): return own_sub.x", sub__own_sub="x = 1")  # fmt: skip
    try:
        assert function("own_a.py:f")() == 1
        use(None)
        use(made)
        (tmp_path / "sub" / "own_sub.py").write_text("raise SystemExit")
        with pytest.raises(CodeError, match=r"own_sub\.py has changed since"):
            function("own_a.py:f")
    finally:
        sys.path[:] = [path for path in sys.path if not path.startswith(str(tmp_path))]


def test_names_of_others(tmp_path: Path) -> None:
    """The standard library stays what it is; another module of the name is said."""
    code(tmp_path, own_a="import colorsys\ndef f(): return colorsys.rgb_to_hsv(0, 0, 0)",
         colorsys="raise SystemExit", pytest="def f(): ...")  # fmt: skip
    assert function("own_a.py:f")() == (0, 0, 0)
    with pytest.raises(CodeError, match=r"pytest\.py cannot be imported: another module"):
        function("pytest.py:f")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("\nraise ValueError('no\\nmore')", r"own_a.py, line 2: ValueError: no$"),
        ("\n\nimport own_missing", r"own_a.py, line 3: ModuleNotFoundError: No module named"),
        ("import sys; sys.exit(3)", r"own_a.py, line 1: SystemExit: 3$"),
        ("x = 1\ndef f(:", r"own_a.py, line 2: SyntaxError: invalid syntax$"),
        ("x = 1", r"own_a.py has no function f$"),
        ("f = 1", r"own_a.py has no function f$"),
    ],
)
def test_what_goes_wrong_is_one_line_with_its_place(tmp_path: Path, source: str, line: str) -> None:
    code(tmp_path, own_a=source)
    with pytest.raises(CodeError, match=line):
        function("own_a.py:f")


def test_the_place_outlives_the_traceback(tmp_path: Path) -> None:
    code(tmp_path, own_a="def f():\n    return {}['x']")
    try:
        function("own_a.py:f")()
    except KeyError as error:
        fault = located(error).with_traceback(None)
        assert explained(fault) == "own_a.py, line 2: KeyError: 'x'"
    assert explained(ValueError("of ours")) == "ValueError: of ours"


def test_a_process_that_runs_some_for_a_moment_imports_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    made = code(tmp_path, own_a="def f(): return 1", own_b="")
    use(None)
    theirs = importlib.import_module("own_a")
    with running(made):
        assert function("own_a.py:f") is not theirs.f
    assert sys.modules["own_a"] is theirs
    (tmp_path / "own_new.py").write_text("x = 1")
    assert importlib.import_module("own_new").x == 1
    for name in ("own_a", "own_new"):
        del sys.modules[name]

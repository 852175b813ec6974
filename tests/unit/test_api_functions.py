"""Which functions have a file that others can import, and which are of a session alone."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.api.definition import of_values
from hpsearch.api.functions import InFile, OfSession, given, with_test
from hpsearch.code import Manifest
from hpsearch.errors import CodeError

TRAIN = """
def train(run):
    pass

def made():
    def inner(run):
        pass
    return inner
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[types.ModuleType]:
    """A module `loops.train` below the folder, imported from there."""
    (tmp_path / "loops").mkdir()
    (tmp_path / "loops" / "__init__.py").write_text("")
    file = tmp_path / "loops" / "train.py"
    file.write_text(TRAIN)
    spec = importlib.util.spec_from_file_location("loops.train", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["loops.train"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["loops.train"]


def session(text: str) -> dict:
    """What a cell of a notebook has defined."""
    cell = types.ModuleType("__main__")
    exec(compile(text, "<cell>", "exec"), cell.__dict__)
    return cell.__dict__


def test_a_function_of_a_file(module: types.ModuleType, tmp_path: Path) -> None:
    assert given(module.train) == InFile("loops/train.py:train", tmp_path)
    assert given(module.train, tmp_path / "loops") == InFile("train.py:train", tmp_path / "loops")
    (tmp_path / "other").mkdir()
    with pytest.raises(CodeError, match=r"train\.py is not below the folder"):
        given(module.train, tmp_path / "other")


def test_functions_that_no_file_gives(module: types.ModuleType) -> None:
    for function in (module.made(), lambda run: None, session(TRAIN)["train"]):
        assert isinstance(given(function), OfSession)
    assert given(session(TRAIN)["train"]).reference == "session.py:train"
    assert given(lambda run: None).reference == "session.py:function"


def manifest(function: Callable[..., Any]) -> Manifest:
    found = given(function)
    assert isinstance(found, OfSession)
    return found.manifest


def test_the_text_of_a_function_is_what_it_is_known_by(module: types.ModuleType) -> None:
    assert manifest(module.made()) == manifest(module.made())
    assert manifest(lambda run: None) != manifest(module.made())
    one, other = (session(f"def f(run):\n    return run.lr + {n}")["f"] for n in (1, 2))
    assert manifest(one) != manifest(other)  # nobody has kept their text


def test_a_function_that_takes_no_run(tmp_path: Path) -> None:
    content = {"train": lambda: None, "metric": {"name": "m", "direction": "minimize"},
               "parameters": {}}  # fmt: skip
    with pytest.raises(CodeError, match="is called with one argument, the run"):
        of_values("s", content, lambda: tmp_path)
    with pytest.raises(CodeError, match="network is a function of this session"):
        of_values("s", {"network": lambda problem: None, "parameters": {}}, lambda: tmp_path)


def test_what_tests_a_function(module: types.ModuleType, tmp_path: Path) -> None:
    def evaluate(run: object, part: str) -> float:
        return 0.0

    of_session = given(session(TRAIN)["train"])
    assert isinstance(of_session, OfSession)
    found = with_test(of_session, evaluate)
    assert isinstance(found, OfSession)
    assert found.evaluate is evaluate
    assert found.manifest != of_session.manifest
    assert found.manifest.files.items() > of_session.manifest.files.items()
    for wrong in (lambda run: 0.0, lambda run, part, more: 0.0):
        with pytest.raises(CodeError, match="is called with two arguments, the run and the part"):
            with_test(of_session, wrong)
    with pytest.raises(CodeError, match=r"put def evaluate\(run, part\) into loops/train\.py"):
        with_test(given(module.train), evaluate)
    with pytest.raises(CodeError, match="and there is none"):
        of_values("s", {"parameters": {}, "train": "train.py:train"}, lambda: tmp_path,
                  evaluate=evaluate)  # fmt: skip


def test_what_tests_a_function_of_a_file_is_beside_it(tmp_path: Path) -> None:
    text = TRAIN + "\ndef evaluate(run, part):\n    pass\n"
    (tmp_path / "beside.py").write_text(text)
    spec = importlib.util.spec_from_file_location("beside", tmp_path / "beside.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["beside"] = module
    try:
        spec.loader.exec_module(module)
        assert with_test(given(module.train), module.evaluate) == given(module.train)
    finally:
        del sys.modules["beside"]

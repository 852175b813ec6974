"""Functions that a study is given: which file they are in, or that they are of this session only.

One of a file is run from there, in processes of its own. One of a notebook's cell, of an
interactive session, or inside another function cannot be found from elsewhere: it runs in this
process, one trial at a time.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import CodeType
from typing import Any

from hpsearch.code import Manifest, is_reference
from hpsearch.errors import CodeError
from hpsearch.spec.own_training import SESSION, evaluation_of
from hpsearch.spec.train import TrainSpec

__all__ = ["InFile", "OfSession", "given", "is_called_with", "with_test"]

_SESSION_TEST = "session-evaluate.py"
"""What stands for a file in the name of a function that has none, and for that of its test."""


@dataclass(frozen=True)
class InFile:
    """A function that a file has."""

    reference: str
    """`FILE.py:NAME`, below the folder."""
    folder: Path


@dataclass(frozen=True)
class OfSession:
    """A function that only this process has."""

    function: Callable[..., Any]
    manifest: Manifest
    """Its own text and that of its test, in the place of files of the study's own code."""
    evaluate: Callable[..., Any] | None = None
    """What tests it: `evaluate(run, part)`."""

    @property
    def reference(self) -> str:
        """How the study calls it."""
        return f"{SESSION}:{_name(self.function)}"


def given(function: Callable[..., Any], code: Path | None = None) -> InFile | OfSession:
    """Where a function is to be found.

    Args:
        function: What a study is to run.
        code: The folder of the study's own code; None: the one that its module is imported from.

    Raises CodeError where its file is not below that folder, and for what is no function.
    """
    if not callable(function):
        raise CodeError(f"train is a {type(function).__name__}, and no function")
    file = _file(function)
    if file is None:
        return OfSession(function, Manifest({SESSION: _digest(function)}))
    path, module = file
    folder = _root(path, module) if code is None else code.absolute()
    if not path.resolve().is_relative_to(folder.resolve()):
        raise CodeError(f"{path} is not below the folder of the study's own code, {folder}")
    below = path.resolve().relative_to(folder.resolve())
    reference = f"{PurePosixPath(below)}:{function.__name__}"
    if not is_reference(reference):
        raise CodeError(f"{path} has a name that no module can have; give the file another one")
    return InFile(reference, folder)


def with_test(train: InFile | OfSession, evaluate: Callable[..., Any]) -> InFile | OfSession:
    """A training function with the function that tests what it has trained in a finish.

    Raises CodeError for one that is not called with a run and a part, and where the training
    function is of a file in which workers would not find that one.
    """
    if not is_called_with(evaluate, 2):
        raise CodeError(
            "evaluate is called with two arguments, the run and the part: def evaluate(run, part)"
        )
    if isinstance(train, OfSession):
        files = {**train.manifest.files, _SESSION_TEST: _digest(evaluate)}
        return replace(train, manifest=Manifest(files), evaluate=evaluate)
    beside = evaluation_of(TrainSpec(function=train.reference), train.folder)
    evaluation = given(evaluate, train.folder)
    if isinstance(evaluation, OfSession) or evaluation.reference != beside:
        file = train.reference.partition(":")[0]
        raise CodeError(
            f"train is a function of {file}, beside which workers look for its test: put def "
            f"evaluate(run, part) into {file}, and leave the argument out"
        )
    return train


def is_called_with(function: Callable[..., Any], count: int) -> bool:
    """Whether a function takes so many arguments and needs no others."""
    try:
        inspect.signature(function).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def _file(function: Callable[..., Any]) -> tuple[Path, str] | None:
    """The file whose import gives the function, and the module's name; None where there is none."""
    name, module = getattr(function, "__name__", ""), sys.modules.get(
        getattr(function, "__module__", None) or ""
    )  # fmt: skip
    path = Path(getattr(module, "__file__", None) or "")
    if path.suffix != ".py" or not path.is_file() or getattr(module, name, None) is not function:
        return None
    own = inspect.unwrap(function)
    filename = getattr(getattr(own, "__code__", None), "co_filename", str(path))
    if Path(filename).name != path.name and module is sys.modules.get("__main__"):
        return None  # typed in an interactive session that a script has begun
    assert module is not None
    spec = getattr(module, "__spec__", None)
    return path, spec.name if spec is not None else path.stem


def _root(path: Path, module: str) -> Path:
    """The folder that a module of that name is imported from by its file."""
    depth = module.count(".") + (path.name == "__init__.py")
    return path.absolute().parents[depth]


def _digest(function: Callable[..., Any]) -> str:
    """Of its text; where nobody has kept that, of what Python has made of it."""
    own = inspect.unwrap(function)
    try:
        content = inspect.getsource(own).encode()
    except (OSError, TypeError):
        code = getattr(own, "__code__", None)
        content = (type(own).__name__ if code is None else _compiled(code)).encode()
    return hashlib.sha256(content).hexdigest()


def _compiled(code: CodeType) -> str:
    """What it does, without the lines that it stood in."""
    constants = [
        _compiled(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {constants}"


def _name(function: Callable[..., Any]) -> str:
    name = re.sub(r"\W", "", getattr(function, "__name__", ""))
    return name if name.isidentifier() and name != "lambda" else "function"

"""What a study is, from a file or from Python's own objects: the same checked `StudySpec`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.api import frames
from hpsearch.api.functions import InFile, OfSession, given, is_called_with, with_test
from hpsearch.api.parameters import plain
from hpsearch.code import Manifest
from hpsearch.errors import CodeError, StudyFileError
from hpsearch.spec import BudgetSpec, StudySpec, load
from hpsearch.spec.checks import check
from hpsearch.spec.document import admit
from hpsearch.spec.faults import Faults
from hpsearch.spec.source import SOURCES

__all__ = ["TRIALS", "Definition", "of_file", "of_values"]

_ARRAY_FILES = (".npz", ".npy", ".safetensors")
_NAMES = ("source", "module", "path")
"""Keys of which one is a text in a data section, and none in a table in memory."""
TRIALS = 30
"""Of a search that says nothing of its budget."""
_NETWORK = "mlp"
"""The family of networks for a table, where none is named."""


@dataclass(frozen=True)
class Definition:
    """A study that has no faults, and what is needed to make it."""

    spec: StudySpec
    base: Path
    """Where relative paths of it start."""
    code: Path | None = None
    """The folder of its own code; None: it has none, or none that lies in files."""
    function: OfSession | None = None
    """Its training code, where that is a function of this process alone."""

    @property
    def hashed(self) -> Path | Manifest | None:
        """Its own code, as `submit` wants it."""
        return self.code if self.function is None else self.function.manifest


def of_file(
    path: Path, changes: Mapping[str, object] | None = None, code: Path | None = None
) -> Definition:
    """The study of a file.

    Args:
        path: The file.
        changes: What is another value than the file's, by its keys: `{"budget.trials": 20}`.
        code: The folder of its own code; None: the file's.

    Raises StudyFileError with every fault.
    """
    overrides = [f"{key}={json.dumps(plain(value))}" for key, value in (changes or {}).items()]
    spec = load(path, overrides, code)
    return Definition(spec, path.parent, _folder(spec, path.parent, code))


def of_values(
    name: str, content: Mapping[str, Any], tables: Callable[[], Path], code: Path | None = None,
    evaluate: Callable[..., Any] | None = None,
) -> Definition:  # fmt: skip
    """The study of Python's values.

    Args:
        name: Its name.
        content: Sections of a study file. `train`, `network` and `data` may be functions, and
            `data` a table or arrays; what is None is left out.
        tables: Gives the folder that tables and arrays are written to.
        code: The folder of its own code; None: the one that its functions are imported from.
        evaluate: Tests what the function `train` has trained; None: what its file has does.

    Raises StudyFileError with every fault, CodeError for a function that cannot be run, DataError
    for a table that cannot be written.
    """
    content = {key: value for key, value in content.items() if value is not None}
    home = base = Path.cwd()
    functions = {key: given(content[key], code) for key in ("train", "network", "data")
             if callable(content.get(key))}  # fmt: skip
    if evaluate is not None:
        if "train" not in functions:
            raise CodeError("evaluate tests what the function train has trained, and there is none")
        functions["train"] = with_test(functions["train"], evaluate)
    session = None
    for key, function in functions.items():
        if isinstance(function, InFile):
            home = code = function.folder  # the first one's, below which the others have to be
        elif key == "train":
            session = function
            _check_called(function)
        else:
            raise CodeError(
                f"{key} is a function of this session, which no worker can import; put it in a "
                "file, and import it from there"
            )
    content |= {
        key: {"function" if key == "train" else "module": function.reference}
        for key, function in functions.items()
    }
    if isinstance(content.get("train"), str):
        content["train"] = {"function": content["train"]}
    if isinstance(content.get("network"), str):
        content["network"] = {"family": content["network"]}
    if "data" in content:
        content["data"], base = _data(content["data"], content.pop("target", None), base, tables)
    content["budget"] = _budget(content)
    if "train" not in content and content.get("data", {}).get("source") == "table":
        content.setdefault("network", {"family": _NETWORK})
    read, faults = None if session is not None else (code or home), Faults()
    document = admit({"name": name, **plain(content)}, (), faults)
    spec = check(document, faults, f"study {name}", code=read)
    folder = None if session is not None else _folder(spec, home, code)
    return Definition(spec, base, folder, session)


def _budget(content: Mapping[str, Any]) -> dict[str, Any]:
    """What may be spent: a file has to name what is filled in here."""
    usual: dict[str, Any] = {"epochs": BudgetSpec().epochs} if "train" in content else {}
    sampler = content.get("search", {}).get("sampler")
    usual |= {} if sampler == "grid" else {"trials": TRIALS}
    return {**usual, **content.get("budget", {})}


def _folder(spec: StudySpec, base: Path, code: Path | None) -> Path | None:
    return (code or base).absolute() if spec.needs_code else None


def _check_called(function: OfSession) -> None:
    """Raise CodeError for a function that does not take one argument, the run."""
    if not is_called_with(function.function, 1):
        name = function.reference.partition(":")[2]
        raise CodeError(f"{name} is called with one argument, the run: def {name}(run)")


def _data(
    data: Any, target: str | None, base: Path, tables: Callable[[], Path]
) -> tuple[dict[str, Any], Path]:
    """The data section of what was given, and where its paths start."""
    section = _section(data)
    path = section.get("path")
    if path is not None and not isinstance(path, (str, Path)):
        file = _file(path, section.get("source"), tables)
        section["path"], base = file.name, file.parent
        section.setdefault("source", "arrays" if file.suffix == ".npz" else "table")
    if target is not None:
        section["target"] = target
    return section, base


def _section(data: Any) -> dict[str, Any]:
    if isinstance(data, (str, Path)):
        path = Path(data)
        is_source = isinstance(data, str) and not path.exists() and data in SOURCES.all()
        if is_source:
            return {"source": data}
        if path.suffix in _ARRAY_FILES:
            return {"source": "arrays", "path": str(data)}
        return {"source": "images" if path.is_dir() else "table", "path": str(data)}
    if isinstance(data, Mapping) and any(isinstance(data.get(key), str) for key in _NAMES):
        return dict(data)
    return {"path": data}


def _file(data: Any, source: object, tables: Callable[[], Path]) -> Path:
    """The file of a table or of arrays in memory."""
    if source == "arrays" or (source is None and frames.is_arrays(data)):
        return frames.arrays_file(data, tables())
    if frames.is_table(data):
        return frames.table_file(data, tables())
    raise StudyFileError(
        f"data is a {type(data).__name__}; expected a table (of pandas, polars or Arrow, or "
        "columns by name), arrays by name (X and y), a path, a data set, or a data section"
    )

"""The data section: what its keys have to agree on, and whether the data can be there."""

from __future__ import annotations

import csv
from io import TextIOWrapper
from typing import TYPE_CHECKING

from hpsearch.errors import DataError
from hpsearch.files import open_regular
from hpsearch.spec.faults import listed, nearest, show
from hpsearch.spec.header import header
from hpsearch.spec.settings import SOURCES
from hpsearch.spec.task import TASKS, usual

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from hpsearch.spec.faults import Faults
    from hpsearch.spec.models import DataSpec
    from hpsearch.spec.settings import Source

__all__ = ["check_data", "completed"]

_OWN_TEST = 0.15


def completed(data: DataSpec, faults: Faults) -> DataSpec:
    """`data` with the defaults that depend on its source; what does not agree is noted."""
    source = SOURCES[data.source]
    _check_keys(data, source, faults)
    test = data.test
    if source.own_test and test is not None:
        expected = f"no test share, as {data.source} brings its own test part"
        faults.add(("data", "test"), expected, show(test), beside=[("data", "source")])
        test = None
    elif not source.own_test:
        test = _OWN_TEST if test is None else test
    if data.validation + (test or 0) >= 1:
        expected = f"shares below 1 in all, with validation at {data.validation:g}"
        key = "test" if data.test is not None else "validation"
        faults.add(("data", key), expected, f"{test:g} for test", beside=[("data", "validation")])
    task = data.task or (usual(source.target).name if source.target else None)
    return data.model_copy(update={"test": test, "task": task})


def _check_keys(data: DataSpec, source: Source, faults: Faults) -> None:
    beside = [("data", "source")]
    for key in ("path", "target", "ignore"):
        value = getattr(data, key)
        if data.source == "csv" and key != "ignore" and value is None:
            faults.add(("data", key), "a value, as the source is csv", "nothing", beside=beside)
        elif data.source != "csv" and value:
            expected = f"no {key}, as the source is {data.source}"
            got = show(list(value) if isinstance(value, tuple) else value)
            faults.add(("data", key), expected, got, beside=beside)
    if data.root is not None and not source.folder:
        expected = f"no root, as {data.source} keeps no folder of files"
        faults.add(("data", "root"), expected, show(data.root), beside=beside)
    if source.target and data.task and TASKS[data.task].target != source.target:
        fitting = (task.name for task in TASKS.all().values() if task.target == source.target)
        expected = f"{listed(fitting)}, as the source is {data.source}"
        faults.add(("data", "task"), expected, show(data.task), beside=beside)
    for index, column in enumerate(data.ignore):
        if column == data.target:
            faults.add(("data", "ignore", index), "columns beside the target", show(column))
        elif column in data.ignore[:index]:
            faults.add(("data", "ignore", index), "each column once", f"{show(column)} again")


def check_data(data: DataSpec, base: FilePath) -> None:
    """Raise DataError where the data cannot be there; quick, and without reading it.

    A table has to exist (relative to `base`, the folder of the study file) and to have the columns
    that the study names. Data sets that torchvision downloads are not looked for, as a worker may
    have them, or fetch them, elsewhere.
    """
    if data.path is None:
        return
    path = base / data.path
    names = _names(path)
    wanted = [("target", data.target), *(("ignore", column) for column in data.ignore)]
    lines = []
    for key, column in wanted:
        if column is not None and column not in names:
            near = nearest(column, names)
            hint = f"; did you mean {show(near)}?" if near else f"; it has {listed(names)}"
            lines.append(f"{path}: no column {show(column)}, which data.{key} names{hint}")
    if lines:
        raise DataError("\n".join(lines))


def _names(path: FilePath) -> list[str]:
    """The names of the columns."""
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            line = next((line for line in file if line.strip()), "")
        names = header(line)[1]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, which data.path names") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read as a table: {error.strerror}") from None
    except (ValueError, csv.Error) as error:  # ValueError: not UTF-8
        raise DataError(f"{path}: cannot be read as a table: {error}") from None
    if not any(names):
        raise DataError(f"{path}: expected names of columns in the first line; got nothing")
    return names

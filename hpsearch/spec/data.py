"""The data section: what its keys have to agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.spec.faults import listed, show
from hpsearch.spec.settings import SOURCES
from hpsearch.spec.task import TASKS, usual

if TYPE_CHECKING:
    from hpsearch.spec.faults import Faults, Path
    from hpsearch.spec.models import DataSpec
    from hpsearch.spec.settings import Source

__all__ = ["completed"]

_OWN_TEST = 0.15


def completed(data: DataSpec, faults: Faults) -> DataSpec:
    """`data` with the defaults that depend on its source; what does not agree is noted."""
    source = SOURCES[data.source]
    _check_keys(data, source, faults)
    test = data.test
    own_test = source.own_test or data.test_path is not None
    if own_test and test is not None:
        whose = "data.test_path is the" if data.test_path else f"{data.source} brings its own"
        beside: list[Path] = [("data", "test_path" if data.test_path else "source")]
        faults.add(("data", "test"), f"no test share, as {whose} test part", show(test),
                   beside=beside)  # fmt: skip
        test = None
    elif not own_test:
        test = _OWN_TEST if test is None else test
    if data.validation + (test or 0) >= 1:
        expected = f"shares below 1 in all, with validation at {data.validation:g}"
        key = "test" if data.test is not None else "validation"
        faults.add(("data", key), expected, f"{test:g} for test", beside=[("data", "validation")])
    task = data.task or (usual(source.target).name if source.target else None)
    return data.model_copy(update={"test": test, "task": task})


_NEEDED = ("path", "target")
_OF_TABLES = (
    *_NEEDED, "ignore", "columns", "header", "names", "missing", "decimal", "thousands", "split",
    "test_path",
)  # fmt: skip


def _check_keys(data: DataSpec, source: Source, faults: Faults) -> None:
    beside = [("data", "source")]
    for key in _OF_TABLES:
        value = getattr(data, key)
        if data.source == "table" and key in _NEEDED and value is None:
            faults.add(("data", key), "a value, as the data is a table", "nothing", beside=beside)
        elif data.source != "table" and value not in (None, (), {}):
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
    _check_columns(data, faults)
    _check_split(data, faults)


def _check_split(data: DataSpec, faults: Faults) -> None:
    if data.split is None:
        return
    columns = {key: name for key, name in dict(data.split).items() if name is not None}
    if len(columns) != 1:
        got = " and ".join(columns) or "neither"
        faults.add(("data", "split"), "either by or group", got)
    for key, name in columns.items():
        if name == data.target:
            faults.add(("data", "split", key), "a column beside the target", show(name))


def _check_columns(data: DataSpec, faults: Faults) -> None:
    for index, column in enumerate(data.ignore):
        if column == data.target:
            faults.add(("data", "ignore", index), "columns beside the target", show(column))
        elif column in data.ignore[:index]:
            faults.add(("data", "ignore", index), "each column once", f"{show(column)} again")
    for index, name in enumerate(data.names):
        if name in data.names[:index]:
            faults.add(("data", "names", index), "each name once", f"{show(name)} again")
    for name, own in data.columns.items():
        decimal = own.decimal or data.decimal
        thousands = data.thousands if own.thousands is None else own.thousands
        if decimal and decimal == thousands:
            expected = "separators of decimals and of thousands that differ"
            faults.add(("data", "columns", name), expected, f"{show(decimal)} for both")
        if name == data.target and own.kind not in (None, "number", "category"):
            expected = "number or category, as it is the target"
            faults.add(("data", "columns", name, "kind"), expected, show(own.kind))
    if data.decimal and data.decimal == data.thousands:
        expected = "another one than data.decimal"
        faults.add(("data", "thousands"), expected, show(data.thousands))

"""What the classes of a study are in its data: texts, whole numbers or booleans.

A network knows its classes by name. Predictions are compared with the target, which may hold
numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hpsearch.sources.arrays import ArraysSpec
from hpsearch.sources.table.section import TableSpec
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hpsearch.sources.split import DataSettings

__all__ = ["Labels", "classes_as", "labels_of", "labels_of_names"]

Labels = Literal["integer", "boolean"]


def classes_as(labels: Labels | None, names: Sequence[str]) -> tuple[str, ...] | tuple[int, ...]:
    """The classes of these names as the data has them; None: they are texts."""
    if labels == "integer":
        return tuple(map(int, names))
    if labels == "boolean":
        return tuple(name.casefold() == "true" for name in names)
    return tuple(names)


def labels_of(settings: DataSettings, task: str, names: Sequence[str]) -> Labels | None:
    """What the classes are in the target column of a table, or in the array of the targets; None
    where they are texts.

    A file that knows types says so. In one of texts, such as CSV, whole numbers are numbers, and
    true and false booleans.

    Args:
        settings: Where the data is.
        task: The name of the task.
        names: Those of the classes.
    """
    labels = labels_of_names(names)
    if labels is None or TASKS[task].target != "classes":
        return None
    section = settings.section
    if isinstance(section, TableSpec):
        texts = _texts_in_table(settings.base / section.path, section.target)
    elif isinstance(section, ArraysSpec):
        texts = _texts_in_arrays(settings.base / section.path, section.y)
    else:
        texts = True
    return None if texts else labels


def labels_of_names(names: Sequence[str]) -> Labels | None:
    """What classes of these names can be beside texts."""
    if {name.casefold() for name in names} == {"true", "false"}:
        return "boolean"
    whole = all(name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names)
    return "integer" if names and whole else None


def _texts_in_table(path: Path, target: str | None) -> bool:
    """Whether the file knows types, and its column holds texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hpsearch.sources.table.filekind import load

    content = load(path, head=True)
    if content.kind not in ("parquet", "feather"):
        return False
    file = pa.BufferReader(content.data)
    schema = pq.read_schema(file) if content.kind == "parquet" else pa.ipc.open_file(file).schema
    if target not in schema.names:
        return True
    kind = schema.field(target).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    numbers = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal
    return not any(is_kind(kind) for is_kind in (pa.types.is_boolean, *numbers))


def _texts_in_arrays(path: Path, target: str) -> bool:
    from hpsearch.sources.arrays.files import opened

    return opened(path, target).dtype.kind not in "buif"

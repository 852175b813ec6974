"""Whether the classes that a study calls normal and strange are in its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.errors import DataError
from hpsearch.spec.faults import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.spec.source import DataSpec

__all__ = ["check_kinds"]


def check_kinds(section: DataSpec, classes: Sequence[str]) -> None:
    """DataError where the section names a class that is not among `classes`, the names of all that
    the data has, or where no class is strange."""
    if not section.normal:
        return
    if not classes:
        raise DataError("data.normal names classes, and the target is a number in this data")
    for key in ("normal", "strange"):
        for name in getattr(section, key):
            if name not in classes:
                raise DataError(_unknown(key, name, classes))
    if {*classes} <= {*section.normal}:
        raise DataError("data.normal names every class; leave one out, or leave the key out where "
                        "all rows are normal")  # fmt: skip


def _unknown(key: str, name: str, classes: Sequence[str]) -> str:
    meant = nearest(name, classes)
    hint = f"; did you mean {meant}?" if meant else ""
    listed = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
    return f"data.{key}: there is no class {name!r}; the classes are {listed}{hint}"

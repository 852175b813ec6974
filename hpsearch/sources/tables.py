"""Tables: CSV files with a name a column and a row a line."""

from __future__ import annotations

import difflib
import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch import files
from hpsearch.errors import DataError
from hpsearch.sources.csvfile import Column, read_columns
from hpsearch.sources.inputs import TableInputs, fit_table
from hpsearch.sources.raw import Raw
from hpsearch.spec.task import TASKS, usual

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hpsearch.sources.inputs import Values
    from hpsearch.sources.raw import Rows
    from hpsearch.spec.task import Target

__all__ = ["known_targets", "load_table", "values_of"]

_NUMBERING = "whole numbers that rise from row to row; data.ignore leaves out what is an id"

_FEW_CLASSES = 20
"""A whole-number target with more distinct values than this is taken as a quantity."""


def load_table(path: Path, target: str, task: str | None, ignore: Collection[str]) -> Raw:
    """A CSV file as a data set. DataError for anything that is not as it should be.

    The delimiter is the one of `, ; tab |` that cuts the first line into most names. Where it is
    not the comma, numbers may have a decimal comma. Numbers with gaps get the median of the
    training rows, texts the most frequent one; numbers are standardised and texts become one
    input a value, all learned from the training rows.
    """
    content = _bytes(path)
    columns = read_columns(path, content)
    _check_names(str(path), columns, [target, *ignore])
    columns, notes = _with_target(columns, target)
    target_column = columns.pop(target)
    if len(target_column.texts) < 5:
        raise DataError(f"{path} has {len(target_column.texts)} rows with a target; give 5 or more")
    task = task or usual(_kind(target_column)).name
    targets, classes = _targets(path, target_column, task)
    used = [column for name, column in columns.items() if name not in ignore]
    inputs, more = _inputs(used)
    if not inputs:
        raise DataError(f"{path} has no column to learn from besides the target `{target}`")
    texts = [column.name for column in inputs if column.not_a_number is not None]
    values = {column.name: _values(column, texts=column.name in texts) for column in inputs}

    def take(rows: Rows) -> Values:
        return {name: value[rows] for name, value in values.items()}

    def fit(train: Rows) -> TableInputs:
        return fit_table(take(train), texts)

    fingerprint = hashlib.sha256(content).hexdigest()
    return Raw(task, targets, classes, take, fit, fingerprint, notes=(*notes, *more))


def _bytes(path: Path) -> bytes:
    try:
        return files.content(path)
    except OSError as error:
        raise DataError(
            f"cannot read the table {path}: {error.strerror}. A relative data.path starts at the "
            f"study file's folder"
        ) from error


def _check_names(source: str, columns: Collection[str], wanted: Collection[str]) -> None:
    missing = [name for name in wanted if name not in columns]
    if not missing:
        return
    hint = "."
    if len(missing) == 1:
        near = difflib.get_close_matches(missing[0], [c for c in columns if c not in wanted], 1)
        hint = f"; did you mean `{near[0]}`?" if near else hint
    names = ", ".join(f"`{name}`" for name in missing)
    columns_ = "column" if len(missing) == 1 else "columns"
    raise DataError(f"{source} has no {columns_} {names}{hint} It has: {', '.join(columns)}")


def _with_target(
    columns: dict[str, Column], target: str
) -> tuple[dict[str, Column], tuple[str, ...]]:
    """Only the rows in which the target is there."""
    dropped = columns[target].missing
    if not dropped:
        return columns, ()
    there = [bool(text) for text in columns[target].texts]
    kept = {name: column.where(there) for name, column in columns.items()}
    return kept, (f"{_count(dropped, 'row')} without a value of `{target}` left out",)


def _kind(target: Column) -> Target:
    """Texts, and whole numbers of which there are few and each often, are classes."""
    if target.not_a_number is not None:
        return "classes"
    numbers = target.numbers()
    distinct = len(np.unique(numbers))
    few = distinct <= _FEW_CLASSES and distinct * 5 <= len(numbers)
    return "classes" if few and bool((numbers == numbers.round()).all()) else "numbers"


def _targets(path: Path, target: Column, task: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """int64 class indices and the classes' names, or float64 numbers."""
    if TASKS[task].target == "numbers":
        return known_targets(str(path), target, ()), ()
    labels = [_label(target, text) for text in target.texts]
    # Numbers by size, then texts by the alphabet.
    classes = sorted({*labels}, key=lambda label: (math.isnan(v := target.number(label)), v, label))
    if len(classes) == 1:
        raise DataError(f"{path}: `{target.name}` is `{classes[0]}` in every row; need two classes")
    if target.tells_nothing:
        raise DataError(
            f"{path}: `{target.name}` has {len(classes)} different values in {len(labels)} rows, "
            f"such as `{target.not_a_number or classes[0]}`: too many for classes"
        )
    return known_targets(str(path), target, tuple(classes)), tuple(classes)


def known_targets(source: str, target: Column, classes: tuple[str, ...]) -> NDArray[Any]:
    """int64 indices of these classes, or float64 numbers where there are none.

    Raises DataError where a value is missing or neither.
    """
    if not classes:
        if target.not_a_number is not None:
            raise DataError(
                f"{source}: regression needs numbers, but `{target.name}` has "
                f"`{target.not_a_number}`"
            )
        return target.numbers()
    index = {name: number for number, name in enumerate(classes)}
    labels = [_label(target, text) for text in target.texts]
    if odd := {*labels} - {*index}:
        raise DataError(
            f"{source}: `{target.name}` has `{min(odd)}`, and the classes are {', '.join(classes)}"
        )
    return np.array([index[label] for label in labels], dtype=np.int64)


def values_of(source: str, columns: Mapping[str, Column], wanted: TableInputs) -> Values:
    """What `wanted` takes of a table; others of its columns are nothing to it.

    Raises DataError where a column is missing, or a text stands among numbers.
    """
    _check_names(source, columns, wanted.names)
    for column in (columns[number.name] for number in wanted.numbers):
        if column.not_a_number is not None:
            raise DataError(
                f"{source}: `{column.name}` is a column of numbers and has `{column.not_a_number}`"
            )
    numbers = {c.name: _values(columns[c.name], texts=False) for c in wanted.numbers}
    return numbers | {c.name: _values(columns[c.name], texts=True) for c in wanted.categories}


def _label(target: Column, text: str) -> str:
    """1 and 1.0 are the same class."""
    number = target.number(text)
    return str(int(number)) if number.is_integer() else text


def _inputs(columns: list[Column]) -> tuple[list[Column], tuple[str, ...]]:
    """The columns worth learning from, and what is done about the others and about gaps."""
    inputs, notes = [], []
    for column in columns:
        texts = column.not_a_number is not None
        if column.missing == len(column.texts):
            notes.append(f"column `{column.name}` left out: it is empty")
        elif texts and column.tells_nothing:
            distinct = len({*column.texts} - {""})
            notes.append(
                f"column `{column.name}` left out: {distinct} different texts in "
                f"{len(column.texts)} rows"
            )
        else:
            inputs.append(column)
            if column.missing:
                filling = "most frequent value" if texts else "median"
                notes.append(
                    f"{_count(column.missing, 'missing value')} in column `{column.name}` filled "
                    f"with the {filling} of the training rows"
                )
    return inputs, (*(f"column `{c.name}`: {_NUMBERING}" for c in inputs if c.counts), *notes)


def _values(column: Column, *, texts: bool) -> NDArray[Any]:
    """A column as `TableInputs` takes it."""
    return np.array(column.texts, dtype=object) if texts else column.numbers()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

"""The data set that hpsearch 0.1 made of a CSV file, for its studies that have ended."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch import files
from hpsearch.errors import DataError, line
from hpsearch.sources.csv.inputs import (
    Category,
    Column,
    Number,
    TableInputs1,
    Values,
    read_columns,
)
from hpsearch.sources.raw import Raw
from hpsearch.sources.scaling import deviations
from hpsearch.spec.task import TASKS, usual

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hpsearch.sources.csv import CsvSpec
    from hpsearch.sources.raw import Rows
    from hpsearch.spec.task import Target

__all__ = ["read"]

_MANY = 20
"""Texts, and classes of whole numbers, with no more distinct values than this are few."""


def read(section: CsvSpec, base: Path, decided: object = None) -> Raw:
    """A CSV file as a data set, by the rules that hpsearch 0.1 had for tables.

    DataError where the file is missing, or is not the one that could be read then.
    """
    path, target, ignore = base / section.path, section.target, section.ignore
    try:
        content = files.content(path)
    except OSError as error:
        raise DataError(f"cannot read the table {path}: {line(error)}") from error
    columns = read_columns(path, content)
    if target not in columns:
        raise DataError(f"{path} has no column `{target}`")
    is_given = [bool(text) for text in columns[target].texts]
    dropped = is_given.count(False)
    columns = {name: column.where(is_given) for name, column in columns.items()}
    goal = columns.pop(target)
    task = section.task or usual(_kind(goal)).name
    targets, classes = _targets(goal, task)
    used, notes = _used([column for name, column in columns.items() if name not in ignore])
    if dropped:
        notes.insert(0, f"{_count(dropped, 'row')} without a value of `{target}` left out")
    texts = [column.name for column in used if column.not_a_number is not None]
    values = {column.name: column.values(texts=column.name in texts) for column in used}

    def take(rows: Rows) -> Values:
        return {name: value[rows] for name, value in values.items()}

    def fit(train: Rows) -> tuple[TableInputs1, tuple[str, ...]]:
        rows = take(train)
        numbers = tuple(_number(name, rows[name]) for name in rows if name not in texts)
        categories = tuple(_category(name, rows[name]) for name in texts)
        return TableInputs1(numbers, categories, target=target, classes=classes), ()

    return Raw(
        task=task,
        targets=targets,
        classes=classes,
        take=take,
        fit=fit,
        fingerprint=hashlib.sha256(content).hexdigest(),
        notes=tuple(notes),
    )


def _kind(target: Column) -> Target:
    """Texts, and whole numbers of which there are few and each often, are classes."""
    if target.not_a_number is not None:
        return "classes"
    numbers = target.values(texts=False)
    distinct = len(np.unique(numbers))
    few = distinct <= _MANY and distinct * 5 <= len(numbers)
    return "classes" if few and bool((numbers == numbers.round()).all()) else "numbers"


def _targets(target: Column, task: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """int64 class indices and the classes' names, or float64 numbers."""
    if TASKS[task].target == "numbers":
        return target.values(texts=False), ()
    labels = [target.label(text) for text in target.texts]
    # Numbers by size, then texts by the alphabet.
    classes = sorted({*labels}, key=lambda label: (math.isnan(v := target.number(label)), v, label))
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64), tuple(classes)


def _used(columns: Sequence[Column]) -> tuple[list[Column], list[str]]:
    """The columns worth learning from, and what is done about the others and about gaps."""
    used, counting, notes = list[Column](), list[str](), list[str]()
    for column in columns:
        texts = column.not_a_number is not None
        distinct = len({*column.texts} - {""})
        if column.missing == len(column.texts):
            notes.append(f"column `{column.name}` left out: it is empty")
        elif texts and distinct > _MANY and distinct > len(column.texts) / 2:
            notes.append(
                f"column `{column.name}` left out: {distinct} different texts in "
                f"{len(column.texts)} rows"
            )
        else:
            used.append(column)
            if _counts(column):
                counting.append(
                    f"column `{column.name}`: whole numbers that rise from row to row; data.ignore "
                    "leaves out what is an id"
                )
            if column.missing:
                filling = "most frequent value" if texts else "median"
                notes.append(
                    f"{_count(column.missing, 'missing value')} in column `{column.name}` filled "
                    f"with the {filling} of the training rows"
                )
    return used, [*counting, *notes]


def _counts(column: Column) -> bool:
    numbers = column.values(texts=False)
    return bool((numbers == numbers.round()).all() and (np.diff(numbers) > 0).all())


def _number(name: str, values_N: NDArray[Any]) -> Number:
    """What the training rows teach of a column; one without a single value has the median 0."""
    present = values_N[~np.isnan(values_N)]
    median = float(np.median(present)) if len(present) else 0.0
    filled_N = np.where(np.isnan(values_N), median, values_N)
    mean = float(filled_N.mean())
    return Number(name, median, mean, float(deviations(mean, filled_N.var(), len(filled_N))))


def _category(name: str, texts_N: NDArray[Any]) -> Category:
    """What the training rows teach of a column; one without a single text has '' alone."""
    counts = Counter(text for text in texts_N if text)
    fill = min(counts, key=lambda text: (-counts[text], text), default="")
    return Category(name, tuple(sorted({text or fill for text in texts_N})), fill)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

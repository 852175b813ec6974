"""Tables as hpsearch 0.1 read them, and the inputs that it made of them.

Studies of that version that have ended keep to these rules, and so do the networks that they handed
over; nothing new is searched by them.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpsearch import files
from hpsearch.errors import DataError, line
from hpsearch.sources.inputs import (
    TABLE,
    Deviation,
    Finite,
    Floats,
    Frame,
    Given,
    Known,
    mappings,
    only_file,
)

__all__ = ["Category", "Column", "Number", "TableInputs1", "Values", "read_columns", "values_of"]

Values = Mapping[str, NDArray[Any]]
"""Columns of a table by name, (N,) each: float64 with nan where a number is missing, or texts with
'' where one is."""

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Column:
    """One column as text; a missing value is ''."""

    name: str
    texts: list[str]
    decimal: str = "."

    def number(self, text: str) -> float:
        """The number that a text is; nan for one that is no finite number."""
        try:
            value = float(text.replace(self.decimal, "."))
        except ValueError:
            return math.nan
        return value if math.isfinite(value) else math.nan

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return self.texts.count("")

    @property
    def not_a_number(self) -> str | None:
        """The first text that is no finite number."""
        return next((t for t in self.texts if t and math.isnan(self.number(t))), None)

    def where(self, wanted: Sequence[bool]) -> Column:
        """The same column of some rows."""
        return Column(self.name, list(compress(self.texts, wanted)), self.decimal)

    def values(self, *, texts: bool) -> NDArray[Any]:
        """The column (N,) as `Values` has it."""
        if texts:
            return np.array(self.texts, dtype=object)
        return np.array([self.number(text) for text in self.texts])

    def label(self, text: str) -> str:
        """The class that a text names: 1 and 1.0 are the same."""
        number = self.number(text)
        return str(int(number)) if number.is_integer() else text


@dataclass(frozen=True)
class Number:
    """A column of numbers: one input."""

    name: str
    median: Finite
    """Stands where a value is missing."""
    mean: Finite
    deviation: Deviation
    """The standard one; 1 where all values are the same."""


@dataclass(frozen=True)
class Category:
    """A column of texts: one input a value, 1 where the row has it and else 0."""

    name: str
    values: tuple[str, ...]
    """Those of the training rows, in the inputs' order; a row with another one has 0 in all."""
    most_frequent: str
    """Stands where a value is missing."""

    def encode(self, texts_N: NDArray[Any]) -> Floats:
        """The inputs (N, values) of N texts."""
        places = {value: place for place, value in enumerate(self.values)}
        place_N = [places.get(text or self.most_frequent, -1) for text in texts_N]
        return np.equal.outer(place_N, np.arange(len(places))).astype(np.float32)


@dataclass(frozen=True)
class TableInputs1:
    """The inputs made of a table's columns: numbers first, then texts."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    kind: Literal["rows"] = "rows"
    target: str | None = None
    """The target's column, by which predictions are scored."""
    classes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's inputs: (D,)."""
        return (len(self.numbers) + sum(len(column.values) for column in self.categories),)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        numbers, texts = ((c.name for c in columns) for columns in (self.numbers, self.categories))
        return (*numbers, *texts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table to predict has to have."""
        return self.names

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        for name in self.names:
            if self.names.count(name) > 1:
                return f"the column {name!r} is there twice"
        for column in self.categories:
            if len({*column.values}) < len(column.values):
                return f"a value of the column {column.name!r} is there twice"
            if column.most_frequent not in column.values:
                return f"the most frequent value of {column.name!r} is none of its values"
        return None

    def __call__(self, values: Values) -> Floats:
        """The inputs (N, D), standardised; what is beyond float32 becomes infinite."""
        parts = [column.encode(values[column.name]) for column in self.categories]
        if self.numbers:
            medians, means, deviations = (
                np.array([getattr(column, of) for column in self.numbers])
                for of in ("median", "mean", "deviation")
            )
            numbers_ND = np.stack([values[column.name] for column in self.numbers], axis=1)
            filled_ND = np.where(np.isnan(numbers_ND), medians, numbers_ND)
            parts.insert(0, ((filled_ND - means) / deviations).astype(np.float32))
        return np.concatenate(parts, axis=1)

    def of_files(self, files_: Sequence[Path]) -> Given:
        """The inputs of a CSV file, a row each; DataError where it does not have what they need."""
        path = only_file(files_)
        try:
            content = files.content(path, stream=True)
        except OSError as error:
            raise DataError(f"cannot read the table {path}: {line(error)}") from error
        return self._given(str(path), read_columns(path, content, every=True))

    def of_rows(self, rows: Any) -> Given:
        """The same of a DataFrame, or of one mapping a row."""
        if isinstance(rows, Frame):
            content = rows.to_csv(index=False).encode(errors="backslashreplace")
            return self._given(TABLE, read_columns(Path(TABLE), content, every=True))
        names, texts = mappings(rows)
        cells = zip(*texts, strict=True)
        return self._given(
            TABLE,
            {n: Column(n, [*map(_cell, column)]) for n, column in zip(names, cells, strict=True)},
        )

    def _given(self, source: str, columns: Mapping[str, Column]) -> Given:
        if not any(column.texts for column in columns.values()):
            raise DataError(f"{source} has no rows")
        values = values_of(source, columns, self)
        target = columns.get(self.target or "")
        scored, unscored = None, ""
        if target is not None and target.missing < len(target.texts):
            try:
                scored = _known(source, target, self.classes)
            except DataError as error:
                unscored = str(error)
        return Given(self(values), _unseen(values, self), scored, unscored, source)


def values_of(source: str, columns: Mapping[str, Column], wanted: TableInputs1) -> Values:
    """What `wanted` takes of a table; others of its columns are nothing to it.

    Raises DataError where a column is missing, or a text stands among numbers.
    """
    missing = ", ".join(f"`{name}`" for name in wanted.names if name not in columns)
    if missing:
        noun = "columns" if "," in missing else "column"
        raise DataError(f"{source} has no {noun} {missing}. It has: {', '.join(columns)}")
    for column in (columns[number.name] for number in wanted.numbers):
        if column.not_a_number is not None:
            raise DataError(
                f"{source}: `{column.name}` is a column of numbers and has `{column.not_a_number}`"
            )
    numbers = {c.name: columns[c.name].values(texts=False) for c in wanted.numbers}
    return numbers | {c.name: columns[c.name].values(texts=True) for c in wanted.categories}


def _known(source: str, target: Column, classes: tuple[str, ...]) -> Known:
    is_given = [bool(text) for text in target.texts]
    target = target.where(is_given)
    rows = np.flatnonzero(is_given)
    if not classes:
        if target.not_a_number is not None:
            raise DataError(
                f"{source}: regression needs numbers, but `{target.name}` has "
                f"`{target.not_a_number}`"
            )
        return Known(target.values(texts=False), rows)
    index = {name: number for number, name in enumerate(classes)}
    labels = [target.label(text) for text in target.texts]
    if odd := {*labels} - {*index}:
        raise DataError(
            f"{source}: `{target.name}` has `{min(odd)}`, and the classes are {', '.join(classes)}"
        )
    return Known(np.array([index[label] for label in labels], dtype=np.int64), rows)


def _unseen(values: Values, wanted: TableInputs1) -> tuple[str, ...]:
    """What is said of values that the training rows do not have."""
    notes = []
    for column in wanted.categories:
        seen = {"", *column.values}
        odd = [text for text in values[column.name] if text not in seen]
        if odd:
            notes.append(
                f"column `{column.name}`: values that training has not seen count as none of "
                f"those it has: {len(odd)} of {len(values[column.name])}, such as `{odd[0]}`"
            )
    return tuple(notes)


def read_columns(path: Path, content: bytes, *, every: bool = False) -> dict[str, Column]:
    """All columns of a CSV file by name, their texts stripped and missing values emptied.

    With `every` row, also one without any value: of delimiters alone, and in a table of one column
    a blank line. Another blank line is no row.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no table in UTF-8: byte {error.start} is none; save it as CSV in UTF-8"
        ) from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda d: len(_cut(first, d)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row and len(row) != len(rows[0] if rows else row):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} values, but the first line names "
                    f"{len(rows[0])} columns"
                )
            counts = every and rows and (row or len(rows[0]) == 1)
            if counts or any(value.strip() for value in row):
                rows.append(row or [""])
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    names = [name.strip() for name in rows[0]] if rows else []
    decimal = "." if delimiter == "," else ","
    cells = [[_cell(value) for value in row] for row in rows[1:]]
    texts = zip(*cells, strict=True) if cells else [()] * len(names)
    return {n: Column(n, list(t), decimal) for n, t in zip(names, texts, strict=True)}


def _cut(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # without this delimiter, a line of many names is one field, and too long
        return []


def _cell(text: str) -> str:
    """A value without blanks around it; a missing one is ''."""
    text = text.strip()
    return "" if text.lower() in _MISSING else text

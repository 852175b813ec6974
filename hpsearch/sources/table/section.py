"""The section of a study file whose data is a table."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, Strict
from pydantic_core import PydanticCustomError

from hpsearch.sources.table.reading import ReadOptions
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.spec.faults import show
from hpsearch.spec.keys import Positive, Section, Text, one_of
from hpsearch.spec.problem import Kind
from hpsearch.spec.source import DataSpec, Disagreement
from hpsearch.spec.task import TASKS

__all__ = ["ColumnSpec", "SplitSpec", "TableSpec"]

_THOUSANDS = ("", ",", ".", " ", "'")


def _thousands(value: object) -> object:
    if value in _THOUSANDS:
        return value
    expected = 'a comma, a point, a blank, an apostrophe, or "" for none'
    raise PydanticCustomError("expected", "a separator", {"expected": expected})


ColumnKind = Annotated[str, one_of(("number", "category", "date", "text", "ignore"))]
Decimal = Annotated[str, one_of((".", ","))]
Thousands = Annotated[str, PlainValidator(_thousands, json_schema_input_type=Literal[*_THOUSANDS])]
Texts = Annotated[tuple[str, ...], Strict(False)]
Names = Annotated[tuple[Text, ...], Strict(False)]


class ColumnSpec(Section):
    """What is said of one column of a table. What is left out is decided from its cells."""

    kind: ColumnKind | None = None
    """What it is: `number`, `category`, `date`, `text`, or `ignore` to leave it out."""
    decimal: Decimal | None = None
    """Its decimal separator."""
    thousands: Thousands | None = None
    """Its separator of thousands; `""` for none."""
    missing: Texts | None = None
    """Texts that are missing values, beside an empty cell."""
    dayfirst: bool | None = None
    """Whether the day stands before the month in its dates."""


class SplitSpec(Section):
    """How the rows of a table are split, where that is not at random."""

    by: Text | None = None
    """A column of dates or numbers: later rows are validated on, the latest are the test part."""
    group: Text | None = None
    """A column of names: rows that share one are never in two parts. It is no input."""


class TableSpec(DataSpec):
    """A table: its file, its target, and what hpsearch should know of its columns."""

    path: Text
    """The table's file, relative to the study file."""
    target: Text | None = None
    """The target column, which the network learns to predict. Required unless `task` is anomaly,
    where it names the rows that are normal."""
    text: Text | None = None
    """A column of sentences, which a network of the family text reads word by word; it gets no
    other column."""
    text_words: Positive = 10_000
    """Number of words that have an embedding of their own: the most frequent of the training rows.
    All others share one."""
    text_length: Positive = 200
    """Most words of a row that are read."""
    ignore: Names = ()
    """Columns that the network does not get."""
    columns: dict[Text, ColumnSpec] = Field(default_factory=dict)
    """What a column is and how its cells are written, by column, to overrule what hpsearch
    finds."""
    header: bool | None = None
    """Whether the first line names the columns; by default found out from the file."""
    names: Names = ()
    """Names of all columns, for a file that has none."""
    missing: Texts = ()
    """Texts that mean a missing value, in every column; an empty cell always does."""
    decimal: Decimal | None = None
    """The decimal separator of all columns; by default found out from their cells."""
    thousands: Thousands | None = None
    """The separator of thousands of all columns, `""` for none; by default found out from their
    cells."""
    split: SplitSpec | None = None
    """How the rows are split: `{by: COLUMN}` or `{group: COLUMN}`; by default at random, each class
    in equal shares."""
    test_path: Text | None = None
    """Another file with the same columns, which is the test part."""

    @property
    def own_test(self) -> str:
        """That there is a test part of its own, where another file is it."""
        return "data.test_path is the test part" if self.test_path else ""

    @property
    def target_name(self) -> str | None:
        """The target column."""
        return self.target

    @property
    def reading(self) -> ReadOptions:
        """How the file is read."""
        return ReadOptions(self.header, self.names)

    @property
    def by(self) -> str | None:
        """The column that puts rows in order."""
        return self.split.by if self.split else None

    @property
    def group(self) -> str | None:
        """The column of the groups that are never split."""
        return self.split.group if self.split else None

    @property
    def overrides(self) -> Overrides:
        """What is said of columns. That of the groups is no input."""
        columns = {name: Override(**dict(column)) for name, column in self.columns.items()}
        ignore = (*self.ignore, self.group) if self.group else self.ignore
        return Overrides(
            columns, ignore, self.missing, self.decimal, self.thousands, self.text,
            self.text_length,
        )  # fmt: skip

    @property
    def kind(self) -> Kind:
        """What one input is."""
        return "rows" if self.text is None else "tokens"

    def disagreements(self) -> Iterator[Disagreement]:
        """What is right by itself and wrong together."""
        own = self.task is not None and TASKS[self.task].target == "inputs"
        if self.target is None and (self.normal or not own):
            classes = ": the column of the classes that data.normal names" if own else ""
            yield ("target",), f"a value{classes}", "nothing"
        for index, column in enumerate(self.ignore):
            if column == self.target:
                yield ("ignore", index), "columns beside the target", show(column)
            elif column in self.ignore[:index]:
                yield ("ignore", index), "each column once", f"{show(column)} again"
        for index, name in enumerate(self.names):
            if name in self.names[:index]:
                yield ("names", index), "each name once", f"{show(name)} again"
        yield from self._disagreements_of_columns()
        yield from self._disagreements_of_text()
        if self.decimal and self.decimal == self.thousands:
            yield ("thousands",), "another one than data.decimal", show(self.thousands)
        if self.split is not None:
            yield from self._disagreements_of_split(self.split)

    def _disagreements_of_columns(self) -> Iterator[Disagreement]:
        for name, own in self.columns.items():
            decimal = own.decimal or self.decimal
            thousands = self.thousands if own.thousands is None else own.thousands
            if decimal and decimal == thousands:
                expected = "separators of decimals and of thousands that differ"
                yield ("columns", name), expected, f"{show(decimal)} for both"
            if name == self.target and own.kind not in (None, "number", "category"):
                expected = "number or category, as it is the target"
                yield ("columns", name, "kind"), expected, show(own.kind)

    def _disagreements_of_split(self, split: SplitSpec) -> Iterator[Disagreement]:
        columns = {key: name for key, name in dict(split).items() if name is not None}
        if len(columns) != 1:
            yield ("split",), "either by or group", " and ".join(columns) or "neither"
        for key, name in columns.items():
            if name == self.target:
                yield ("split", key), "a column beside the target", show(name)

    def _disagreements_of_text(self) -> Iterator[Disagreement]:
        if self.text is None:
            for key in ("text_words", "text_length"):
                if key in self.model_fields_set:
                    yield (key,), "data.text beside it, the column that is read", "none"
        elif self.text == self.target:
            yield ("text",), "a column beside the target", show(self.text)
        elif self.text in (*self.ignore, self.group):
            yield ("text",), "a column that is not left out", show(self.text)
        elif self.columns.get(self.text, ColumnSpec()).kind not in (None, "text"):
            kind = self.columns[self.text].kind
            yield ("columns", self.text, "kind"), "text, as data.text names it", show(kind)

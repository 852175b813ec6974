"""Texts as inputs: what is learnt from training rows, and how it is applied.

Each encoding is plain values. `fill` writes the inputs of N cells and says what training had not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hpsearch.sources.table import frozen
from hpsearch.sources.table.column import Column
from hpsearch.sources.table.frozen import Rows
from hpsearch.sources.table.gaps import enough_gaps, new_gaps, with_gaps
from hpsearch.sources.table.rules import MOST_INPUTS, frequent, shown

if TYPE_CHECKING:
    from hpsearch.sources.table.reading import Table

__all__ = ["BooleanInput", "CategoryInput", "PresenceInput", "fit_boolean", "fit_category"]

Floats = NDArray[np.float32]

_MOST_REMEMBERED = 1000
"""Rare values that are handed over with a network, so that new ones can be told from them."""


@dataclass(frozen=True)
class BooleanInput:
    """One of two texts as 0 or 1, a half where it is missing, and whether it was."""

    column: Column
    gaps: bool
    complete: bool
    kind: Literal["boolean"] = "boolean"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return with_gaps(self.column, (f"{self.column.name} = {self.column.values[1]}",), self.gaps)

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, (N, inputs), and say what training had not."""
        texts = frozen.coded(self.column, table, rows)
        places = _places(texts.texts, self.column.values)
        half = np.where(places < 0, 0.5, places).astype(np.float32)
        out_ND[:, 0] = texts.spread(half, 0.5)
        missing_N = texts.codes < 0
        if self.gaps:
            out_ND[:, -1] = missing_N
        instead = "they count as half of each value"
        gaps = new_gaps(self.column, missing_N, self.complete, instead)
        return [*gaps, *_unseen(self.column, texts, places, instead)]


@dataclass(frozen=True)
class CategoryInput:
    """An input a frequent value, one for missing cells and one that all rare values share."""

    column: Column
    values: tuple[str, ...]
    """Those with an input of their own, the most frequent first."""
    missing: bool
    """Whether missing cells have an input."""
    rare: bool
    """Whether other values, also unseen ones, have one; else they have 0 in all."""
    seen: tuple[str, ...] | None
    """Rare values of the training rows; None where there are more than 1,000 of them."""
    complete: bool
    """Whether no training row lacks a value."""
    kind: Literal["category"] = "category"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        name = self.column.name
        own = tuple(f"{name} = {value}" for value in self.values)
        return with_gaps(
            self.column, (*own, *((f"{name} rare",) if self.rare else ())), self.missing
        )

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, (N, inputs), and say what training had not."""
        texts = frozen.coded(self.column, table, rows)
        places = _places(texts.texts, self.values)
        width, nowhere = out_ND.shape[1], np.full(out_ND.shape[1], 0, np.float32)
        one_hot = np.vstack([np.eye(width, dtype=np.float32), nowhere])
        rare = len(self.values) if self.rare else -1
        absent = width - 1 if self.missing else rare
        out_ND[:] = one_hot[texts.spread(np.where(places < 0, rare, places), absent)]
        missing_N = texts.codes < 0
        instead = "they count as rare" if self.rare else "they count as none of its values"
        gaps = new_gaps(self.column, missing_N, self.complete, instead)
        if self.seen is None:
            return gaps
        places = np.maximum(places, _places(texts.texts, self.seen))
        return [*gaps, *_unseen(self.column, texts, places, instead)]


@dataclass(frozen=True)
class PresenceInput:
    """Whether there is a value, of a column that has only one."""

    column: Column
    kind: Literal["presence"] = "presence"

    @property
    def names(self) -> tuple[str, ...]:
        """The name of its input."""
        return (f"{self.column.name} missing",)

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the input of rows of a table, (N, 1)."""
        out_ND[:, 0] = frozen.coded(self.column, table, rows).codes < 0
        return []


def fit_boolean(column: Column, texts: frozen.Coded) -> BooleanInput:
    """What training rows teach about a column of two texts."""
    missing_N = texts.codes < 0
    return BooleanInput(column, enough_gaps(missing_N), complete=not missing_N.any())


def fit_category(column: Column, texts: frozen.Coded) -> CategoryInput | None:
    """What training rows teach about a category; None where no value is worth an input."""
    codes = texts.codes
    counts = np.bincount(codes[codes >= 0], minlength=len(texts.texts))
    gaps = int((codes < 0).sum())
    least = frequent(column.distinct, len(codes))
    # By count and, where counts are the same, by text: the order of rows decides nothing.
    common = np.flatnonzero(counts >= least)
    names = np.array(texts.texts.take(pa.array(common)).to_pylist(), dtype=object)
    common = common[np.lexsort((names, -counts[common]))] if len(common) else common
    missing = gaps >= least
    if not len(common) and not missing:
        return None
    rest = int((counts > 0).sum()) - len(common) + (0 < gaps < least)
    room = MOST_INPUTS - missing
    rare = len(common) > 0 and (rest > 0 or len(common) > room)
    common = common[: room - rare]
    values = tuple(texts.texts.take(pa.array(common)).to_pylist())
    others = np.setdiff1d(np.flatnonzero(counts > 0), common)
    few = len(others) <= _MOST_REMEMBERED
    seen = tuple(texts.texts.take(pa.array(others)).to_pylist()) if few else None
    return CategoryInput(column, values, missing, rare, seen, complete=not gaps)


def _places(texts: pa.StringArray, values: tuple[str, ...]) -> NDArray[np.int64]:
    """The place of each text among `values`, -1 where it is none of them."""
    if sorted(value.lower() for value in values) == ["false", "true"]:
        texts, values = pc.utf8_lower(texts), tuple(value.lower() for value in values)
    places = pc.fill_null(pc.index_in(texts, pa.array(values, pa.string())), -1)
    return np.asarray(places.to_numpy(zero_copy_only=False), np.int64)


def _unseen(
    column: Column, texts: frozen.Coded, places: NDArray[np.int64], instead: str
) -> list[str]:
    new_N = texts.spread(places < 0, False)
    if not new_N.any():
        return []
    rows = np.flatnonzero(new_N)
    example = texts.texts[int(texts.codes[rows[0]])].as_py()
    return [
        f"column {shown(column.name)}: {len(rows):,} of {len(new_N):,} values are new to the "
        f"network, such as `{example}`; {instead}"
    ]

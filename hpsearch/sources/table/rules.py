"""What decides what a column is: the thresholds, and what the study file says of columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "FEW_VALUES", "IDENTIFIER_SHARE", "KNOWN_MARKS", "LEADING_ZEROS_SHARE", "LIKELY_MARKS",
    "MIXED_SHARE", "MOST_INPUTS", "MOST_MISSING", "MOST_ODD_TEXTS", "NUMBER_SHARE",
    "SMALL_BYTES", "TEXT_SHARE", "TEXT_WORDS", "WHOLE_BYTES", "Override", "Overrides",
    "enough_gaps", "few_are_odd", "frequent",
]  # fmt: skip

KNOWN_MARKS = (
    "NA", "N/A", "n/a", "na", "NaN", "nan", "Nan", "null", "NULL", "Null", "None", "none", "?", "-",
    "--", ".", "..", "\\N", "#DIV/0!", "#N/A", "#VALUE!", "#REF!", "#NUM!",
)  # fmt: skip
"""Missing values among numbers and dates: what pandas, R, Stata, MySQL and spreadsheets write. In a
column of texts each of them is an ordinary value."""

LIKELY_MARKS = (
    *KNOWN_MARKS,
    "unknown",
    "Unknown",
    "UNKNOWN",
    "missing",
    "n.a.",
    "N.A.",
    "k.A.",
    "k. A.",
)
"""What may mean a missing value in a column of texts, where a note asks."""

NUMBER_SHARE = 0.95
"""So many of the cells have one form where a column is of numbers, or of dates. AutoGluon's
`infer_types` converts columns at the same share."""
MOST_ODD_TEXTS = 3
MOST_ODD_SHARE = 0.05
"""Texts that a column of numbers or dates may have beside them, or their share of the distinct
ones: with more it is a column of codes."""
MOST_MISSING = 20
"""So many odd texts of an input `init` takes for missing values; a column with more it leaves
out."""
LEADING_ZEROS_SHARE = 0.05
"""Whole numbers such as `00501` are codes: an American postcode has a leading zero in 1 of 12."""
FEW_VALUES = 20
"""Texts with no more distinct values are always categories, and each value has an input where it
is in two training rows."""
TEXT_WORDS, TEXT_SHARE = 3.0, 0.1
"""Sentences have so many words on average and are seldom repeated. skrub's `TableVectorizer` and
AutoGluon draw the line by words and distinct values too."""
GAPS_SHARE = 0.01
"""Where so many rows lack a value, whether it is missing is an input, as fastai's `FillMissing` and
AutoGluon add one; fewer teach nothing."""
MIXED_SHARE = 0.5
"""A column of which so many cells are numbers, and many of them different, is no set of names."""
IDENTIFIER_SHARE = 0.9
"""Texts of which so many differ name the row and say nothing of others."""
RARE_ROWS, RARE_SHARE = 10, 0.001
"""Of more than `FEW_VALUES` values, one needs so many training rows, and this share, for an input
of its own; the others share one, as in scikit-learn's `OneHotEncoder(min_frequency=...)`."""
MOST_INPUTS = 64
"""Inputs that one column of texts can have."""

SMALL_BYTES = 4 << 20
"""A table of up to so many is read whole for a quick look, which takes half a second at most."""
WHOLE_BYTES = 64 << 20
"""Of a larger table a quick look is at the first thousand rows, whatever these leave open."""

OverrideKind = Literal["number", "category", "date", "text", "ignore"]


@dataclass(frozen=True)
class Override:
    """What the study file says of one column; None: nothing."""

    kind: OverrideKind | None = None
    decimal: str | None = None
    thousands: str | None = None
    missing: tuple[str, ...] | None = None
    """Texts that are missing values, whatever the kind."""
    dayfirst: bool | None = None


@dataclass(frozen=True)
class Overrides:
    """What the study file says of columns; what it says of one wins over what it says of all."""

    columns: Mapping[str, Override] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    decimal: str | None = None
    thousands: str | None = None
    text: str | None = None
    """The column of sentences that the network reads, and no other."""
    text_length: int = 0
    """Words of it that are read, at most."""

    @property
    def as_texts(self) -> frozenset[str]:
        """Columns that have to be read as texts, as plain numbers would lose what they say."""
        texts = {name for name, own in self.columns.items() if own != Override()}
        return frozenset(texts | ({self.text} if self.text else set()))

    def of(self, name: str) -> Override:
        """What holds for one column."""
        own = self.columns.get(name, Override())
        kind = "ignore" if name in self.ignore else "text" if name == self.text else own.kind
        return Override(
            kind,
            self.decimal if own.decimal is None else own.decimal,
            self.thousands if own.thousands is None else own.thousands,
            self.missing if own.missing is None else own.missing,
            own.dayfirst,
        )


def frequent(distinct: int, rows: int) -> float:
    """Rows that a value needs for an input of its own, of so many distinct values and rows."""
    return 2 if distinct <= FEW_VALUES else max(RARE_ROWS, RARE_SHARE * rows)


def few_are_odd(
    fitting: int, cells: int, odd: int, distinct: int, share: float = NUMBER_SHARE
) -> bool:
    """Whether the others of so many cells and distinct texts are odd ones among `fitting` cells,
    which have to be such a share."""
    enough = fitting > 0 and fitting >= share * cells
    return enough and odd <= max(MOST_ODD_TEXTS, MOST_ODD_SHARE * distinct)


def enough_gaps(missing: int, rows: int) -> bool:
    """Whether so many rows lack a value that whether they do is an input."""
    return missing > 0 and missing >= GAPS_SHARE * rows

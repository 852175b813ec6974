"""A column of sentences as tokens: what is learnt from training rows, and how any text is read.

A text is cut into words, lower-cased; each of the commonest words of the training rows has a token
of its own, from 2 on. 0 is padding, 1 stands for all other words. Shapes: N rows, T tokens a row.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hpsearch.errors import DataError
from hpsearch.sources.table import arrow
from hpsearch.sources.table.arrow import Rows
from hpsearch.sources.table.column import Column, number_of, quoted, shown
from hpsearch.sources.table.encode import check_columns, check_memory

if TYPE_CHECKING:
    from hpsearch.sources.table.reading import Table

__all__ = ["UNKNOWN", "TextEncoder", "Tokens", "fit_text", "words_of"]

Tokens = NDArray[np.int64]

UNKNOWN, _FIRST = 1, 2
"""The token of a word that is not among the commonest, and that of the commonest one."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+(?:['\u2019][^\W_]+)*")
"""Letters and digits, with apostrophes between them; of Chinese and Japanese, which put no blanks
between words, each character."""


def words_of(text: str) -> list[str]:
    """The words of a text, lower-cased, in their order."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


@dataclass(frozen=True)
class TextEncoder:
    """How the texts of one column become tokens: plain values."""

    column: Column
    words: tuple[str, ...]
    """Those with a token of their own, the commonest first: the first one is token 2."""
    length: Annotated[int, Field(ge=1)]
    """Tokens a row, T: of a longer text the rest is not read."""
    others: tuple[str, ...] = ()
    """Columns of the training table that are not read, its target among them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's tokens: (T,)."""
        return (self.length,)

    @property
    def kind(self) -> Literal["tokens"]:
        """What the inputs are."""
        return "tokens"

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are."""
        return len(self.words) + _FIRST

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table has to have."""
        return (self.column.name,)

    @property
    def as_texts(self) -> frozenset[str]:
        """Columns that have to be read as texts, as plain numbers would lose what they say."""
        return frozenset(self.columns)

    def fault(self) -> str | None:
        """Why no tokens can be made by values that were read again; None for what is whole."""
        twice = [word for word, count in Counter(self.words).items() if count > 1]
        return f"the word {twice[0]!r} is there twice" if twice else None

    def inputs(self, table: Table, rows: Rows = None) -> tuple[Tokens, tuple[str, ...]]:
        """The tokens of a table, int64 (N, T), and what it has that training had not, a sentence
        each. A row without a word is padding alone.

        Its columns may come in any order, and there may be more of them.

        Args:
            table: Its cells.
            rows: The rows to read, counted from 0; None for all.

        Raises DataError where the column is missing, or memory is short.
        """
        remarks = check_columns(table, self.columns, self.others)
        self.check_memory(table.rows if rows is None else len(rows))
        texts, at_N, _ = _texts(self.column, table, rows)
        numbers = {word: number for number, word in enumerate(self.words, _FIRST)}
        tokens_DT = np.zeros((len(texts), self.length), np.int64)
        sizes, unknown = np.zeros((2, len(texts)), np.int64)
        example = ""
        for place, text in enumerate(texts):
            words = words_of(text)
            row = [numbers.get(word, UNKNOWN) for word in words]
            tokens_DT[place, : len(row)] = row[: self.length]
            sizes[place], unknown[place] = len(row), row.count(UNKNOWN)
            if not example and unknown[place]:
                example = words[row.index(UNKNOWN)]
        remarks += self._remarks(sizes[at_N], int(unknown[at_N].sum()), example)
        return tokens_DT[at_N], tuple(remarks)

    def texts(self, tokens_NT: Tokens) -> list[str]:
        """The words of tokens, each that has none of its own as a blank."""
        vocabulary = ("", "_", *self.words)
        return [" ".join(vocabulary[token] for token in row if token) for row in tokens_NT.tolist()]

    def check_memory(self, rows: int) -> None:
        """DataError where the tokens of so many rows take more than a quarter of free memory."""
        check_memory(rows, self.length, 8, "shorten them with data.text_length, or")

    def _remarks(self, sizes_N: NDArray[np.int64], unknown: int, example: str) -> list[str]:
        remarks, of_rows = [], f"of {number_of(len(sizes_N), 'text')}"
        if unknown:
            remarks.append(
                f"{unknown:,} of {number_of(int(sizes_N.sum()), 'word')} are unknown to the "
                f"network, such as {quoted(example)}; they count as one unknown word"
            )
        if empty := int((sizes_N == 0).sum()):
            remarks.append(f"{empty:,} {of_rows} without a word")
        if longer := int((sizes_N > self.length).sum()):
            remarks.append(f"{longer:,} {of_rows} read up to word {self.length} only")
        return [f"column {shown(self.column.name)}: {remark}" for remark in remarks]


def _texts(
    column: Column, table: Table, rows: Rows
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct texts of some rows (D,), which of them each row has (N,), and how many rows each
    has (D,). The text of a missing cell is ''."""
    texts = arrow.texts_of(column, table, rows)
    places, at_N, counts = np.unique(texts.codes, return_inverse=True, return_counts=True)
    return [texts.texts[int(p)].as_py() if p >= 0 else "" for p in places], at_N, counts


def fit_text(
    column: Column, table: Table, training_rows: NDArray[np.int64], most: int, length: int
) -> tuple[TextEncoder, tuple[str, ...]]:
    """What the training rows teach of a column of sentences, and what is said of it.

    Args:
        column: The column.
        table: The table that was decided on.
        training_rows: The rows to learn from, counted from 0.
        most: Words that have a token of their own, at most.
        length: Tokens a row, at most; there are no more than the longest training row has words.

    Raises DataError where no training row has a word.
    """
    texts, _, rows = _texts(column, table, training_rows)
    counts, longest = Counter[str](), 0
    for text, times in zip(texts, rows.tolist(), strict=True):
        words = words_of(text)
        longest = max(longest, len(words))
        for word in words:
            counts[word] += times
    if not counts:
        raise DataError(f"column {shown(column.name)} has no word in any training row")
    # By count and, where counts are the same, by the word: the order of rows decides nothing.
    words = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    others = tuple(name for name in table.names if name != column.name)
    encoder = TextEncoder(column, tuple(words), min(longest, length), others)
    encoder.check_memory(table.rows)
    left = len(counts) - len(words)
    remark = (
        f"column {shown(column.name)}: {number_of(len(words), 'word')} of the training rows have "
        f"an embedding each" + (f", and {left:,} rarer ones share one" if left else "")
    )
    return encoder, (remark,)

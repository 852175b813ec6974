"""A column of sentences as tokens: the words of training rows, and rows that come later."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter

from hpsearch.errors import DataError
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.sources.table import encode
from hpsearch.sources.table.columns import decide
from hpsearch.sources.table.inputs import TableInputs
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.sources.table.words import TextEncoder, fit_text, words_of
from hpsearch.spec.source import SOURCES
from hpsearch.testing import check_source
from tests.unit.sources.tables import Rows, whole

CELLS = ["The cat sat.", "the DOG sat", "a cat", ""]


def fitted(*cells: str, most: int = 100, length: int = 10, rows: int | None = None) -> TextEncoder:
    table = whole(t=cells)
    (column,) = decide(table, None, Overrides(text="t", text_length=length)).columns
    return fit_text(column, table, np.arange(rows or len(cells)), most, length)[0]


def tokens(encoder: TextEncoder, *cells: str | None) -> list[list[int]]:
    found, _ = encoder.inputs(Rows({"t": pa.array(cells, pa.string())}))
    assert found.dtype == np.int64
    assert found.shape == (len(cells), *encoder.shape)
    rows: list[list[int]] = found.tolist()
    return rows


def remarks(encoder: TextEncoder, *cells: str) -> tuple[str, ...]:
    return encoder.inputs(whole(t=cells))[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic!", ["don't", "panic"]),
        ("don\u2019t", ["don't"]),
        ("FREE entry 2 win \u00a3100,000 - txt 80082", ["free", "entry", "2", "win", "100", "000",
                                                        "txt", "80082"]),
        ("'quoted' snake_case re-do", ["quoted", "snake", "case", "re", "do"]),
        ("Stra\u00dfe \u00c9T\u00c9", ["stra\u00dfe", "\u00e9t\u00e9"]),
        ("\u732b\u304c\u597d\u304d", ["\u732b", "\u304c", "\u597d", "\u304d"]),
        (" ... \n", []),
    ],
)  # fmt: skip
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_the_commonest_words_come_first_then_the_alphabet() -> None:
    encoder = fitted(*CELLS)
    assert encoder.words == ("cat", "sat", "the", "a", "dog")
    assert (encoder.vocabulary, encoder.shape) == (7, (3,))
    assert tokens(encoder, *CELLS) == [[4, 2, 3], [4, 6, 3], [5, 2, 0], [0, 0, 0]]
    assert fitted(*reversed(CELLS)).words == encoder.words
    assert fitted(*["dog"] * 3, *CELLS).words[0] == "dog"  # each row counts, not each text


def test_other_words_are_unknown_and_a_longer_text_is_cut() -> None:
    encoder = fitted(*CELLS, most=3)
    assert encoder.words == ("cat", "sat", "the")
    assert tokens(encoder, "a cat", "The cat sat the cat") == [[1, 2, 0], [4, 2, 3]]
    assert fitted(*CELLS, length=2).shape == (2,)
    assert fitted(*CELLS, rows=1).words == ("cat", "sat", "the")  # training rows alone


def test_what_training_had_not_is_said() -> None:
    encoder = fitted(*CELLS)
    assert remarks(encoder, *CELLS[:3]) == ()
    assert remarks(encoder, "a mouse", "the mouse ran", "!", "the cat sat the cat") == (
        "column `t`: 3 of 10 words are unknown to the network, such as `mouse`; they count as one "
        "unknown word",
        "column `t`: 1 of 4 texts without a word",
        "column `t`: 1 of 4 texts read up to word 3 only",
    )
    extra = whole(t=["a cat"], u=["x"])
    assert encoder.inputs(extra)[1] == ("1 column not used: `u`",)
    with pytest.raises(DataError, match=r"lacks the column `t`, which the network reads; .*has u"):
        encoder.inputs(whole(u=["x"]))


def test_a_missing_text_is_padding_however_it_comes() -> None:
    assert tokens(fitted(*CELLS), None, "", "  ", "?!") == [[0, 0, 0]] * 4
    table = whole(t=["-", *CELLS])
    overrides = Overrides({"t": Override(missing=("-",))}, text="t", text_length=9)
    (column,) = decide(table, None, overrides).columns
    encoder, _ = fit_text(column, table, np.arange(5), 9, 9)
    assert encoder.inputs(table)[0][0].tolist() == [0, 0, 0]


def test_without_a_word_in_training_rows_there_is_nothing_to_read() -> None:
    with pytest.raises(DataError, match="column `t` has no word in any training row"):
        fitted("!", "?", "a cat", rows=2)


def test_memory_that_is_short_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = fitted(*CELLS)

    monkeypatch.setattr(encode, "free_memory", lambda: 4 * 2 * 3 * 8 - 1)
    encoder.inputs(whole(t=["a"]))
    with pytest.raises(DataError, match=r"2 rows x 3 inputs x 8 bytes .* data\.text_length"):
        encoder.inputs(whole(t=["a", "b"]))


# --- as a study has them ------------------------------------------------------------------------


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    """Sixty letters of two kinds, with other columns and a row without a text."""
    rows = [
        f'{row % 7},"{"win a prize" if row % 3 else "see you at home"}, {"abcdef"[row % 6]}",'
        f"{'spam' if row % 3 else 'ham'}"
        for row in range(60)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["n,body,y", *rows, "3,,ham"]) + "\n")
    return tmp_path


def dataset(folder: Path, **keys: Any) -> Dataset:
    settings = DataSettings.of("table", folder, path="t.csv", target="y", text="body", **keys)
    return load(settings, torch.device("cpu"))


def test_the_source_keeps_its_promises(letters: Path) -> None:
    for keys in ({}, {"text_words": 3, "text_length": 2}, {"split": {"by": "n"}},
                 {"test_path": "t.csv"}):  # fmt: skip
        check_source(SOURCES["table"], letters, path="t.csv", target="y", text="body", **keys)


def test_a_network_is_given_tokens_of_the_text_alone(letters: Path) -> None:
    found = dataset(letters, columns={"n": {"kind": "date"}})  # whatever is said of others
    problem = found.problem("cross_entropy")
    assert (problem.kind, problem.shape, problem.vocabulary) == ("tokens", (5,), 14)
    assert found.train.inputs.dtype == torch.int64
    assert "column `n`: left out, as data.text reads `body` alone" in found.record["notes"]
    assert any("12 words of the training rows" in note for note in found.record["notes"])
    short = dataset(letters, text_words=4, text_length=3).problem("cross_entropy")
    assert (short.shape, short.vocabulary) == ((3,), 6)


def test_what_is_saved_reads_the_same_tokens(letters: Path) -> None:
    inputs: Any = dataset(letters).preprocessing
    again = TypeAdapter(TableInputs).validate_json(json.dumps(asdict(inputs)), strict=True)
    assert again == inputs
    assert (again.kind, again.vocabulary, again.fault()) == ("tokens", inputs.vocabulary, None)
    rows = [{"body": "WIN a zebra"}, {"body": None, "n": 3}]
    given, other = inputs.of_rows(rows), again.of_rows(rows)
    assert np.array_equal(given.inputs, other.inputs)
    assert given.notes == other.notes
    assert given.inputs.tolist()[1] == [0] * 5
    twice = {**asdict(inputs.encoder), "words": ("a", "a")}
    broken = TypeAdapter(TableInputs).validate_python({**asdict(inputs), "encoder": twice})
    assert broken.fault() == "the word 'a' is there twice"
    other = replace(inputs, kind="rows")
    assert other.fault() == "kind is rows, and the inputs are tokens"

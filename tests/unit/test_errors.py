"""Any exception in one line."""

from __future__ import annotations

import pytest

from hpsearch.errors import line


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it has no words")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), "No such file or directory"),
        (OSError("no answer within 30 s"), "no answer within 30 s"),
        (OSError(), "OSError"),
        (RuntimeError("\n first thing. \nsecond thing"), "first thing"),
        (KeyError("a"), "'a'"),
        (MemoryError(), "MemoryError"),
        (ValueError("\n"), "ValueError"),
        (ValueError("..."), "ValueError"),
        (_UnspeakableError(), "_UnspeakableError"),
    ],
)
def test_an_exception_in_one_line(error: BaseException, said: str) -> None:
    assert line(error) == said

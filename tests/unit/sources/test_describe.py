"""A decision as lines of 80 characters."""

from __future__ import annotations

from hpsearch.sources.table.columns import decide
from hpsearch.sources.table.describe import describe, shorten
from hpsearch.sources.table.rules import Override, Overrides
from tests.unit.sources.tables import sample


def test_a_line_a_column():
    table = sample(
        size=["1.5", "2.5", "NA", "3.5"] * 10,
        kind=["a", "b", "c", "d"] * 10,
        who=[f"id{n:03}" for n in range(40)],
        old=["x"] * 40,
        y=["0", "1"] * 20,
    )
    made = decide(table, "y", Overrides({"old": Override("ignore")}))
    assert [line.split() for line in describe(made)] == [
        ["column", "kind", "missing", "values", "inputs", "becomes"],
        ["y", "target", "2", "target:", "2", "classes"],
        ["size", "number", "25", "%", "3", "2", "a", "number,", "and", "if", "missing"],
        ["kind", "category", "4", "4", "an", "input", "a", "value"],
        ["who", "identifier", "40", "0", "left", "out:", "nearly", "all", "differ"],
        ["old", "ignore", "0", "left", "out:", "the", "study", "file", "says", "so"],
    ]


def test_lines_are_80_wide_and_long_names_lose_their_middle():
    names = ["a long name " * 9 + "1", "a long name " * 9 + "2"]
    table = sample(**{name: ["1.5", "2.5", "NA", "3.5"] * 10 for name in names})
    lines = describe(decide(table, None, Overrides()))
    assert max(map(len, lines)) == 80
    assert lines[1].startswith("a long nam")
    assert "…ong name 1  number" in lines[1]
    assert "…ong name 2  number" in lines[2]
    assert shorten("abcdefg", 5) == "ab…fg"
    assert shorten("abc", 3) == "abc"


def test_what_does_not_fit_continues_below():
    days = [f"2024-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(60)]
    table = sample(
        **{"a description": [f"{n} is the number of row {n}" for n in range(60)]},
        day=["", *days[1:]],
        y=["0", "1"] * 30,
    )
    lines = describe(decide(table, "y", Overrides()))
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    at = next(number for number, line in enumerate(lines) if line.startswith("day "))
    words = f"{lines[at]} {lines[at + 1].strip()}"
    assert words.endswith("days, month, weekday, and if missing")


def test_many_columns_alike_are_one_line():
    table = sample(**{f"x{n}": ["1.5", "2.5", "3.5"] * 10 for n in range(2000)})
    lines = describe(decide(table, None, Overrides()))
    assert len(lines) == 2
    assert lines[1].startswith("2,000: x0 to x1999  number")


def test_a_share_of_missing_cells_is_never_rounded_to_none():
    table = sample(x=["", *[str(n / 8) for n in range(500)]])
    assert "<1 %" in describe(decide(table, None, Overrides()))[1]

"""Columns that alone say what the target is: mostly what is known only after it.

A fee that is charged to those who have cancelled predicts perfectly who cancels, and of a customer
who has not yet decided it says nothing. So each column is tried alone, on a sample of the rows:
some fifty, of each class alike, are enough to see that most columns say little.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from hpsearch.sources.table.column import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hpsearch.sources.table.column import Column
    from hpsearch.sources.table.reading import Table
    from hpsearch.sources.table.targets import Target

__all__ = ["leak"]

_SURE = {"classes": 0.99, "numbers": 0.999}
"""A column is named from so many rows of each class on that it tells, on average over the classes;
of numbers, from that rank correlation on."""
_PROMISING = {"classes": 0.8, "numbers": 0.98}
"""What is not so good on a few rows is not looked at again."""
_FEW, _MANY = 48, 4_000
"""Rows that each column is tried on, and those for the promising ones."""
_SAMPLE = 20_000
"""Rows that these are taken from, so that rare classes are among them."""
_MOST_COLUMNS = 500
"""Columns that are tried, each in 0.1 ms: thousands of them are spectra, genes or pixels."""
_LEAST = 10
"""A class of fewer rows tells nothing; and three times as many rows are needed for numbers."""
_BLOCK = 4
"""Rows with numbers that follow one another and are taken for alike."""


def leak(table: Table, target: Target, columns: Iterable[Column], rows: Any) -> str | None:
    """The columns that alone predict the target, as a sentence; None where there are none.

    Args:
        table: The cells.
        target: What is to be predicted.
        columns: Those that become inputs.
        rows: The rows that have a target, rising; None for all.
    """
    rows = range(table.rows) if rows is None else rows
    if len(rows) > _SAMPLE:
        chosen = random.Random(0).sample(range(len(rows)), _SAMPLE)
        rows = [rows[place] for place in sorted(chosen)]
    goals = dict(zip(map(int, rows), _values(table, target.column, rows), strict=True))
    few, many = (_drawn(goals, target.kind, most) for most in (_FEW, _MANY))
    scores = dict[str, float]()
    for column in islice(columns, _MOST_COLUMNS) if few else ():
        if _score(table, column, few, target.kind) < _PROMISING[target.kind]:
            continue
        if (score := _score(table, column, many, target.kind)) >= _SURE[target.kind]:
            scores[column.name] = score
    return _sentence(scores, target) if scores else None


def _sentence(scores: dict[str, float], target: Target) -> str:
    names = [*scores]
    ignore = json.dumps(names[:5], ensure_ascii=False)
    shares = sorted({int(1000 * score) / 10 for score in scores.values()})
    how = (
        f"in {' to '.join(f'{s:g}' for s in (shares[0], shares[-1])[: len(shares)])} % of the rows"
    )
    if target.kind == "numbers":
        how = f"(rank correlation {min(scores.values()):.4f})"
    if len(names) == 1:
        return (
            f"column {shown(names[0])}: it alone predicts the target {how}: if it is only known "
            f"afterwards, leave it out with data.ignore: {ignore}"
        )
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return (
        f"{len(names):,} columns, {', '.join(map(shown, names[:5]))}{more}: each alone predicts "
        f"the target {how}: leave out with data.ignore those that are only known afterwards"
    )


def _drawn(goals: dict[int, Any], kind: str, most: int) -> dict[int, Any]:
    """Some rows with their targets: of each class alike; {} where too few have one."""
    if kind == "numbers":
        present = {row: goal for row, goal in goals.items() if goal is not None}
        enough = len(present) >= 3 * _LEAST
        return dict([*present.items()][:: max(len(present) // most, 1)]) if enough else {}
    by_class = defaultdict(list)
    for row, goal in goals.items():
        if goal is not None:
            by_class[goal].append(row)
    classes = {goal: rows for goal, rows in by_class.items() if len(rows) >= _LEAST}
    each = max(most // max(len(classes), 1), 2 * _LEAST)
    drawn = {
        row: goal for goal, rows in classes.items() for row in rows[:: max(len(rows) // each, 1)]
    }
    return drawn if len(classes) > 1 else {}


def _score(table: Table, column: Column, drawn: dict[int, Any], kind: str) -> float:
    """How well a column alone tells the target of some rows, from 0 to 1."""
    values = _values(table, column, [*drawn])
    goals = [*drawn.values()]
    if kind == "classes":
        return _told(_alike(values) if column.kind == "number" else values, goals)
    pairs = [
        (value, goal)
        for value, goal in zip(values, goals, strict=True)
        if value is not None and column.kind == "number"
    ]
    enough = 2 * len(pairs) >= len(goals) and len(pairs) >= 3 * _LEAST
    return abs(_correlation(*map(_ranks, zip(*pairs, strict=True)))) if enough else 0.0


def _values(table: Table, column: Column, rows: Sequence[int]) -> Iterator[Any]:
    """The cells of a column in some rows: numbers, texts, or of dates whether there is one."""
    cells = table.column(column.name)
    plain = isinstance(cells, list | tuple)
    some = [cells[row] for row in rows] if plain else cells.take([*map(int, rows)]).to_pylist()
    for cell in some:
        value = cell.strip() if isinstance(cell, str) else cell
        if value in ("", *column.marks) or (isinstance(value, float) and math.isnan(value)):
            yield None
        elif column.kind == "number":
            yield column.style.value(value) if isinstance(value, str) else value
        else:
            yield value if column.kind in ("category", "boolean") else True


def _alike(values: Iterable[float | None]) -> list[Any]:
    """Numbers sorted into blocks: the many of one number, and the others between such, a few that
    follow one another."""
    values = [*values]
    counts = Counter(value for value in values if value is not None)
    places: dict[float | None, tuple[int, int]] = {None: (-1, 0)}
    run, sizes = 0, Counter[int]()
    for value in sorted(counts):
        many = counts[value] >= _BLOCK
        run += many
        places[value] = run, sizes[run] // _BLOCK
        sizes[run] += counts[value]
        run += many
    # The last block of a run is larger rather than smaller: one row alone tells nothing.
    last = {run: max(size // _BLOCK - 1, 0) for run, size in sizes.items()} | {-1: 0}
    return [(run, min(block, last[run])) for run, block in (places[value] for value in values)]


def _told(values: Iterable[Any], goals: Sequence[Any]) -> float:
    """The share of rows of a class whose class the other rows of the same value tell, on average.

    That a row does not count for itself keeps a column of many values from looking good.
    """
    by_value: dict[Any, Counter[Any]] = defaultdict(Counter)
    for value, goal in zip(values, goals, strict=True):
        by_value[value][goal] += 1
    sizes, told = Counter(goals), Counter[Any]()
    for counts in by_value.values():
        for goal, count in counts.items():
            others = max((n / sizes[g] for g, n in counts.items() if g != goal), default=0.0)
            if (count - 1) / sizes[goal] > others:
                told[goal] += count
    return sum(told[goal] / size for goal, size in sizes.items()) / len(sizes)


def _ranks(values: Sequence[float]) -> list[float]:
    """The rank of each number; the same numbers share the mean of theirs."""
    counts, below = Counter(values), 0
    ranks = {}
    for value in sorted(counts):
        ranks[value] = below + counts[value] / 2
        below += counts[value]
    return [ranks[value] for value in values]


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    mean = len(one) / 2  # of ranks, also where some are shared
    product = sum((a - mean) * (b - mean) for a, b in zip(one, other, strict=True))
    squares = [sum((a - mean) ** 2 for a in ranks) for ranks in (one, other)]
    return product / (squares[0] * squares[1]) ** 0.5 if all(squares) else 0.0

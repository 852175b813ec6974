"""The parameters of recurrent networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["count"]


def count(
    problem: Problem, *, cell: str, hidden: int, layers: int, bidirectional: bool, **_rest: Any
) -> int:
    """Of `network.rnn`."""
    _, inputs = sizes.steps_of(problem)
    ways = 2 if bidirectional else 1
    first = sizes.recurrent(cell, inputs, hidden)
    others = sizes.recurrent(cell, ways * hidden, hidden) * (layers - 1)
    return ways * (first + others) + sizes.dense(ways * hidden, problem.outputs)

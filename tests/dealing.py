"""Which test runs when: files whose tests take long begin, spread over the processes of the run.

xdist (`--dist worksteal`) gives each process one piece of the list, all equally many tests, and who
has done its piece takes from the end of another's. In the order of the folders the tests that take
a second or a minute would be one process's, and what is waited for at the end of the run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

__all__ = ["dealt"]

WEIGHTS = {"chaos": 8, "acceptance": 4, "integration": 1}
"""About the seconds of a test, by its folder; those of other folders take hundredths."""


class Item(Protocol):
    @property
    def path(self) -> Path: ...


T = TypeVar("T", bound=Item)


def dealt(items: Sequence[T], count: int) -> list[T]:
    """The same tests for so many processes; those of a file stay together, as far as can be."""
    files = [list(tests) for _, tests in itertools.groupby(items, lambda item: item.path)]
    files.sort(key=_weight, reverse=True)
    hands: list[list[T]] = [[] for _ in range(count)]
    loads = [0] * count
    short: list[T] = []
    for tests in files:
        if weight := _weight(tests):
            lightest = loads.index(min(loads))
            hands[lightest] += tests
            loads[lightest] += weight * len(tests)
        else:
            short += tests
    left = len(items)
    for place, hand in enumerate(hands):
        missing = max(0, left // (count - place) - len(hand))
        hand.extend(short[:missing])
        del short[:missing]
        left -= len(hand)
    return [item for hand in hands for item in hand] + short


def _weight(tests: Sequence[Item]) -> int:
    return WEIGHTS.get(tests[0].path.parent.name, 0)

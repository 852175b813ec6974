"""Which test runs when: `tests.dealing`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.dealing import dealt


@dataclass(frozen=True)
class Item:
    path: Path
    number: int


def of(folder: str, tests: int, files: int = 1) -> list[Item]:
    return [
        Item(Path("tests", folder, f"test_{file}.py"), number)
        for file in range(files)
        for number in range(tests)
    ]


def test_each_process_begins_with_long_tests_and_has_short_ones_at_its_end() -> None:
    items = [*of("acceptance/chaos", 4, 3), *of("integration", 9, 6), *of("unit", 20, 10)]
    order = dealt(items, 3)
    assert Counter(map(id, order)) == Counter(map(id, items))
    pieces = [order[:88], order[88:177], order[177:]]  # 266 tests, as xdist deals them
    for piece in pieces:
        assert [item.path.parent.name for item in piece[:4]] == ["chaos"] * 4
        assert {item.path.parent.name for item in piece[22:]} == {"unit"}


def test_short_tests_may_be_none() -> None:
    items = [*of("acceptance", 5, 2), *of("integration", 4)]
    assert Counter(map(id, dealt(items, 2))) == Counter(map(id, items))
    assert dealt([], 2) == []

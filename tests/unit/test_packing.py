"""What is taken next beside what a device holds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hpsearch.stages import packing


@pytest.mark.parametrize(
    ("held", "coming", "said"),
    [
        ("", "", (1, [])),
        ("", "?", (1, [])),
        ("", "abc", (1, [0])),
        ("", "abaca", (3, [0, 2, 4])),
        ("", "a" * 20, (8, list(range(20)))),
        ("aaaaa", "babab", (2, [1, 3])),
        ("aaaaa", "ab" * 9, (3, list(range(0, 18, 2)))),
        ("aaaaa", "bcb", (0, [])),
        ("aaaaaaaa", "aaa", (0, [])),
        ("a", "aaa", (0, [])),
        ("a", "?", (3, [])),
        ("aab", "?", (4, [])),
        ("abcd", "?", (0, [])),
    ],
)
def test_tickets_of_the_shapes_in_training_are_asked_for(
    held: str, coming: str, said: tuple[int, list[int]]
) -> None:
    def upcoming() -> Sequence[str | None]:
        return [None if shape == "?" else shape for shape in coming]

    def free(shape: object, count: int) -> int:
        return packing.room(8, count, 60, learns=False)

    assert packing.wish(held, upcoming, free, shaped=True, epoch_s=0.1) == said
    if "?" in coming and held:
        assert packing.wish(held, upcoming, free, shaped=True, epoch_s=9.0) == (0, [])


def test_what_is_upcoming_is_looked_up_only_where_it_matters() -> None:
    def upcoming() -> Sequence[str | None]:
        raise AssertionError("that takes time")

    def free(shape: object, count: int) -> int:
        return packing.room(8, count, 60, learns=False)

    assert packing.wish("a" * 5, upcoming, free, shaped=False, epoch_s=0.1) == (3, [])
    assert packing.wish("a" * 8, upcoming, free, shaped=True, epoch_s=0.1) == (0, [])

"""The lessons of the guides: each runs as a study and shows what docs/explanation/lessons.md
says."""

from __future__ import annotations

import pytest

from benchmarks.lessons.catalog import LESSONS
from benchmarks.lessons.lesson import Lesson
from benchmarks.turns import SkippedError
from tests.acceptance.conftest import STUDIES, Command

EACH_TIME = ("animals",)
"""One of a few seconds; the others run at night."""


class Shipped:
    """The command as a lesson wants it."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def run(self, *words: object) -> str:
        return self._command.run(*words, timeout=1500).stdout

    def file(self, name: str) -> str:
        return str(STUDIES / name)


def _cases() -> list[object]:
    cases: list[object] = []
    for name, lesson in LESSONS.items():
        marks = () if name in EACH_TIME else (pytest.mark.nightly, pytest.mark.timeout(1800))
        cases.append(pytest.param(lesson, id=name, marks=marks))
    return cases


@pytest.mark.parametrize("lesson", _cases())
def test_a_lesson_shows_what_the_page_says(
    lesson: Lesson, command: Command, request: pytest.FixtureRequest
) -> None:
    if lesson.images:
        command.env["HPSEARCH_DATA"] = str(request.getfixturevalue("fashion_mnist"))
    try:
        figures = lesson.measure(Shipped(command))
    except SkippedError as why:
        pytest.skip(str(why))
    assert lesson.failed(figures) == [], figures
    told = lesson.tell(figures)
    assert told.result
    assert told.meaning

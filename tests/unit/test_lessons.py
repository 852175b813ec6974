"""What docs/explanation/lessons.md says of lessons is what their figures show."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.lessons.catalog import LESSONS
from benchmarks.lessons.page import results

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", results())
def test_the_kept_figures_of_a_lesson_reach_its_goals(name: str) -> None:
    assert LESSONS[name].failed(results()[name]["figures"]) == []


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_its_study(name: str) -> None:
    study = ROOT / "studies" / f"{name}.yaml"
    assert f"\nname: {name}\n" in study.read_text()


def test_a_lesson_whose_figures_fall_short_says_which_goal() -> None:
    lesson = LESSONS["line"]
    figures = {"constant": 0.0012, "cosine": 0.002, "end": 0.0013, "cosine_end": 0.0}
    assert lesson.failed(figures) == ["an error below 0.001"]

"""All lessons, in the order of the page."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.lessons import architecture, classifier, loop, performance, tensors
from benchmarks.lessons.lesson import Lesson

__all__ = ["LESSONS"]

LESSONS: Mapping[str, Lesson] = {
    lesson.name: lesson
    for guide in (architecture, loop, tensors, classifier, performance)
    for lesson in guide.LESSONS
}
"""By name."""

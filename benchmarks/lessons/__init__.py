"""What guides to better networks say: each lesson run as a study, and what came of it.

`python -m benchmarks.lessons` runs them and writes docs/explanation/lessons.md.
"""

from __future__ import annotations

__all__: list[str] = []

"""How this program starts Python again."""

from __future__ import annotations

import sys

__all__ = ["python", "snippet"]


def python(module: str) -> list[str]:
    """The command line of another Python process that runs a module of hpsearch.

    `-P`: by `-m` alone Python would look for modules in the current folder first, and run a
    `random.py` or `torch.py` that lies there in the place of its own.
    """
    return [sys.executable, "-P", "-m", module]


def snippet(code: str) -> list[str]:
    """The same of one that runs a few lines of code."""
    return [sys.executable, "-P", "-c", code]

"""Modules that are loaded once a test runs that needs them.

Each process of a run collects all tests: what these import costs every process, whichever tests it
runs. scikit-learn, torchvision, timm, torchmetrics, SciPy and hypothesis take a second or two each.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Later"]


class Later:
    """A module, loaded when something of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # pytest, which looks for tests and fixtures
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)

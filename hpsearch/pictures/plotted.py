"""A trial as the pictures take it that need no network: the course of its epochs, its confusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.insight.snapshot import Trial

__all__ = ["Measured", "Plotted"]


class Measured(Protocol):
    """One epoch of a trial."""

    @property
    def epoch(self) -> int:
        """Its number, from 1."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What it gave."""


class Plotted(Protocol):
    """A trial that is plotted."""

    @property
    def title(self) -> str:
        """What the picture is of: the study, and which trial."""

    @property
    def metric(self) -> str:
        """The one that the study improves."""

    @property
    def trial(self) -> Trial:
        """The trial."""

    @property
    def curve(self) -> Sequence[Measured] | None:
        """Its epochs with all their metrics; None: only the study's metric is known."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes; none where the target is a number."""

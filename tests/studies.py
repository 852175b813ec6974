"""A study of the ledger alone: its document is none that a worker could serve."""

from __future__ import annotations

from hpsearch.store.values import NewStudy

__all__ = ["A_STUDY"]

A_STUDY = NewStudy(
    name="s",
    direction="maximize",
    digest="d",
    document={"metric": "accuracy", "search": {"strategy": "joint"}},
    base="/",
    tickets=4,
    crash_limit=3,
)

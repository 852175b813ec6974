"""What the session of one study on one device is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hpsearch.runner import Runner
from hpsearch.search import Search
from hpsearch.spec import StudySpec
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Study
from hpsearch.worker.context import Context
from hpsearch.worker.outbox import Outbox
from hpsearch.worker.running import Running
from hpsearch.worker.staging import Staging
from hpsearch.worker.study_checkpoints import StudyCheckpoints

__all__ = ["Parts"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Parts:
    """What takes tickets, judges reports and delivers shares."""

    context: Context
    study: Study
    spec: StudySpec
    mirror: Mirror
    search: Search
    runner: Runner
    staging: Staging
    saves: StudyCheckpoints
    outbox: Outbox
    running: dict[int, Running]
    """By ticket, what is under way; the outbox has the same dictionary."""

    def ask(self, call: Callable[[], T]) -> T:
        """Of the database: with patience where nothing is in training, once where something is."""
        return call() if self.running else self.context.patiently(call)

"""What trains a study's candidates on a worker, and what of it is installed: the one module that
knows who does."""

from __future__ import annotations

from collections.abc import Callable

from hpsearch.runner import Runner
from hpsearch.runner.epoch import Keeping
from hpsearch.sources.dataset import Dataset
from hpsearch.spec import StudySpec
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import TASKS
from hpsearch.training.array import Array
from hpsearch.worker.context import Context

__all__ = ["installed", "keeping_of", "runner_of"]


def installed() -> frozenset[str]:
    """The families, sources and tasks that are installed here, as `Study.needs` names them."""
    kinds = {"family": FAMILIES.all(), "source": SOURCES.all(), "task": TASKS.all()}
    return frozenset(f"{kind} {name}" for kind, names in kinds.items() for name in names)


def keeping_of(spec: StudySpec) -> Keeping:
    """Which epoch of the study's candidates counts."""
    return Keeping(spec.keep == "best", spec.budget.stop_after)


def runner_of(
    context: Context, spec: StudySpec, dataset: Dataset, over: Callable[[], bool]
) -> Runner:
    """A new runner for a study.

    Args:
        context: The worker's; once it is to leave, an epoch under way is broken off.
        spec: The study.
        dataset: Its data, on the worker's device.
        over: Once it says True no candidate begins another epoch.
    """
    return Array(
        dataset, spec.metric, context.device, stack=spec.search.slots, keeping=keeping_of(spec),
        interrupted=context.stop.is_set, over=over,
    )  # fmt: skip

"""What trains a study's candidates on a worker, and what of it is installed: the one module that
knows who does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hpsearch import urls
from hpsearch.children.here import Here
from hpsearch.children.jobs import job_of
from hpsearch.children.runner import Children
from hpsearch.code import Code
from hpsearch.errors import CodeError
from hpsearch.runner import Runner, Tester
from hpsearch.runner.epoch import Keeping
from hpsearch.sources.dataset import Dataset
from hpsearch.spec import StudySpec
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.own_training import EVALUATE
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import TASKS
from hpsearch.training.array import Array
from hpsearch.worker.context import Context

__all__ = ["installed", "keeping_of", "runner_of", "tester_of"]


def installed() -> frozenset[str]:
    """The families, sources and tasks that are installed here, as `Study.needs` names them."""
    families = [name for name, family in FAMILIES.all().items() if not family.lacking]
    kinds = {"family": families, "source": SOURCES.all(), "task": TASKS.all()}
    return frozenset(f"{kind} {name}" for kind, names in kinds.items() for name in names)


def keeping_of(spec: StudySpec) -> Keeping:
    """Which epoch of the study's candidates counts."""
    return Keeping(spec.keep == "best", spec.budget.stop_after)


def runner_of(
    context: Context, spec: StudySpec, dataset: Dataset | None, place: str,
    over: Callable[[], bool],
) -> Runner:  # fmt: skip
    """A new runner for a study.

    Args:
        context: The worker's; once it is to leave, an epoch under way is broken off.
        spec: The study.
        dataset: Its data, on the worker's device; None where its own training code has it.
        place: Where its checkpoints lie, and the logs of own training code.
        over: Once it says True no candidate begins another epoch.
    """
    if dataset is None:
        return _children(context, spec, place, over)
    return Array(
        dataset, spec.metric, context.device, stack=spec.search.slots, keeping=keeping_of(spec),
        interrupted=context.stop.is_set, over=over,
    )  # fmt: skip


def tester_of(runner: Runner) -> Tester | None:
    """The runner as what tests by own code what it has trained; None where hpsearch does that."""
    return runner if isinstance(runner, Children) else None


def _children(context: Context, spec: StudySpec, place: str, over: Callable[[], bool]) -> Children:
    code, nursery = context.code, context.nursery
    if nursery is None:
        raise CodeError("own training code needs Linux, where its processes can be forked")
    at_once = spec.resources.per_gpu if context.device.type == "cuda" else 1
    if isinstance(nursery, Here):
        code, at_once = Code(Path(), nursery.manifest), 1
    assert code is not None  # a worker without it does not serve the study
    job = job_of(spec, code, context.options.threads)
    if isinstance(nursery, Here):  # which calls what it was given, and knows no file of it
        job = replace(job, evaluate=EVALUATE if nursery.tests else None)
    folder = urls.folder(place)
    return Children(
        job, nursery, str(context.device), places=at_once,
        keeping=keeping_of(spec), logs=None if folder is None else Path(folder),
        interrupted=context.stop.is_set, over=over,
    )  # fmt: skip

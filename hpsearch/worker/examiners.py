"""Who measures the trainings of a finish on rows that the search has not seen: hpsearch by the test
part of its data, or a study's own training code, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hpsearch.children.here import Here
from hpsearch.errors import CodeError
from hpsearch.handover.trained import Trained
from hpsearch.runner import TEST, Saved, Tester
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset
from hpsearch.sources.mean_row import mean_row
from hpsearch.sources.opening import open_test_part
from hpsearch.spec.own_training import untested
from hpsearch.spec.space import Assignment
from hpsearch.spec.task import TASKS
from hpsearch.stages.candidates import candidate_of
from hpsearch.stages.finish import Repeat
from hpsearch.worker.parts import Parts

if TYPE_CHECKING:
    from hpsearch.sources.dataset import Part

__all__ = ["Examiner", "LeavingError", "candidate_tested", "examiner_of"]


class Examiner(Protocol):
    """Measures trainings on rows that the search has not seen."""

    part: Part | None
    """The test part, once it has been used."""
    rows: int | None
    """Of it."""
    baselines: Mapping[str, Mapping[str, float]]
    """By name, the metrics of simple answers on it."""

    def untested(self, saved: Saved | None = None) -> str | None:
        """Why it cannot measure any training, or that one; None: it can."""

    def open(self) -> None:
        """Make ready to measure: from here on the test part has been used."""

    def measure(self, repeat: Repeat, values: Assignment, saved: Saved) -> Mapping[str, float]:
        """All metrics of a training. Raises `LeavingError` where the worker is to leave."""


class LeavingError(Exception):
    """The worker is to leave before it has measured all, or another one does that."""


def examiner_of(parts: Parts, dataset: Dataset | None, tester: Tester | None) -> Examiner:
    """Who measures a study's trainings: its own code does where hpsearch does not have its data."""
    if dataset is not None:
        return _OfNetworks(parts, dataset)
    assert tester is not None
    return _OfOwnCode(parts, tester)


class _OfNetworks:
    """By the test part of the study's data."""

    def __init__(self, parts: Parts, dataset: Dataset) -> None:
        self._parts, self._dataset = parts, dataset
        self.part: Part | None = None
        self.rows: int | None = None
        self.baselines: Mapping[str, Mapping[str, float]] = {}

    def untested(self, saved: Saved | None = None) -> str | None:
        """Every network can be measured."""
        return None

    def open(self) -> None:
        """Read the test part."""
        spec, study = self._parts.spec, self._parts.study
        self.part, baselines = open_test_part(
            spec, Path(study.base), self._dataset, self._parts.context.device
        )
        self.rows = len(self.part.targets)
        task = TASKS[self._dataset.task]
        if task.baseline is None:  # it takes the inputs
            constant = mean_row(self._dataset.problem(), self._dataset.train, self.part)
            baselines = [constant, *baselines]
        if spec.has_baselines(task):
            self.baselines = {simple.name: simple.values for simple in baselines}

    def measure(self, repeat: Repeat, values: Assignment, saved: Saved) -> Mapping[str, float]:
        """The metrics of that network."""
        spec, dataset, part = self._parts.spec, self._dataset, self.part
        assert part is not None
        network = Trained(spec.family, spec.settings(values), saved.network, dataset)
        return network.score(network.outputs_of(part, dataset.cache), part.targets, spec.metric)


class _OfOwnCode:
    """By the study's own code, which has its data."""

    def __init__(self, parts: Parts, tester: Tester) -> None:
        self._parts, self._tester = parts, tester
        self.part: Part | None = None
        self.rows: int | None = None
        self.baselines: Mapping[str, Mapping[str, float]] = {}

    def untested(self, saved: Saved | None = None) -> str | None:
        """Why there is nothing that tests, or nothing of that training to test."""
        train = self._parts.spec.train
        assert train is not None
        if not self._tester.tests:
            here = isinstance(self._parts.context.nursery, Here)
            return "hp.Study was given no evaluate(run, part)" if here else untested(train)
        if saved is not None and saved.own is None:
            return "its code saves nothing that could be tested (run.save)"
        return None

    def open(self) -> None:
        """Its code does that."""

    def measure(self, repeat: Repeat, values: Assignment, saved: Saved) -> Mapping[str, float]:
        """What its code says of that training."""
        parts = self._parts
        candidate = candidate_tested(parts, repeat.ticket, values)
        try:
            metrics = self._tester.test(candidate, saved, TEST)
        except CodeError as error:
            name = parts.study.name
            is_here = isinstance(parts.context.nursery, Here)  # what it prints is seen there
            log = "" if is_here else f" (hpsearch logs {name} {repeat.trial} shows all of it)"
            raise CodeError(
                f"the finish of study {name!r} waits for its test: {error}{log}. Fix that and "
                "continue with the changed code: "
                f"hpsearch run FILE --accept-code, or with workers hpsearch final {name} "
                "--accept-code. Nothing is trained again"
            ) from error
        if metrics is None:
            raise LeavingError
        return metrics


def candidate_tested(parts: Parts, ticket: int, values: Assignment) -> Candidate:
    """What the training of that ticket trained."""
    draw_index = parts.context.ledger.draw_index(parts.study.study_id, ticket)
    return candidate_of(parts.spec, parts.search.stages, draw_index, values, key=ticket)

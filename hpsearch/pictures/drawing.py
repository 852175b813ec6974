"""Which pictures a study and its trials have now, and each of them drawn when it is asked for.

Nothing here decides when: a worker that has nothing to train draws what is missing of the trials
that matter, and `hpsearch pictures` of those that somebody names.
"""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from hpsearch.errors import (
    CheckpointError,
    CodeError,
    DataError,
    HpsearchError,
    NotFoundError,
    StorageError,
    line,
)
from hpsearch.handover.kept import candidate_trained, saved_network
from hpsearch.handover.trained import Trained
from hpsearch.insight.importance import measure
from hpsearch.pictures import importance
from hpsearch.pictures.canvas import Format, rendered
from hpsearch.pictures.catalog import CURVES, Facts, Picture, of_study, of_trial
from hpsearch.pictures.gallery import Kept
from hpsearch.pictures.subject import Source, Subject
from hpsearch.sources.dataset import Prepared
from hpsearch.spec.settings import FINAL
from hpsearch.store.values import Artifact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.runner import Saved
    from hpsearch.runner.epoch import Epoch
    from hpsearch.sources.dataset import Dataset, Part
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["Drawing", "Material", "Sheet", "artifact"]

_log = logging.getLogger(__name__)


class _Module(Protocol):
    """What the module of a trial's picture has."""

    def gather(self, subject: Subject, /) -> Any:
        """The content, plain values; None where there is nothing to show."""

    def draw(self, content: Any, /) -> Figure:
        """The figure of that content."""


@dataclass(frozen=True)
class Material:
    """Where the data of a study comes from, opened when it is needed, and what is known already."""

    dataset: Callable[[], Dataset]
    """Raises DataError where it is missing or has changed."""
    test_part: Callable[[Dataset], Part]
    """Asked only for the network that a finish has measured on it."""
    curves: Mapping[int, Sequence[Epoch]] = field(default_factory=dict)
    """By ticket: the epochs of trials whose checkpoints may be gone by now."""
    saved: Mapping[int, Saved] = field(default_factory=dict)
    """By ticket: such checkpoints themselves."""


@dataclass(frozen=True)
class Sheet:
    """One picture that can be drawn."""

    kept: Kept
    draw: Callable[[Format], bytes | None]
    """Its file; None where it turns out that there is nothing to show. Raises anything: networks
    can be of own code."""

    def drawn(self, format_: Format) -> bytes | None:
        """The same; None, and a line in the log, where it cannot be drawn: the other pictures are
        worth having. Raises StorageError."""
        try:
            return self.draw(format_)
        except StorageError:
            raise
        except Exception as error:
            is_ours = isinstance(error, HpsearchError)
            _log.warning(
                "%s cannot be drawn: %s", self.kept.name, line(error), exc_info=not is_ours
            )
            return None


def artifact(study: Study, picture: Kept) -> Artifact:
    """A picture as Optuna knows it."""
    return Artifact(picture.artifact_id(study.uid), picture.name, picture.media_type, picture.trial)


class Drawing:
    """The pictures of one study, as it is in a snapshot."""

    def __init__(
        self, ledger: Ledger, snapshot: Snapshot, place: str, material: Material
    ) -> None:  # fmt: skip
        """`place` is that of its checkpoints."""
        self._ledger, self._snapshot, self._place = ledger, snapshot, place
        self._material = material
        self.notes: list[str] = []
        """Why pictures are left out, a sentence each."""

    def of_study(self) -> Iterator[Sheet]:
        """The pictures of the study as a whole."""
        for picture in of_study():
            yield Sheet(Kept(picture.name, None), self._importance)

    def worth_it(self) -> Iterator[Sheet]:
        """The pictures that are drawn by themselves, the most important first: of the study, of the
        trial whose network is handed over and of the best one; and the learning curves of what
        finishes have trained."""
        snapshot, numbers = self._snapshot, set[int]()
        if snapshot.best is not None:
            yield from self.of_study()
        for trial in (snapshot.network, snapshot.best):
            if trial is not None and trial.number not in numbers:
                numbers.add(trial.number)
                yield from self.of_trial(trial)
        for trial in snapshot.trials:
            trained = trial.stage == FINAL and trial.state == "COMPLETE"
            if trained and trial.number not in numbers:
                yield Sheet(Kept(CURVES.name, trial.number), _drawn(CURVES, self._bare(trial)))

    def of_trial(self, trial: Trial) -> Iterator[Sheet]:
        """The pictures of a trial; where its network is unavailable those that take none."""
        saved = self._saved(trial)
        subject = self._bare(trial) if saved is None else saved
        pictures = of_trial(self._facts if saved is None else saved.facts)
        for picture in pictures:
            if saved is not None or not picture.network:
                yield Sheet(Kept(picture.name, trial.number), _drawn(picture, subject))

    @property
    def _facts(self) -> Facts:
        """What can be said without the data; it decides of no picture that takes a network."""
        snapshot = self._snapshot
        target = "inputs" if snapshot.task is None else snapshot.task.target
        return Facts(target, "rows", (), len(snapshot.classes))

    def _bare(self, trial: Trial) -> Subject:
        snapshot = self._snapshot
        return Subject(
            self._title(trial), snapshot.metric, snapshot.direction, trial,
            self._material.curves.get(trial.ticket), snapshot.classes,
        )  # fmt: skip

    def _saved(self, trial: Trial) -> Subject | None:
        """The trial with its network and its data; None, and a note, where they are not here."""
        if self._snapshot.spec.train is not None:  # its networks are its own code's alone
            return None
        best, network = self._snapshot.best, self._snapshot.network
        try:
            return self._subject(trial)
        except (CheckpointError, CodeError, DataError, NotFoundError) as error:
            over = isinstance(error, CheckpointError) and trial.ended is not None
            if over and trial not in (best, network) and trial.stage != FINAL:
                self.notes.append(
                    f"trial {trial.number} is shown without its network: a study keeps those of "
                    "its best trial and of its finish"
                )
            elif trial is not best or trial is network:  # after a finish that of the best is gone
                self.notes.append(f"without its network, trial {trial.number} has fewer: {error}")
            return None

    def _subject(self, trial: Trial) -> Subject:
        snapshot, spec = self._snapshot, self._snapshot.spec
        study_id = snapshot.study.study_id
        candidate = candidate_trained(self._ledger, study_id, spec, trial)
        checkpoint = self._material.saved.get(trial.ticket)
        saved = saved_network(self._place, candidate, trial) if checkpoint is None else checkpoint
        data = self._dataset
        problem = Prepared(**{name: getattr(data, name) for name in Prepared.__dataclass_fields__})
        problem = replace(problem, threshold=trial.details.get("threshold"))
        trained = Trained(spec.family, candidate.settings, saved.network, problem)
        source = Source(problem, data.train, *self._part(trial))
        return Subject(
            self._title(trial), snapshot.metric, snapshot.direction, trial, saved.curve,
            problem.classes, trained, source,
        )  # fmt: skip

    def _part(self, trial: Trial) -> tuple[Part, str]:
        """The rows that a trial is shown on: the test part where a finish has measured this very
        network on it, and else none but those that it was chosen by."""
        snapshot = self._snapshot
        if snapshot.handed is not None and snapshot.handed.number == trial.number:
            return self._test_part, "test part"
        data = snapshot.spec.data
        on_test = data is not None and data.measured_on_test
        return self._dataset.validation, "test part" if on_test else "validation part"

    @cached_property
    def _dataset(self) -> Dataset:
        return self._material.dataset()

    @cached_property
    def _test_part(self) -> Part:
        return self._material.test_part(self._dataset)

    def _title(self, trial: Trial) -> str:
        return f"{self._snapshot.study.name}, trial {trial.number}"

    def _importance(self, format_: Format) -> bytes | None:
        try:
            measured = measure(self._ledger, self._snapshot.study.name)
        except NotFoundError:  # too few trials, or there is nothing to compare
            return None
        content = importance.content_of(self._snapshot.study.name, measured)
        return rendered(importance.draw, content, format_)


def _drawn(picture: Picture, subject: Subject) -> Callable[[Format], bytes | None]:
    """What draws a picture of a trial."""

    def draw(format_: Format) -> bytes | None:
        module = cast("_Module", pkgutil.resolve_name(f"hpsearch.pictures.{picture.name}"))
        content = module.gather(subject)
        return None if content is None else rendered(module.draw, content, format_)

    return draw

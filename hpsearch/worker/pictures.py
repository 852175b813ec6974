"""The pictures of a study that has ended, drawn by a worker that has nothing to train.

One at a time: between two the worker looks for work. Of several workers one draws, by a claim in
the database, and one that has the network at hand. Whatever goes wrong costs pictures alone:
`hpsearch pictures` draws what is missing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError, UnreachableError
from hpsearch.runner import Saved
from hpsearch.sources.opening import open_test_part
from hpsearch.spec import StudySpec

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.runner.epoch import Epoch
    from hpsearch.sources.dataset import Dataset, Part
    from hpsearch.store.values import Study
    from hpsearch.worker.context import Context

__all__ = ["Pictures"]

_CLAIM_S = 120.0
"""After which another worker takes the drawing over from one that was killed."""
_MOST_S = 20.0
"""Seconds of drawing after which no further picture is begun."""

_log = logging.getLogger(__name__)


class Pictures:
    """The pictures of one study, drawn once it has ended."""

    def __init__(self, context: Context, study: Study, place: str, dataset: Dataset | None) -> None:
        """`place` is that of its checkpoints; without a dataset it trains by own code."""
        self._context, self._study, self._place, self._dataset = context, study, place, dataset
        self._test: Part | None = None
        self._curves: Mapping[int, Sequence[Epoch]] = {}
        self._saved: dict[int, Saved] = {}
        self._steps: Iterator[None] | None = None

    def know(
        self, test: Part | None, curves: Mapping[int, Sequence[Epoch]], best: int | None
    ) -> None:
        """What the verdict of a finish leaves, before checkpoints are cleared away: the test part,
        which it has used, the curves of trainings, and the ticket of the search's `best` trial."""
        if not self._context.options.pictures:
            return
        # At once, as others see by now that the study is done: who has all this at hand draws.
        with suppress(UnreachableError):
            self._context.ledger.claim_pictures(self._study, self._context.name, _CLAIM_S)
        self._test, self._curves = test, curves
        if best is not None:
            with suppress(CheckpointError):
                state = Checkpoints(self._place).load(best)
                self._saved = {} if state is None else {best: Saved(state)}

    def begin(self) -> None:
        """The study has ended, or has ended once more."""
        if self._context.options.pictures:
            self._steps = self._drawn()

    def step(self) -> bool:
        """Draw the next one; whether there may be more."""
        if self._steps is None:
            return False
        try:
            next(self._steps)
        except StopIteration:
            self._let_go()
            return False
        except CheckpointError as error:  # the study and the worker are none the worse
            _log.warning("the pictures of study %s are not complete: %s; hpsearch pictures %s "
                         "draws the others", self._study.name, error, self._study.name)  # fmt: skip
            self._let_go()
            return False
        except BaseException:
            self._let_go()
            raise
        return True

    def _let_go(self) -> None:
        self._steps, self._test, self._curves, self._saved = None, None, {}, {}

    def _drawn(self) -> Iterator[None]:
        """Draw and keep them, one at each step."""
        # Loaded here: a worker has a study to train first, and may never draw any.
        from hpsearch.insight.reader import Reader
        from hpsearch.pictures.drawing import Drawing, Material, artifact
        from hpsearch.pictures.gallery import Gallery

        ledger, study = self._context.ledger, self._study
        if ledger.current(study) is None:
            return
        snapshot = Reader(ledger, study.name).snapshot()
        if not self._is_mine(snapshot):
            return
        gallery = Gallery.of(ledger, study, self._context.options.checkpoints)
        names = {picture.name for picture in gallery.kept()}
        material = Material(self._data, self._test_part, self._curves, self._saved)
        drawing = Drawing(ledger, snapshot, self._place, material)
        until = time.monotonic() + _MOST_S
        for sheet in drawing.worth_it():
            # That of a study changes with each trial; those of a trial that has ended never do.
            if sheet.kept.name in names and sheet.kept.trial is not None:
                continue
            content = sheet.drawn("png")
            if content is not None:
                gallery.put(sheet.kept, content)
                ledger.record_pictures(study, [artifact(study, sheet.kept)])
            yield
            if time.monotonic() >= until:
                break
        for note in drawing.notes:
            _log.info("pictures of study %s: %s", study.name, note)
        ledger.record_pictures(study, [], done=True)

    def _is_mine(self, snapshot: Snapshot) -> bool:
        """Whether they are to be drawn, and here: where the network lies on another machine, a
        worker there does it."""
        network, ledger = snapshot.network, self._context.ledger
        if network is None or snapshot.study.uid != self._study.uid:
            return False
        is_ours = self._dataset is not None and network.unsaved is None
        if is_ours and Checkpoints(self._place).path(network.ticket) is None:
            return False
        return ledger.claim_pictures(self._study, self._context.name, _CLAIM_S)

    def _data(self) -> Dataset:
        assert self._dataset is not None
        return self._dataset

    def _test_part(self, dataset: Dataset) -> Part:
        """The one that the verdict has used here; read again where another worker gave it."""
        if self._test is not None:
            return self._test
        spec = StudySpec.from_document(self._study.document)
        return open_test_part(spec, Path(self._study.base), dataset, self._context.device)[0]

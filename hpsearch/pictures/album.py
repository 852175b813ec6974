"""The pictures that somebody asks for: what is kept is taken from there, what is missing is drawn,
kept, and written where it is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch import files
from hpsearch.checkpoints.places import checkpoint_place, owner
from hpsearch.code import use
from hpsearch.errors import CheckpointError, HpsearchError, NotFoundError, line
from hpsearch.handover.code import saved_code
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Trial
from hpsearch.pictures.drawing import Drawing, Material, Sheet, artifact
from hpsearch.pictures.gallery import Gallery, Kept
from hpsearch.sources.dataset import check_same
from hpsearch.sources.opening import data_settings, open_data, open_test_part

if TYPE_CHECKING:
    from hpsearch.pictures.canvas import Format
    from hpsearch.sources.dataset import Dataset, Part
    from hpsearch.store.ledger import Ledger

__all__ = ["Album"]


class Album:
    """The pictures of one study, for anyone who asks for them."""

    def __init__(
        self, ledger: Ledger, name: str, said: str | None = None, code: Path | None = None
    ) -> None:
        """
        Args:
            ledger: Where the study is kept.
            name: Its name.
            said: Where checkpoints lie, if an option or the environment says so.
            code: The folder of the study's own code; None: none is named.

        Raises NotFoundError where there is no such study.
        """
        self._ledger, self._said, self._code = ledger, said, code
        self._snapshot = Reader(ledger, name).snapshot()
        self._study = self._snapshot.study
        self._gallery = Gallery.of(ledger, self._study, said)
        place = checkpoint_place(ledger.database, self._study, said)
        material = Material(self._dataset, self._test_part)
        self._drawing = Drawing(ledger, self._snapshot, place, material)
        self._notes: list[str] = []

    @property
    def place(self) -> str:
        """Where they are kept: what a user may see of it."""
        return self._gallery.place

    @property
    def notes(self) -> list[str]:
        """What a reader should know, a sentence each."""
        return [*self._notes, *self._drawing.notes]

    def drawn(self, trial: int | None = None) -> Iterator[tuple[Kept, bytes]]:
        """Each picture, of that trial or of all that matter, with its PNG; what is missing is
        drawn, and kept where it can be."""
        yield from self._pictures("png", trial)

    def keep(self, trial: int | None = None) -> list[dict[str, Any]]:
        """Draw what is missing, of that trial or of all that matter, and keep it: a row for each
        picture that is there then.

        Raises CheckpointError where nothing can be kept.
        """
        rows = []
        for kept, _ in self._pictures("png", trial, must_keep=True):
            rows.append({"file": kept.name, "title": kept.title, "trial": kept.trial})
        return rows

    def write(
        self, folder: Path, format_: Format, trial: int | None = None, *, force: bool = False
    ) -> list[dict[str, Any]]:
        """Write the pictures to a folder, which is made where it is missing: a row for each.

        Raises ConflictError where a file is there already, HpsearchError where it cannot be
        written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HpsearchError(f"{folder} cannot be made: {line(error)}") from None
        whose, rows = owner(self._ledger.database, self._ledger.studies(), self._said), []
        for kept, content in self._pictures(format_, trial):
            path = folder / f"{kept.name.rpartition('.')[0]}.{format_}"
            files.put(path, content, whose, force=force)
            rows.append({"file": str(path), "title": kept.title, "trial": kept.trial})
        return rows

    def _pictures(
        self, format_: Format, trial: int | None, *, must_keep: bool = False
    ) -> Iterator[tuple[Kept, bytes]]:
        """Each picture with its file. Only PNGs are kept, and taken from there."""
        there = self._there(must_keep=must_keep) if format_ == "png" else None
        known, shown = {kept.name for kept in there or ()}, set[str]()
        for sheet in self._sheets(trial):
            # That of a study changes with each trial; those of a trial that has ended never do.
            shown.add(sheet.kept.name)
            if sheet.kept.name in known and sheet.kept.trial is not None:
                yield sheet.kept, self._gallery.content(sheet.kept)
                continue
            content = sheet.drawn(format_)
            if content is not None:
                if there is not None and self._is_over(sheet.kept):
                    self._keep(sheet.kept, content, must_keep=must_keep)
                yield sheet.kept, content
        for kept in there or ():  # of networks that are gone by now
            if kept.name not in shown and trial in (None, kept.trial):
                yield kept, self._gallery.content(kept)
        if there:  # those that a worker was killed over are Optuna's artifacts from now on, too
            self._ledger.record_pictures(
                self._study, [artifact(self._study, kept) for kept in there]
            )

    def _sheets(self, trial: int | None) -> Iterator[Sheet]:
        if trial is None:
            return self._drawing.worth_it()
        return self._drawing.of_trial(self._trial(trial))

    def _trial(self, number: int) -> Trial:
        found = next((t for t in self._snapshot.trials if t.number == number), None)
        if found is None:
            count = len(self._snapshot.trials)
            raise NotFoundError(
                f"study {self._study.name!r} has no trial {number}; it has {count}, from 0"
            )
        return found

    def _is_over(self, kept: Kept) -> bool:
        """Whether a picture stays what it is: that of a trial under way does not."""
        return kept.trial is None or self._trial(kept.trial).state != "RUNNING"

    def _there(self, *, must_keep: bool) -> tuple[Kept, ...] | None:
        """What is kept; None, and a note, where nobody can tell."""
        try:
            return self._gallery.kept()
        except CheckpointError as error:
            if must_keep:
                raise
            self._notes.append(f"the pictures are not kept beside the checkpoints: {error}")
            return None

    def _keep(self, kept: Kept, content: bytes, *, must_keep: bool) -> None:
        try:
            self._gallery.put(kept, content)
        except CheckpointError as error:
            if must_keep:
                raise
            self._notes.append(f"{kept.name} is not kept: {error}")
        else:
            self._ledger.record_pictures(self._study, [artifact(self._study, kept)])

    # --- what a picture of a network takes ----------------------------------------------------

    def _dataset(self) -> Dataset:
        import torch

        spec, base = self._snapshot.spec, Path(self._study.base)
        own = dict(self._ledger.code(self._study).files) if self._study.code else None
        use(saved_code(own, self._code))
        dataset = open_data(spec, base, torch.device("cpu"), self._study.data)
        check_same(data_settings(spec, base.absolute()), self._study.data or {}, dataset.record)
        return dataset

    def _test_part(self, dataset: Dataset) -> Part:
        import torch

        spec, base = self._snapshot.spec, Path(self._study.base)
        return open_test_part(spec, base, dataset, torch.device("cpu"))[0]

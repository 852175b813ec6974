"""The pictures that somebody asks for: what is kept is taken from there, what is missing is drawn,
kept, and written where it is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch import files
from hpsearch.checkpoints.places import checkpoint_place, owner
from hpsearch.code import use
from hpsearch.errors import CheckpointError, NotFoundError
from hpsearch.handover.code import saved_code
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Trial
from hpsearch.insight.words import counted
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
        self, ledger: Ledger, name: str, option: str | None = None, code: Path | None = None
    ) -> None:
        """
        Args:
            ledger: Where the study is kept.
            name: Its name.
            option: Where checkpoints lie, if an option or the environment says so.
            code: The folder of the study's own code; None: none is named.

        Raises NotFoundError where there is no such study.
        """
        self._ledger, self._said, self._code = ledger, option, code
        self._snapshot = Reader(ledger, name).snapshot()
        self._study = self._snapshot.study
        self._gallery = Gallery.of(ledger, self._study, option)
        place = checkpoint_place(ledger.database, self._study, option)
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

    def why_none(self, number: int | None = None) -> str:
        """Why there is no picture of that trial, or of any that matters, and what to do."""
        name = self._study.name
        trial = None if number is None else self._trial(number)
        if trial is None or trial.ended is None:
            whose = f"study {name!r}" if trial is None else f"trial {number} of study {name!r}"
            return f"{whose} has nothing to show yet: pictures are of trials of two epochs or more"
        reason = f" ({trial.reason})" if trial.reason else ""
        return (
            f"there is nothing to draw of trial {number} of study {name!r}, which ended as "
            f"{trial.state}{reason} with {counted(len(trial.curve), 'epoch')}: learning curves "
            f"take two; hpsearch pictures {name} draws the best trial"
        )

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
        for picture, _ in self._pictures("png", trial, must_keep=True):
            rows.append({"file": picture.name, "title": picture.title, "trial": picture.trial})
        return rows

    def write(
        self, folder: Path, format_: Format, trial: int | None = None, *, force: bool = False
    ) -> list[dict[str, Any]]:
        """Write the pictures to a folder, which is made where it is missing: a row for each.

        Raises ConflictError where a file is there already, HpsearchError where it cannot be
        written.
        """
        files.make_folder(folder)
        whose, rows = owner(self._ledger.database, self._ledger.studies(), self._said), []
        for picture, content in self._pictures(format_, trial):
            path = folder / f"{picture.name.rpartition('.')[0]}.{format_}"
            files.put(path, content, whose, force=force)
            rows.append({"file": str(path), "title": picture.title, "trial": picture.trial})
        return rows

    def _pictures(
        self, format_: Format, trial: int | None, *, must_keep: bool = False
    ) -> Iterator[tuple[Kept, bytes]]:
        """Each picture with its file. Only PNGs are kept, and taken from there."""
        in_gallery = self._there(must_keep=must_keep) if format_ == "png" else None
        names, shown = {picture.name for picture in in_gallery or ()}, set[str]()
        for sheet in self._sheets(trial):
            # That of a study changes with each trial; those of a trial that has ended never do.
            shown.add(sheet.kept.name)
            if sheet.kept.name in names and sheet.kept.trial is not None:
                yield sheet.kept, self._gallery.content(sheet.kept)
                continue
            content = sheet.drawn(format_)
            if content is not None:
                if in_gallery is not None and self._is_over(sheet.kept):
                    self._keep(sheet.kept, content, must_keep=must_keep)
                yield sheet.kept, content
        for picture in in_gallery or ():  # of networks that are gone by now
            if picture.name not in shown and trial in (None, picture.trial):
                yield picture, self._gallery.content(picture)
        if (
            in_gallery
        ):  # those that a worker was killed over are Optuna's artifacts from now on, too
            self._ledger.record_pictures(
                self._study, [artifact(self._study, picture) for picture in in_gallery]
            )

    def _sheets(self, trial: int | None) -> Iterator[Sheet]:
        if trial is None:
            return self._drawing.worth_it()
        return self._drawing.of_trial(self._trial(trial))

    def _trial(self, number: int) -> Trial:
        trial = next((t for t in self._snapshot.trials if t.number == number), None)
        if trial is None:
            count = len(self._snapshot.trials)
            raise NotFoundError(
                f"study {self._study.name!r} has no trial {number}; it has {count}, from 0"
            )
        return trial

    def _is_over(self, picture: Kept) -> bool:
        """Whether a picture stays what it is: that of a trial under way does not."""
        return picture.trial is None or self._trial(picture.trial).state != "RUNNING"

    def _there(self, *, must_keep: bool) -> tuple[Kept, ...] | None:
        """What is kept; None, and a note, where nobody can tell."""
        try:
            return self._gallery.kept()
        except CheckpointError as error:
            if must_keep:
                raise
            self._notes.append(f"the pictures are not kept beside the checkpoints: {error}")
            return None

    def _keep(self, picture: Kept, content: bytes, *, must_keep: bool) -> None:
        try:
            self._gallery.put(picture, content)
        except CheckpointError as error:
            if must_keep:
                raise
            self._notes.append(f"{picture.name} is not kept: {error}")
        else:
            self._ledger.record_pictures(self._study, [artifact(self._study, picture)])

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

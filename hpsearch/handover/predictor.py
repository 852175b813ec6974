"""A network that was handed over, at work: rows as they come in, predictions out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch

from hpsearch.errors import CheckpointError, ConflictError, DataError, line
from hpsearch.files import content as read_content
from hpsearch.handover.folder import Config, read
from hpsearch.handover.trained import Trained
from hpsearch.sources import tables
from hpsearch.sources.csvfile import Column, columns_of, read_columns
from hpsearch.sources.dataset import locations, test_part
from hpsearch.sources.imagefile import ARRAYS, images_of, read_array, read_images
from hpsearch.sources.inputs import ImageInputs, TableInputs
from hpsearch.tasks.learning import learning

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from hpsearch.sources.inputs import Values

__all__ = ["Frame", "Predictions", "Predictor", "load"]

_TABLE = "the table"


@dataclass(frozen=True)
class Predictions:
    """What a network makes of N rows."""

    values: tuple[str, ...] | tuple[float, ...]
    """Of each row the class's name, or the number in the target's own unit."""
    probabilities: NDArray[np.float64] | None
    """(N, classes), in the order of the network's `classes`; None where the task gives none."""
    score: Mapping[str, float] | None = None
    """All metrics, where the table has the target's column."""
    scored: int = 0
    """Rows with a target: those that the score is of."""
    notes: tuple[str, ...] = ()
    """What a reader should know, a sentence each."""


@runtime_checkable
class Frame(Protocol):
    """A table in memory, such as a pandas DataFrame; pandas itself is not needed here."""

    def to_csv(self, *, index: bool) -> str:
        """The table as a file has it, without the rows' own names."""


class Predictor:
    """A network that was handed over, with its preprocessing."""

    def __init__(self, config: Config, trained: Trained) -> None:
        self._config, self._trained = config, trained
        self._problem, self._metric = config.problem, config.metrics.metric

    @property
    def network(self) -> nn.Module:
        """The network itself, on the CPU, to predict with: (N, *input shape) -> (N, outputs).

        It takes inputs that are preprocessed; for two classes it may have one output, the logit of
        the second.
        """
        return self._trained.network

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none where the target is a number."""
        return self._problem.classes

    @property
    def config(self) -> dict[str, Any]:
        """What config.json says."""
        return self._config.as_json()

    def predict(self, rows: Frame | Iterable[Mapping[str, object]] | NDArray[Any]) -> Predictions:
        """Predictions for rows as the study's data has them.

        Args:
            rows: Of a table a DataFrame, which counts as the file that it would be written to; or
                one mapping a row, from the columns' names to text or numbers (what csv.DictReader
                gives), None for a missing value.
                Of images an array (N, C, H, W), (N, H, W, C), or (N, H, W) for one channel, of
                pixels in the data set's own range.

        Raises DataError for rows of another kind.
        """
        wanted = self._problem.preprocessing
        if isinstance(wanted, ImageInputs):
            return self._predictions(images_of("the array", np.asarray(rows), wanted))
        if isinstance(rows, Frame):
            content = rows.to_csv(index=False).encode(errors="backslashreplace")
            return self._of_table(_TABLE, read_columns(Path(_TABLE), content, every=True), wanted)
        table = list(rows)  # csv.DictReader gives them once
        if not all(isinstance(row, Mapping) for row in table):
            raise DataError(
                "expected a DataFrame, or rows of a table, each a mapping from the columns' names"
            )
        return self._of_table(_TABLE, columns_of(table), wanted)

    def predict_files(self, files: Sequence[Path]) -> Predictions:
        """Predictions for a table or an array in one file, or for image files, one row each.

        Raises DataError where they are not what the network takes.
        """
        wanted = self._problem.preprocessing
        if isinstance(wanted, ImageInputs):
            if files[0].suffix not in ARRAYS:
                images, notes = read_images(files, wanted)
                return replace(self._predictions(images), notes=notes)
            _only(files)
            array = read_array(files[0], wanted)
            return self._predictions(images_of(str(files[0]), array, wanted))
        _only(files)
        try:
            content = read_content(files[0], stream=True)
        except OSError as error:
            raise DataError(f"cannot read the table {files[0]}: {line(error)}") from error
        columns = read_columns(files[0], content, every=True)  # a prediction for each of its rows
        return self._of_table(str(files[0]), columns, wanted)

    def test(self, moved: Path | None = None) -> dict[str, float]:
        """All metrics on the test part of the study's own data, read again.

        Args:
            moved: Where its table lies now, or the folder of its images.

        Raises ConflictError where no finish has used the test part, DataError where the
        data is missing or is not what it was.
        """
        if self._config.metrics.test is None:
            raise ConflictError(
                "no finish has used the test part for this network, and to use it now "
                "would spoil it for one; see hpsearch final"
            )
        data = self._config.data
        settings = data.settings
        if moved is not None:
            if settings.path is None and not locations(settings):
                raise DataError(f"{settings.source} lies in no file: --test takes no FILE there")
            is_table = settings.path is not None
            settings = replace(settings, path=moved) if is_table else replace(settings, root=moved)
        record = {"fingerprint": data.fingerprint, "split": data.split}
        part = test_part(settings, self._problem, record, torch.device("cpu"))
        outputs = self._trained.outputs(part.inputs)
        return self._trained.score(outputs, part.targets, self._metric)

    def _of_table(
        self, source: str, columns: dict[str, Column], wanted: TableInputs
    ) -> Predictions:
        if not any(column.texts for column in columns.values()):
            raise DataError(f"{source} has no rows")
        raw = tables.values_of(source, columns, wanted)
        outputs = self._outputs(raw, source)
        found = replace(self._told(outputs), notes=_unseen(raw, wanted))
        target = columns.get(self._config.data.settings.target or "")
        if target is None or target.missing == len(target.texts):
            return found
        try:
            return self._scored(found, outputs, target, source)
        except DataError as error:
            return replace(found, notes=(*found.notes, f"not scored: {error}"))

    def _scored(
        self, found: Predictions, outputs: Tensor, target: Column, source: str
    ) -> Predictions:
        """With the score of the rows that have a target; DataError where they have no score."""
        there = [bool(text) for text in target.texts]
        known = tables.known_targets(source, target.where(there), self.classes)
        targets = self._problem.targets(known, source)
        score = self._trained.score(outputs[torch.tensor(there)], targets, self._metric)
        if not math.isfinite(score[self._metric]):
            raise DataError(f"{source} has too few different rows for {self._metric}")
        return replace(found, score=score, scored=len(known))

    def _predictions(self, images: NDArray[Any]) -> Predictions:
        return self._told(self._outputs(images, "the images"))

    def _outputs(self, raw: Any, source: str) -> Tensor:
        return self._trained.outputs(self._problem.inputs(raw, source))

    def _told(self, outputs: Tensor) -> Predictions:
        """Outputs in words, or in the target's unit."""
        found = learning(self._problem.task).predictions(outputs, self._problem.problem())
        return Predictions(found.values, found.probabilities)


def load(folder: Path | str) -> Predictor:
    """The network that `hpsearch best STUDY --save` has put in a folder.

    Raises CheckpointError where there is none, or where it is damaged.
    """
    folder = Path(folder)
    config, weights = read(folder)
    network = config.network
    try:
        trained = Trained(network.family, network.settings, weights, config.problem)
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{folder}: {line(error)}; save the network again") from error
    return Predictor(config, trained)


def _unseen(raw: Values, wanted: TableInputs) -> tuple[str, ...]:
    """What is said of values that the training rows do not have."""
    notes = []
    for column in wanted.categories:
        known = {"", *column.values}
        odd = [text for text in raw[column.name] if text not in known]
        if odd:
            notes.append(
                f"column `{column.name}`: values that training has not seen count as none of "
                f"those it has: {len(odd)} of {len(raw[column.name])}, such as `{odd[0]}`"
            )
    return tuple(notes)


def _only(files: Sequence[Path]) -> None:
    if len(files) > 1:
        raise DataError(f"give one table or array at a time; got {len(files)} files")

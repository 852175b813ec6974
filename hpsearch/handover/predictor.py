"""A network that was handed over, at work: rows as they come in, predictions out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hpsearch.code import Code, is_reference, running
from hpsearch.errors import CheckpointError, ConflictError, DataError, line
from hpsearch.files import refusals_told
from hpsearch.handover.code import saved_code
from hpsearch.handover.folder import Config, read
from hpsearch.handover.labels import classes_as
from hpsearch.handover.trained import Trained
from hpsearch.sources.dataset import test_part
from hpsearch.sources.inputs import Frame, Given, finite
from hpsearch.spec.family import module_of
from hpsearch.spec.source import SOURCES
from hpsearch.tasks.learning import learning

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from hpsearch.sources.inputs import Known
    from hpsearch.sources.split import DataSettings

__all__ = ["Frame", "Predictions", "Predictor", "load"]

_SEEN = (
    "this is the data of the network's study, with the rows that it learned from: its score says "
    "little of new rows; hpsearch predict DIR --test measures those held out, after a finish"
)


@dataclass(frozen=True)
class Predictions:
    """The predictions for N rows."""

    values: tuple[str, ...] | tuple[float, ...]
    """For each row one of the network's `classes`, or the number in the target's own unit; for
    anomalies `normal` or `strange`."""
    probabilities: NDArray[np.float64] | None
    """(N, classes), in the order of the network's `classes`; None if the task gives none."""
    scores: NDArray[np.float64] | None = None
    """(N,), for anomalies: the mean squared error of each row. Rows above the network's threshold
    are `strange`. None for other tasks."""
    score: Mapping[str, float] | None = None
    """All metrics, if the rows have their target; else None."""
    scored: int = 0
    """How many rows have a target, and so count in `score`."""
    names: tuple[str, ...] = ()
    """The name of each row, such as its file or its time; empty if rows have no names."""
    named: str = "file"
    """The kind of `names`: `file`, `time` and so on."""
    notes: tuple[str, ...] = ()
    """Notes on the rows, a sentence each: new categories, dates beyond the range."""


class Predictor:
    """A saved network with its preprocessing."""

    def __init__(self, config: Config, trained: Trained, code: Code | None = None) -> None:
        self._config, self._trained, self._code = config, trained, code
        self._problem, self._metric = config.problem, config.metrics.metric

    @property
    def network(self) -> nn.Module:
        """The `torch.nn.Module`, on the CPU: (N, *input shape) -> (N, outputs).

        It takes preprocessed inputs. For two classes it may have one output, the logit of the
        second class.
        """
        return self._trained.network

    @property
    def classes(self) -> tuple[str, ...] | tuple[int, ...]:
        """The classes as the study's data has them: `int` or `bool` where the target's column (or
        array) holds whole numbers or booleans, else names; empty if the target is a number."""
        return classes_as(self._config.data.labels, self._problem.classes)

    @property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`."""
        return self._config.as_json()

    @property
    def data_files(self) -> tuple[Path, ...]:
        """The files and folders of the study's data, where it lies in any that are named."""
        settings = self._config.data.settings
        source = SOURCES[settings.section.source]
        names = [getattr(settings.section, key) for key in source.files]
        root = getattr(settings.section, "root", None)
        if isinstance(root, str) and source.folder:
            names.append(f"{root}/{source.folder}")
        return tuple(settings.base / name for name in names if isinstance(name, str))

    def predict(self, rows: Frame | Iterable[Mapping[str, object]] | NDArray[Any]) -> Predictions:
        """Predictions for rows as the study's data has them.

        Args:
            rows: Of a table a DataFrame, which counts as the file that it would be written to; or
                one mapping a row, from the columns' names to text or numbers (what csv.DictReader
                gives), None for a missing value.
                Of images an array (N, C, H, W), (N, H, W, C), or (N, H, W) for one channel, of
                pixels in the data set's own range.

        Raises DataError if the rows are not what the network takes.
        """
        with np.errstate(all="ignore"), self._blamed():  # an overflow is an error below
            given = self._problem.preprocessing.of_rows(rows)
        return self._predictions(given)

    def predict_files(self, files: Sequence[Path]) -> Predictions:
        """Predictions for a table or an array in one file, or for image files, one row each.

        Raises DataError if they are not what the network takes.
        """
        ignored = np.errstate(all="ignore")  # an overflow is an error below
        with ignored, self._blamed(), refusals_told():
            given = self._problem.preprocessing.of_files(files)
        return self._predictions(given)

    def _blamed(self) -> AbstractContextManager[None]:
        """Inside, what goes wrong in a source of an installed package is a CodeError."""
        return SOURCES.blamed(self._config.data.settings.section.source)

    def sample(self) -> Predictions:
        """The predictions for one row of zeros, as an example of their form."""
        kind = np.int64 if self._problem.kind == "tokens" else np.float32
        return self._predictions(Given(np.zeros((1, *self._problem.input_shape), kind)))

    def test(self, moved: Path | None = None) -> dict[str, float]:
        """All metrics on the test part of the study's own data, read again.

        Args:
            moved: The new path of the table or of the folder of images, if it has moved.

        Raises ConflictError if no finish has used the test part, DataError if the data is missing
        or has changed.
        """
        if self._config.metrics.test is None:
            raise ConflictError(
                "no finish has used the test part for this network, and to use it now "
                "would spoil it for one: hpsearch final STUDY is one"
            )
        data = self._config.data
        settings = data.settings
        if moved is not None:
            settings = _moved(settings, moved)
        record = {
            "fingerprint": data.fingerprint, "split": data.split, "decided": data.decided,
        }  # fmt: skip
        with running(self._code):
            return self._measured(settings, record)

    def _measured(self, settings: DataSettings, record: Mapping[str, Any]) -> dict[str, float]:
        part, _ = test_part(settings, self._problem, record, torch.device("cpu"))
        outputs = self._trained.outputs(part)
        return self._trained.score(outputs, part.targets, self._metric)

    def _predictions(self, given: Given) -> Predictions:
        with running(self._code):
            return self._predicted(given)

    def _predicted(self, given: Given) -> Predictions:
        columns = SOURCES[self._config.data.settings.section.source].has_columns
        inputs = finite(given.inputs, given.source, columns=columns)
        outputs = self._trained.outputs(torch.from_numpy(inputs))
        predictions = replace(
            self._told(outputs), notes=given.notes, names=given.names, named=given.named
        )
        unscored = given.unscored
        if given.known is not None:
            try:
                scored = self._scored(predictions, outputs, given.known, given.source)
                seen = given.fingerprint and given.fingerprint == self._config.data.fingerprint
                return replace(scored, notes=(*given.notes, _SEEN)) if seen else scored
            except DataError as error:
                unscored = str(error)
        if not unscored:
            return predictions
        return replace(predictions, notes=(*given.notes, f"not scored: {unscored}"))

    def _scored(
        self, predictions: Predictions, outputs: Tensor, known: Known, source: str
    ) -> Predictions:
        """With the score of the rows that have a target; DataError where they have no score."""
        targets = self._problem.targets(known.targets, source)
        score = self._trained.score(outputs[torch.from_numpy(known.rows)], targets, self._metric)
        if not math.isfinite(score[self._metric]):
            raise DataError(f"{source} has too few different rows for {self._metric}")
        return replace(predictions, score=score, scored=len(known.rows))

    def _told(self, outputs: Tensor) -> Predictions:
        """Outputs in words, or in the target's unit."""
        predictions = learning(self._problem.task).predictions(outputs, self._problem.problem())
        values: tuple[Any, ...] = predictions.values
        if self._config.data.labels is not None:
            classes = dict(zip(self._problem.classes, self.classes, strict=True))
            values = tuple(classes[name] for name in values)
        return Predictions(values, predictions.probabilities, predictions.scores)


def _moved(settings: DataSettings, moved: Path) -> DataSettings:
    """The same data, which lies elsewhere now: its file, or the folder of its files."""
    section = settings.section
    source = SOURCES[section.source]
    keys = (*source.files[:1], *(["root"] if source.folder else []))
    if not keys:
        raise DataError(f"{source.name} lies in no file: --test takes no FILE there")
    section = section.model_copy(update={keys[0]: str(moved.absolute())})
    return replace(settings, section=section)


def load(folder: Path | str, code: Path | str | None = None) -> Predictor:
    """The network that `hpsearch best STUDY --save` has put in a folder.

    Args:
        folder: Where it lies.
        code: The folder of the code that it was trained with, which is run; None: none is.

    Raises CheckpointError where there is none, or where it is damaged; CodeError where it needs
    other code.
    """
    folder = Path(folder)
    config, weights = read(folder)
    network = config.network
    own = None
    if code is not None or module_of(network.family) or is_reference(network.settings["loss"]):
        own = saved_code(config.code, code)
    try:
        with running(own):
            trained = Trained(network.family, network.settings, weights, config.problem)
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{folder}: {line(error)}; save the network again") from error
    return Predictor(config, trained, own)

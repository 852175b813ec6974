"""Data sets as tensors on the device, split into training, validation and test part.

The split depends on the data and on the seed alone, so every worker of a study has the same one,
and `record` has its hash to prove it. Scaling is learned from training rows only. `load` keeps the
test part to itself: a search has no way to look at it. Only the finish asks for `test_part`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hpsearch.errors import DataError
from hpsearch.sources import images
from hpsearch.sources.inputs import Deviation, Finite, ImageInputs, Preprocessing
from hpsearch.sources.split import DataSettings, divide, facts
from hpsearch.sources.tables import load_table
from hpsearch.spec.problem import Kind, Problem
from hpsearch.spec.task import TASKS
from hpsearch.tasks.learning import learning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.sources.raw import Raw, Rows

__all__ = [
    "DataSettings",
    "Dataset",
    "Part",
    "Prepared",
    "check_same",
    "load",
    "locations",
    "test_part",
]


@dataclass(frozen=True)
class Part:
    """Rows on the device."""

    inputs: Tensor
    """float32: (N, C, H, W) for images, (N, D) for tables."""
    targets: Tensor
    """(N, ...), as the task encodes them: int64 (N,) class indices, or float32 (N, 1) standardised
    numbers."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """How data is made into inputs and targets, learnt from the training rows: plain values."""

    task: str
    """The name of the task."""
    classes: tuple[str, ...]
    """Names of the classes; empty where the target is a number."""
    input_shape: tuple[int, ...]
    """(C, H, W) for images, (D,) for tables."""
    preprocessing: Preprocessing
    """How rows become inputs."""
    target_mean: Finite = 0.0
    """Mean of the target's numbers in the training rows. What is trained on is standardised;
    `targets * target_std + target_mean` has the unit of the data."""
    target_std: Deviation = 1.0

    @property
    def kind(self) -> Kind:
        """What one input is."""
        return "images" if isinstance(self.preprocessing, ImageInputs) else "rows"

    def problem(self, loss: str | None = None) -> Problem:
        """What a network has to fit; without a loss its number of outputs is not known."""
        problem = Problem(
            self.task, self.kind, self.input_shape, 0, self.classes, self.target_mean,
            self.target_std,
        )  # fmt: skip
        if loss is None:
            return problem
        return replace(problem, outputs=learning(self.task).outputs(loss, problem))

    def inputs(self, raw: Any, source: str) -> Tensor:
        """Rows, as `preprocessing` takes them, as inputs on the CPU.

        Raises DataError, which names `source`, where they are too large to compute with.
        """
        with np.errstate(all="ignore"):  # what overflows is told below
            return _finite(torch.from_numpy(self.preprocessing(raw)), source)

    def targets(self, raw: NDArray[Any], source: str) -> Tensor:
        """The targets of `Raw` as those of a `Part`, on the CPU; DataError as of `inputs`."""
        return _finite(learning(self.task).encode(raw, self.problem()), source)


@dataclass(frozen=True, kw_only=True)
class Dataset(Prepared):
    """What a search may see of the data."""

    train: Part
    validation: Part
    record: Mapping[str, Any]
    """Plain values for the record: fingerprint, split, seed, rows, classes, notes, and the `facts`
    of the split."""


def locations(settings: DataSettings) -> list[Path]:
    """Folders in which the data is looked for; none for digits and tables."""
    return images.locations(settings.source, settings.root)


def load(settings: DataSettings, device: torch.device) -> Dataset:
    """The training and the validation part of the data that `settings` name, on `device`.

    Raises DataError where the data is missing or not as it should be.
    """
    raw = _read(settings)
    split, notes = divide(raw, settings)
    problem = _problem(raw, split.train)

    def part(rows: Rows) -> Part:
        return _part(problem, raw, rows, settings, device)

    return Dataset(
        **vars(problem),
        train=part(split.train),
        validation=part(split.validation),
        record={
            "fingerprint": raw.fingerprint,
            "split": split.digest,
            "seed": settings.seed,
            "rows": {name: len(rows) for name, rows in vars(split).items()},
            "classes": list(raw.classes),
            **facts(raw, split),
            "notes": [*raw.notes, *notes],
        },
    )


def test_part(
    settings: DataSettings, problem: Prepared, record: Mapping[str, Any], device: torch.device
) -> Part:
    """The rows that no search has seen, on `device`, prepared as the training rows were.

    Raises DataError where there are none, or where the data is not the one of the `record`.
    """
    raw = _read(settings)
    split, _ = divide(raw, settings)
    check_same(settings, record, {"fingerprint": raw.fingerprint, "split": split.digest})
    if not len(split.test):
        raise DataError("there is no test part to look at: data.test is 0")
    return _part(problem, raw, split.test, settings, device)


def _part(
    problem: Prepared, raw: Raw, rows: Rows, settings: DataSettings, device: torch.device
) -> Part:
    inputs = problem.inputs(raw.take(rows), _name(settings))
    return Part(inputs.to(device), problem.targets(raw.targets[rows], _name(settings)).to(device))


def check_same(settings: DataSettings, record: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """DataError where the data `found` is not the one of an earlier `record`."""
    for part in ("fingerprint", "split"):
        if record.get(part) != found[part]:
            raise DataError(
                f"{_name(settings)} is not the data that the network was trained on: its {part} "
                f"differs; put the same data back"
            )


def _problem(raw: Raw, train: Rows) -> Prepared:
    with np.errstate(all="ignore"):  # what overflows is told where rows become inputs
        preprocessing = raw.fit(train)
        mean, std = _target_scale(raw, train)
    return Prepared(
        task=raw.task,
        classes=raw.classes,
        input_shape=preprocessing.shape,
        preprocessing=preprocessing,
        target_mean=mean,
        target_std=std,
    )


def _finite(numbers: Tensor, source: str) -> Tensor:
    if not torch.isfinite(numbers).all():
        raise DataError(
            f"{source} has numbers too large to compute with; "
            "scale that column down, or leave it out with data.ignore"
        )
    return numbers


def _name(settings: DataSettings) -> str:
    return str(settings.path or settings.source)


def _read(settings: DataSettings) -> Raw:
    if settings.source != "csv":
        raw = images.load_images(settings.source, settings.root)
        return replace(raw, task=settings.task or raw.task)
    if settings.path is None or settings.target is None:
        raise DataError("a csv source needs data.path and data.target")
    return load_table(settings.path, settings.target, settings.task, settings.ignore)


def _target_scale(raw: Raw, train: Rows) -> tuple[float, float]:
    if TASKS[raw.task].target == "classes":
        return 0.0, 1.0
    targets = raw.targets[train]
    return float(targets.mean()), float(targets.std()) or 1.0

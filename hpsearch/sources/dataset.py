"""Data sets as tensors on the device, split into training, validation and test part.

The split depends on the data and on the seed alone, so every worker of a study has the same one,
and `record` has its hash to prove it. Scaling is learned from training rows only. `load` keeps the
test part to itself: a search has no way to look at it. Only the finish asks for `test_part`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from pydantic import PlainValidator, TypeAdapter, ValidationError, ValidationInfo

from hpsearch.errors import DataError
from hpsearch.sources.inputs import (
    Deviation,
    Finite,
    Inputs,
    Packed,
    Reading,
    TokenInputs,
    finite,
)
from hpsearch.sources.mean_row import mean_row
from hpsearch.sources.normal import divide_kinds, reference
from hpsearch.sources.read import read
from hpsearch.sources.room import Cache, Room
from hpsearch.sources.rows import Part, Resident, Streamed
from hpsearch.sources.scaling import deviations
from hpsearch.sources.split import DataSettings, baselines, facts
from hpsearch.sources.stream import Stream
from hpsearch.spec.problem import REFERENCE, Kind, Problem
from hpsearch.spec.sizes import in_words
from hpsearch.spec.source import ON_TEST, SOURCES
from hpsearch.spec.task import TASKS
from hpsearch.tasks.learning import learning

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.sources.raw import Raw, Rows
    from hpsearch.spec.source import DataSpec
    from hpsearch.spec.task import Baseline

__all__ = [
    "DataSettings",
    "Dataset",
    "Part",
    "Prepared",
    "Resident",
    "check_same",
    "inputs_of",
    "load",
    "test_part",
]


def inputs_of(values: Any, info: ValidationInfo) -> Inputs:
    """What was learnt from training rows, by plain values of the class that the context has under
    `inputs`; ValueError for others."""
    if info.context is None:  # without a source there is a fault elsewhere
        return values  # type: ignore[no-any-return]
    adapter: TypeAdapter[Inputs] = TypeAdapter(info.context["inputs"])
    try:
        return adapter.validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}") from error


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """How data is made into inputs and targets, learnt from the training rows: plain values."""

    task: str
    """The name of the task."""
    classes: tuple[str, ...]
    """Names of the classes; empty where the target is a number."""
    input_shape: tuple[int, ...]
    """(C, H, W) for images, (D,) for tables."""
    preprocessing: Annotated[Inputs, PlainValidator(inputs_of)]
    """How rows become inputs."""
    target_mean: Finite = 0.0
    """Mean of the target's numbers in the training rows. What is trained on is standardised;
    `targets * target_std + target_mean` has the unit of the data."""
    target_std: Deviation = 1.0
    normal: tuple[str, ...] = ()
    """Where the target is the inputs: the classes whose rows are normal; none: all rows are."""
    threshold: Finite | None = None
    """Where the target is the inputs: the error above which a row is strange; None until a network
    is handed over."""

    @property
    def kind(self) -> Kind:
        """What one input is."""
        return self.preprocessing.kind

    def problem(self, loss: str | None = None) -> Problem:
        """What a network has to fit; without a loss its number of outputs is not known."""
        inputs = self.preprocessing
        problem = Problem(
            self.task, self.kind, self.input_shape, 0, self.classes, self.target_mean,
            self.target_std, inputs.vocabulary if isinstance(inputs, TokenInputs) else 0,
            self.normal, self.threshold,
        )  # fmt: skip
        if loss is None:
            return problem
        return replace(problem, outputs=TASKS[self.task].outputs(loss, problem))

    def targets(self, raw: NDArray[Any], source: str) -> Tensor:
        """The targets of `Raw` as those of a `Part`, on the CPU.

        Raises DataError, which names `source`, where they are too large to compute with.
        """
        encoded = learning(self.task).encode(raw, self.problem())
        finite(encoded.numpy(), source)
        return encoded


@dataclass(frozen=True, kw_only=True)
class Dataset(Prepared):
    """What a search may see of the data."""

    train: Part
    validation: Part
    shuffle: bool = True
    """Whether each epoch takes the training rows in a new order."""
    record: Mapping[str, Any]
    """Plain values for the record: fingerprint, split, seed, rows, classes, notes, and the `facts`
    of the split."""
    cache: Cache = field(default_factory=Cache, repr=False, compare=False)
    """Keeps what is made of the data, in the room that its parts leave."""


def load(
    settings: DataSettings, device: torch.device, decided: Mapping[str, Any] | None = None
) -> Dataset:
    """The training and the validation part of the data that `settings` name, on `device`.

    Args:
        settings: Which data.
        device: Where the rows lie after that.
        decided: What was decided of the data when the study began; None: it begins now.

    Raises DataError where the data is missing or not as it should be.
    """
    raw = read(settings, decided)
    with SOURCES.blamed(settings.section.source):
        split, notes = divide_kinds(raw, settings)
        problem, remarks = _problem(raw, split.train)
    parts = _Parts(problem, raw, settings, device)
    train = parts.part("training", split.train)
    beside = reference(split.train) if TASKS[raw.task].target == "inputs" else split.train[:0]
    validation = parts.part("validation", split.validation, beside)
    baseline = (
        {"baseline": asdict(mean_row(problem.problem(), train, validation))} if len(beside) else {}
    )
    with SOURCES.blamed(settings.section.source):
        measurable = facts(raw, split)
    return Dataset(
        **vars(problem),
        train=train,
        validation=validation,
        shuffle=settings.section.shuffle,
        cache=Cache(parts.room),
        record={
            "fingerprint": raw.fingerprint,
            "split": split.digest,
            "seed": settings.section.seed,
            "rows": {name: len(rows) for name, rows in vars(split).items()},
            "classes": list(raw.classes),
            **measurable,
            **baseline,
            "notes": [*notes, *remarks, *raw.notes, *parts.notes],
            "warnings": [*_measured(settings.section), *raw.warnings],
            **({} if raw.decided is None else {"decided": raw.decided}),
        },
    )


def _measured(section: DataSpec) -> list[str]:
    return [ON_TEST] if section.measured_on_test else []


def test_part(
    settings: DataSettings, problem: Prepared, record: Mapping[str, Any], device: torch.device
) -> tuple[Part, Sequence[Baseline]]:
    """The rows that no search has seen, on `device`, prepared as the training rows were; and what
    simple answers give on them, the task's constant one first.

    Raises DataError where there are none, or where the data is not the one of the `record`.
    """
    raw = read(settings, record.get("decided"))
    with SOURCES.blamed(settings.section.source):
        split, _ = divide_kinds(raw, settings)
    check_same(settings, record, {"fingerprint": raw.fingerprint, "split": split.digest})
    if not len(split.test):
        why = "validation is test" if settings.section.measured_on_test else "test is 0"
        raise DataError(f"there is no test part to look at: data.{why}")
    part = _Parts(problem, raw, settings, device).part("test", split.test)
    with SOURCES.blamed(settings.section.source):
        return part, baselines(raw, split.train, split.test)


class _Parts:
    """Parts of one data set: on the device while there is room, streamed after that."""

    def __init__(
        self, problem: Prepared, raw: Raw, settings: DataSettings, device: torch.device
    ) -> None:
        self._problem, self._raw, self._settings, self._device = problem, raw, settings, device
        self.room = Room(settings.section.memory, device)
        """What they leave of it is for what is made of them."""
        self._read = Reading(
            raw.take, problem.preprocessing, settings.name, settings.section.source
        )
        inputs = problem.preprocessing
        self._encode = inputs.encode(device) if isinstance(inputs, Packed) else None
        self._stream = Stream(self._read, device, self._encode, portable=raw.portable)
        self.notes: list[str] = []
        """Which parts are streamed, a sentence each."""

    def part(self, name: str, rows: Rows, beside: Rows | None = None) -> Part:
        """The rows of a part, which is called so in notes, and after them those `beside`, which
        only serve as `REFERENCE`."""
        numbers = self._raw.targets[rows]
        if beside is not None and len(beside):
            rows = np.concatenate([rows, beside])
            numbers = np.concatenate([numbers, np.full(len(beside), REFERENCE)])
        targets = self._problem.targets(numbers, self._settings.name)
        targets = targets.to(self._device)
        shape = self._problem.input_shape
        size = len(rows) * math.prod(shape) * self._read.item_bytes
        if self.room.takes(size):
            stored = torch.from_numpy(self._read(rows)).to(self._device)
            return Resident(stored, targets, self._encode)
        self.notes.append(f"{name} part: its {in_words(size)} are streamed, as {self.room.why}")
        return Streamed(self._stream, rows, targets, shape)


def check_same(settings: DataSettings, record: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """DataError where the data `found` is not the one of an earlier `record`."""
    for part in ("fingerprint", "split"):
        if record.get(part) != found[part]:
            raise DataError(
                f"{settings.name} is not the data that the network was trained on: its {part} "
                f"differs; put the same data back"
            )


def _problem(raw: Raw, train: Rows) -> tuple[Prepared, tuple[str, ...]]:
    with np.errstate(all="ignore"):  # an overflow is an error where rows become inputs
        preprocessing, remarks = raw.fit(train)
        mean, std = _target_scale(raw, train)
    problem = Prepared(
        task=raw.task,
        classes=raw.classes,
        input_shape=preprocessing.shape,
        preprocessing=preprocessing,
        target_mean=mean,
        target_std=std,
        normal=raw.normal,
    )
    return problem, remarks


def _target_scale(raw: Raw, train: Rows) -> tuple[float, float]:
    if TASKS[raw.task].target != "numbers":
        return 0.0, 1.0
    targets = raw.targets[train]
    mean = float(targets.mean())
    return mean, float(deviations(mean, targets.var(), len(targets)))

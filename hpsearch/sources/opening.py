"""The data that a study names, opened in one place. PyTorch is loaded where it is needed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError
from hpsearch.files import refusals_told
from hpsearch.sources.kinds import check_kinds
from hpsearch.spec import versions
from hpsearch.spec.augmentation import unsuited
from hpsearch.spec.family import FAMILIES, families_for
from hpsearch.spec.faults import listed
from hpsearch.spec.registry import named
from hpsearch.spec.source import SOURCES
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from hpsearch.sources.dataset import Dataset, Part
    from hpsearch.sources.look import Look
    from hpsearch.sources.split import DataSettings
    from hpsearch.spec import StudySpec
    from hpsearch.spec.problem import Kind
    from hpsearch.spec.task import Baseline

__all__ = [
    "check_continues", "check_takes", "check_task", "data_settings", "look", "open_data",
    "open_test_part",
]  # fmt: skip


def data_settings(spec: StudySpec, base: Path) -> DataSettings:
    """Which data the study names; `base` is its file's folder."""
    from hpsearch.sources.split import DataSettings

    assert spec.data is not None  # own training code has its own
    return DataSettings(spec.data, base, every_class=spec.version > versions.FIRST)


def look(spec: StudySpec, base: Path) -> Look | None:
    """What a study's data shows at a glance; None where its source has nothing to show.

    Raises DataError where it is missing, cannot be read, or is none that the study's networks take.
    """
    if spec.data is None:
        return None
    source = SOURCES[spec.data.source]
    if source.look is None:
        return None
    with SOURCES.blamed(source.name), refusals_told():
        seen: Look = named(source.look)(spec.data, base)
    if seen.kind is not None:
        check_takes(spec, seen.kind)
    if seen.classes is not None:
        check_kinds(spec.data, seen.classes)
    return seen


def check_continues(spec: StudySpec) -> None:
    """DataError for a study whose trials nobody can continue: a table of hpsearch 0.1."""
    old = spec.data is not None and spec.data.source == versions.OLD_TABLE
    if spec.version == versions.FIRST and old:
        raise DataError(
            f"study {spec.name!r} was begun by hpsearch 0.1, which read tables by other rules: "
            f"its trials cannot be continued; to begin anew, run its file with --set name=NEW"
        )


def open_data(
    spec: StudySpec,
    base: Path,
    device: torch.device,
    record: Mapping[str, Any] | None = None,
) -> Dataset:
    """The training and the validation part of a study's data, on `device`.

    Args:
        spec: The study.
        base: Its file's folder.
        device: Where the rows lie after that.
        record: What the study's first worker found of the data; None: there was none so far.

    Raises DataError where the data is missing or not as it should be, or where it is for a task
    that the study's metric does not measure, or of a kind that its networks do not take.
    """
    from hpsearch.sources.dataset import load

    try:
        dataset = load(data_settings(spec, base), device, (record or {}).get("decided"))
    except DataError as error:
        if record is None or (gone := _gone(spec, base)) is None:
            raise
        raise DataError(
            f"{error}; the study reads its data where it was: put it back, or a link to it "
            f"(ln -s NEW {shlex.quote(str(gone))})"
        ) from error
    check_task(spec, dataset.task)
    check_takes(spec, dataset.kind)
    return dataset


def _gone(spec: StudySpec, base: Path) -> Path | None:
    """The first file or folder of a study's data that is not there any more."""
    assert spec.data is not None
    names = (getattr(spec.data, key) for key in SOURCES[spec.data.source].files)
    paths = (base / name for name in names if isinstance(name, str))
    return next((path for path in paths if not path.exists()), None)


def open_test_part(
    spec: StudySpec, base: Path, dataset: Dataset, device: torch.device
) -> tuple[Part, Sequence[Baseline]]:
    """The rows that no search has seen, on `device`, prepared as those of `dataset` were; and what
    simple answers give on them, the task's constant one first.

    Raises DataError where there are none, or where the data has changed since.
    """
    from hpsearch.sources.dataset import test_part

    return test_part(data_settings(spec, base), dataset, dataset.record, device)


def check_takes(spec: StudySpec, kind: Kind) -> None:
    """DataError where such inputs, which may be known only from the data, cannot be given to the
    study's family, or cannot be augmented as it says."""
    if kind not in FAMILIES[spec.family].takes:
        names = listed(families_for(spec.task, kind))
        way_out = f"set network.family to {names}" if names else "no family for its task does"
        raise DataError(
            f"the data of study {spec.name!r} is {kind}, which {spec.family} does not take; "
            f"{way_out}"
        )
    named = {*spec.space.names, *spec.space.constants}
    settings = [s for name, s in spec.vocabulary.settings.items() if name in named]
    if unfit := unsuited(settings, kind):
        noun = "is for images: take it" if len(unfit) == 1 else "are for images: take them"
        raise DataError(
            f"the data of study {spec.name!r} is {kind}, and {', '.join(unfit)} {noun} out of "
            "parameters"
        )


def check_task(spec: StudySpec, task: str) -> None:
    """DataError where the metric is none of this task, which may be known only from the target."""
    if spec.data is not None and TASKS[task].metric(spec.metric) is None:
        fitting = ", ".join(metric.name for metric in TASKS[task].metrics)
        raise DataError(
            f"the metric of study {spec.name!r} is {spec.metric}, and by its target "
            f"{spec.data.target_name!r} the table is for {task}; "
            f"set metric to one of {fitting}, or set data.task"
        )

"""The study that a file is in a database: by the rules of the one that is there, and with a number
for `batch_size: {max: auto}`, which is found on the device once and is the study's from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.code import in_use
from hpsearch.errors import NotFoundError, StudyFileError
from hpsearch.sources.opening import data_settings
from hpsearch.spec import StudySpec, version_of
from hpsearch.spec.augmentation import AUGMENTATION, fullest
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.settings import Value
from hpsearch.spec.space import Assignment, Choices, Range
from hpsearch.stages.results import default_point
from hpsearch.store.ledger import Ledger

__all__ = ["augmented", "hungriest", "sized"]


def sized(ledger: Ledger, spec: StudySpec, base: Path, device: str | None) -> StudySpec:
    """The study by the rules of the one of its name, if there is one, with a number for `auto`.

    Raises StudyFileError where a value in the file is larger, HpsearchError where the smallest
    does not fit.
    """
    document: Mapping[str, Any] = {}
    try:
        document = ledger.study(spec.name).document
        spec = spec.under(version_of(document))
    except NotFoundError:
        pass
    batch = next((p for p in spec.space if p.name == "batch_size"), None)
    if batch is None or not isinstance(batch.domain, Range) or not batch.domain.auto:
        return spec
    frozen = [(p["max"], p["cap"]) for p in document.get("parameters", ()) if "cap" in p]
    high, cap = frozen[0] if frozen else _tried(spec, int(batch.domain.low), base, device)
    values = [batch.domain.low, batch.default, *(p.get("batch_size") for p in spec.start)]
    for value in values:
        if isinstance(value, int) and value > high:
            raise StudyFileError(f"batch_size {value} is larger than the largest, {high}: {cap}")
    domain = replace(batch.domain, high=high, auto=False)
    parameters = (replace(batch, domain=domain, cap=cap) if p is batch else p for p in spec.space)
    return replace(spec, space=replace(spec.space, parameters=tuple(parameters)))


def _tried(spec: StudySpec, low: int, base: Path, device: str | None) -> tuple[int, str]:
    from hpsearch.preflight.max_batch_size import largest
    from hpsearch.stages.candidates import example_of
    from hpsearch.training import devices

    if spec.code and in_use() is None:
        raise StudyFileError("batch_size.max: auto is found by training the study's own code, and "
                             "submit runs none: use hpsearch run, or give a number")  # fmt: skip
    candidate = example_of(spec, hungriest(spec), "max_batch_size")
    chosen = device or devices.local()[0]
    return largest(candidate, data_settings(spec, base), chosen, low)


def hungriest(spec: StudySpec) -> dict[str, Value]:
    """The default configuration with the numbers of its network at their upper ends, and the most
    that is done to its training images."""
    own = {setting.name for setting in FAMILIES[spec.family].settings if setting.built}
    values: dict[str, Value] = dict(default_point(spec))
    for p in spec.space:
        if p.name in own and p.active({**spec.space.constants, **values}):
            options = p.domain.values if isinstance(p.domain, Choices) else (p.domain.last,)
            values[p.name] = max((values.get(p.name, options[0]), *options), key=_size)
    return augmented(spec, values)


def augmented(spec: StudySpec, values: Assignment) -> dict[str, Value]:
    """The same configuration with the most that the study does to training images, which takes the
    longest."""
    values, settings = dict(values), spec.vocabulary.settings
    for p in spec.space:
        if settings[p.name] in AUGMENTATION and p.active({**spec.space.constants, **values}):
            domain = p.domain
            options = domain.values if isinstance(domain, Choices) else (domain.low, domain.last)
            values[p.name] = fullest(settings[p.name], options)
    return values


def _size(value: Value) -> float:
    """How much a value of a setting has of it; what is no number has nothing to compare."""
    sizes = value if isinstance(value, tuple) else (value,)
    return sum(size for size in sizes if isinstance(size, (int, float)))

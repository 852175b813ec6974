"""The study that a file is in a database: by the rules of the one that is there, and with the
number that stands for `batch_size: {max: auto}`.

That number is found on the device, then frozen: all workers search the same range, and a study that
is there already keeps its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpsearch.checkpoints.places import data_settings
from hpsearch.errors import NotFoundError, StudyFileError
from hpsearch.spec import StudySpec, version_of
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.settings import Value
from hpsearch.spec.space import Choices, Parameter, Range
from hpsearch.stages import outline
from hpsearch.store.ledger import Ledger

__all__ = ["hungriest", "sized"]


def sized(ledger: Ledger, spec: StudySpec, base: Path, device: str | None) -> StudySpec:
    """The study by the rules of the one of its name, if there is one, with a number for `auto`.

    Raises StudyFileError where what the file names is larger, HpsearchError where the smallest
    does not fit.
    """
    document = _document(ledger, spec.name)
    if document is not None:
        spec = spec.under(version_of(document))
    parameter = next((p for p in spec.space if p.name == "batch_size"), None)
    if parameter is None or not isinstance(parameter.domain, Range) or not parameter.domain.auto:
        return spec
    high, cap = _known(document) or _found(spec, parameter.domain, base, device)
    if high < parameter.domain.low:
        raise StudyFileError(
            f"batch_size.min is {parameter.domain.low:g}, and the largest is {high}: {cap}"
        )
    named = [point.get("batch_size") for point in spec.start]
    for value in (*named, parameter.default):
        if isinstance(value, int) and value > high:
            raise StudyFileError(f"batch_size {value} is larger than the largest, {high}: {cap}")
    domain = replace(parameter.domain, high=high, auto=False)
    frozen = replace(parameter, domain=domain, cap=cap)
    parameters = tuple(frozen if p.name == "batch_size" else p for p in spec.space)
    return replace(spec, space=replace(spec.space, parameters=parameters))


def _document(ledger: Ledger, name: str) -> Mapping[str, Any] | None:
    try:
        return ledger.study(name).document
    except NotFoundError:
        return None


def _known(document: Mapping[str, Any] | None) -> tuple[int, str] | None:
    """The number of a study which is there already."""
    parameters = (document or {}).get("parameters", ())
    kept = [p for p in parameters if p["name"] == "batch_size" and "cap" in p]
    return (kept[0]["max"], kept[0]["cap"]) if kept else None


def _found(
    spec: StudySpec, domain: Range, base: Path, device: str | None
) -> tuple[int, str]:  # fmt: skip
    from hpsearch.preflight.max_batch_size import largest
    from hpsearch.training import devices
    from hpsearch.training.candidate import Candidate

    candidate = Candidate(0, spec.family, spec.settings(hungriest(spec)), seed=0)
    chosen = device or devices.local()[0]
    high, on = largest(candidate, data_settings(spec, base), chosen, int(domain.low))
    return high, f"the largest that was run on {on}"


def hungriest(spec: StudySpec) -> dict[str, Value]:
    """The default configuration with the numbers of its network at their upper ends."""
    own = {setting.name for setting in FAMILIES[spec.family].settings}
    values: dict[str, Value] = dict(outline.default_point(spec))
    for parameter in spec.space:
        if parameter.name in own and parameter.active({**spec.space.constants, **values}):
            values[parameter.name] = _most(parameter, values.get(parameter.name))
    return values


def _most(parameter: Parameter, usual: Value) -> Value:
    if not isinstance(parameter.domain, Choices):
        return parameter.domain.last
    sizes = [v for v in parameter.domain.values if isinstance(v, (int, float, tuple))]
    return max(sizes, key=lambda v: sum(v) if isinstance(v, tuple) else v) if sizes else usual

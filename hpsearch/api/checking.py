"""What a study would search, before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError, line
from hpsearch.insight.words import setting

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.preflight.parameter_count import ParameterCount
    from hpsearch.sources.look import Look
    from hpsearch.spec import StudySpec
    from hpsearch.spec.space import Parameter

__all__ = ["Checked", "check", "described", "domain_in_words", "looked", "parameter_count"]


@dataclass(frozen=True)
class Checked:
    """A study that has no faults, and its data as far as it was looked at."""

    spec: StudySpec
    """With the hashes of the weights that its networks begin with."""
    seen: Look | None
    """What its table looks like; None for data that is not looked at before a search."""
    notes: tuple[str, ...] = ()
    """What is not here yet, a line each."""


def check(spec: StudySpec, base: Path) -> Checked:
    """Look at the data and the weights that a study names, without PyTorch.

    Args:
        spec: The study.
        base: The study file's folder.

    Raises DataError where they are missing or do not suit it.
    """
    from hpsearch.spec.weights import PRETRAINED
    from hpsearch.weights import weighed

    seen = looked(spec, base)
    try:
        return Checked(weighed(spec, base), seen)
    except DataError as error:
        # What is published can be fetched, as a data set can that is not here yet.
        if spec.weights.named != PRETRAINED:
            raise
        return Checked(spec, seen, (str(error),))


def looked(spec: StudySpec, base: Path) -> Look | None:
    """What a quick look at a study's data shows, without PyTorch; None for data that is not looked
    at before a search. Raises DataError where it is missing or does not suit the study."""
    from hpsearch.preflight.data_check import check_look
    from hpsearch.sources.opening import look

    seen = look(spec, base)
    if seen is not None:
        check_look(spec, base, seen)
    return seen


def parameter_count(
    checked: Checked, *, networks: bool = False
) -> tuple[ParameterCount | None, str]:
    """How many parameters the networks have, or None and, where that could be known, a line that
    says why it is not.

    None without a line where it takes reading all of the data, or the study's own code.

    Args:
        checked: The study.
        networks: Whether networks are built where their family does not declare how it counts them:
            PyTorch alone takes seconds to load.
    """
    from hpsearch.spec.family import FAMILIES
    from hpsearch.spec.source import SOURCES

    spec, seen = checked.spec, checked.seen
    if spec.data is None:
        return None, ""
    source = SOURCES[spec.data.source]
    shape = source.shape if seen is None else seen.shape
    kind = (seen and seen.kind) or source.kind_of(spec.data)
    classes = source.classes if seen is None else seen.classes
    family = FAMILIES[spec.family]
    if shape is None or kind is None or classes is None or family.is_own:
        return None, ""
    if family.count is None and not networks:
        return None, "parameters of the networks: hpsearch check --networks builds and counts them"
    from hpsearch.preflight import parameter_count as counting

    try:
        return counting.parameter_count(spec, kind, shape, classes), ""
    except Exception as error:  # such as a package's family, or a network for larger images
        return None, f"warning: the default network cannot be built: {line(error)}"


def described(spec: StudySpec, code: Path | None = None) -> dict[str, Any]:
    """What would be searched, as plain values.

    Args:
        spec: The study.
        code: The folder of its own code, which warnings are about too; None: it is not looked at.
    """
    from hpsearch.preflight.data_check import warnings
    from hpsearch.spec.family import FAMILIES
    from hpsearch.spec.space import Grid, Range
    from hpsearch.stages.outline import sizes, tickets
    from hpsearch.stages.results import default_point

    grid = Grid(spec.space)
    # What is `auto` has an end, which is not known yet.
    endless = [
        p.name for p in spec.space
        if p.domain.size is None or (isinstance(p.domain, Range) and p.domain.auto)
    ]  # fmt: skip
    return {
        "name": spec.name,
        "data": spec.data and spec.data.source,
        "network": FAMILIES[spec.family].name,
        "weights": spec.weights.named,
        "metric": spec.metric,
        "direction": spec.direction,
        "parameters": {
            p.name: {"group": p.group, "domain": domain_in_words(p)} for p in spec.space
        },
        "constants": dict(spec.space.constants),
        "default": dict(default_point(spec)),
        "sampler": dict(spec.search.sampler),
        "pruner": spec.search.pruner.name,
        "grid_cells": None if endless else grid.size,
        "strategy": spec.search.strategy,
        "stages": sizes(spec),
        "trials": tickets(spec),
        "epochs": spec.budget.epochs,
        "hours": spec.budget.hours,
        "keep": spec.keep,
        "stop_after": spec.budget.stop_after,
        "warnings": warnings(spec, code),
    }


def domain_in_words(parameter: Parameter) -> str:
    """A parameter's values in words."""
    from hpsearch.spec.space import Range

    domain = parameter.domain
    if isinstance(domain, Range):
        words = f"{setting(domain.low)} to {'auto' if domain.auto else setting(domain.high)}"
        words += " whole" if domain.integer else ""
        words += f" step {setting(domain.step)}" if domain.step else ""
        words += " log" if domain.log else ""
    else:
        words = ", ".join(map(setting, domain.values))
    for condition in parameter.when:
        words += f" when {condition.parameter} is {' or '.join(map(setting, condition.values))}"
    return words

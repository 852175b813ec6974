"""Parts of a search space: some of its parameters, at some of their values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.spec.space import Choices, Space

if TYPE_CHECKING:
    from hpsearch.spec.settings import Value

__all__ = ["involved", "restricted"]


def involved(space: Space, names: Collection[str]) -> set[str]:
    """Those of the parameters, and all that decide whether these exist."""
    searched = {*names} & {*space.names}
    while True:
        more = {c.parameter for p in space if p.name in searched for c in p.when} & {*space.names}
        if more <= searched:
            return searched
        searched |= more


def restricted(
    space: Space, values: Mapping[str, Sequence[Value]], only: Collection[str] | None = None
) -> Space:
    """The space with these values of some parameters, and with no others than `only`."""
    parameters = (
        replace(p, domain=Choices(tuple(values[p.name]))) if p.name in values else p
        for p in space
        if only is None or p.name in only
    )
    return Space(tuple(parameters), space.constants)

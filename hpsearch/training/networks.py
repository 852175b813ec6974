"""A network of any family."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any

from torch import nn

from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.problem import Problem

__all__ = ["build"]


def build(family: str, problem: Problem, settings: Mapping[str, Any]) -> nn.Module:
    """A new network of `family` for inputs (N, *problem.shape); it gives (N, outputs), float32.

    `settings` has every setting of a candidate. Weights are drawn from PyTorch's global generator
    on the CPU. Raises SettingsError where the family makes no such network.
    """
    declared = FAMILIES[family]
    if problem.kind not in declared.takes:
        raise SettingsError(
            f"{family} takes {' or '.join(sorted(declared.takes))}, and the data has {problem.kind}"
        )
    own = {setting.name: settings[setting.name] for setting in declared.settings}
    try:
        network = pkgutil.resolve_name(declared.build)(problem, **own)
    except ValueError as error:
        raise SettingsError(f"{family}: {error}") from error
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"{declared.build} has to give an nn.Module, and gave a {type(network).__name__}"
        )
    return network

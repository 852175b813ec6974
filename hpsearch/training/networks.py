"""A network of any family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hpsearch.code import contained, explained
from hpsearch.errors import CodeError, line
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.registry import named
from hpsearch.spec.task import TASKS
from hpsearch.training import devices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.family import Family
    from hpsearch.spec.problem import Problem

__all__ = ["bare", "build", "made"]


def build(family: str, problem: Problem, settings: Mapping[str, Any]) -> nn.Module:
    """A new network of the family of that name, as the task trains it; see `made`.

    Where the task puts a module around networks, that one.
    """
    task, network = TASKS[problem.task], made(FAMILIES[family], problem, settings)
    if task.around is None:
        return network
    around: nn.Module = named(task.around)(
        network, task.chosen_loss(settings["loss"], len(problem.classes))
    )
    return around


def bare(family: str, problem: Problem, settings: Mapping[str, Any]) -> nn.Module:
    """The network of `build` without its weights: on the device `meta`, where it takes no memory.
    Models of other libraries that compute with numbers as they are built come with weights.
    """
    try:
        with torch.device("meta"):
            return build(family, problem, settings)
    except RuntimeError:
        with torch.random.fork_rng(devices=[]):
            return build(family, problem, settings)


def made(family: Family, problem: Problem, settings: Mapping[str, Any]) -> nn.Module:
    """A new network for inputs (N, *problem.shape); it gives (N, problem.outputs), float32.

    `settings` has every setting of a candidate. Weights are drawn from PyTorch's global generator
    on the CPU. Raises SettingsError where the family makes no such network.
    """
    if problem.kind not in family.takes:
        takes = " or ".join(sorted(family.takes))
        raise SettingsError(f"{family.name} takes {takes}, and the data has {problem.kind}")
    if TASKS[problem.task].target not in family.targets:
        raise SettingsError(f"{family.name} has no networks for {problem.task}")
    own = {setting.name: settings[setting.name] for setting in family.settings if setting.built}
    builder = family.builder()
    try:
        with contained():
            network = builder(problem, **own)
    except ValueError as error:
        why = explained(error, kind=False) if family.is_own else line(error)
        raise SettingsError(f"{family.name}: {why}") from error
    except Exception as error:
        if not family.is_own or devices.is_out_of_memory(error):
            raise
        raise CodeError(f"{family.name}: {explained(error)}") from error
    if not isinstance(network, nn.Module):
        kind = CodeError if family.is_own else TypeError
        gave = type(network).__name__
        raise kind(f"{family.build} has to give an nn.Module, and gave a {gave}")
    return network

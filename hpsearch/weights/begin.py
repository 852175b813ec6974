"""Weights of a file into a network: all but those of its last layer, which stay as drawn.

A file has the names of the network itself, as a folder of hpsearch has them, or those of the
library that its model is of, as a published file has them.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hpsearch import files
from hpsearch.errors import DataError, line
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.registry import named
from hpsearch.spec.weights import NONE
from hpsearch.weights.files import path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.settings import Value

__all__ = ["begin", "last_layer"]

_WRAPPED = ("state_dict", "model", "model_state_dict")
"""Keys under which training scripts keep the weights among other things."""


def begin(network: nn.Module, family: str, settings: Mapping[str, Value]) -> None:
    """Give a network that has just been built the weights that its candidate begins with.

    Args:
        network: Of the candidate, on the CPU.
        family: The name of its family.
        settings: All of the candidate; where its `weights` are `none` nothing happens.

    Raises SettingsError where the file does not fit the network, DataError where it is not here.
    """
    digest = str(settings.get("weights", NONE))
    if digest == NONE:
        return
    path = path_of(digest)
    declared = FAMILIES[family].settings
    own = {one.name: settings[one.name] for one in declared if not one.per_slot}
    weights = _entries(path, digest, family, tuple(sorted(own.items())))
    last = last_layer(network)
    wanted = {n: t for n, t in network.state_dict().items() if not _is_of(n, last)}
    given = {n: t for n, t in weights.items() if not _is_of(n, last)}
    for name in dict.fromkeys((*wanted, *given)):
        if name.endswith("num_batches_tracked"):
            continue
        actual, needed = _described(given.get(name)), _described(wanted.get(name))
        if actual != needed:
            raise SettingsError(
                f"the weights {path.name} do not fit the network: {name} is {actual} there, and "
                f"{needed} here"
            )
    network.load_state_dict({n: t for n, t in given.items() if n in wanted}, strict=False)


def last_layer(network: nn.Module) -> str:
    """The name of the layer that gives the outputs: `head`, or the last one that has parameters."""
    if isinstance(getattr(network, "head", None), nn.Module) and hasattr(network, "features"):
        return "head"
    names = [name for name, layer in network.named_modules() if layer._parameters]
    return names[-1] if names else ""


def _is_of(name: str, layer: str) -> bool:
    return name.startswith(f"{layer}.")


def _described(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else f"of shape {tuple(tensor.shape)}"


@lru_cache(maxsize=2)
def _entries(
    path: Path, digest: str, family: str, own: tuple[tuple[str, Any], ...]
) -> Mapping[str, Tensor]:
    """The weights by the names of the family's networks. Candidates of one model share them."""
    weights, declared = _read(path, digest), FAMILIES[family]
    if declared.entries is None or any(name.startswith("body.") for name in weights):
        return weights
    try:
        by_name: Mapping[str, Tensor] = named(declared.entries)(weights, **dict(own))
    except (RuntimeError, ValueError, KeyError) as error:
        raise SettingsError(f"the weights {path.name} do not fit the network: {line(error)}") from (
            error
        )
    return by_name


def _read(path: Path, digest: str) -> dict[str, Tensor]:
    """The tensors of a state dict or a safetensors file, on the CPU; no code of it is run."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        raw = files.content(path)
    except OSError as error:
        raise DataError(f"the weights {path} cannot be read: {line(error)}") from error
    if hashlib.sha256(raw).hexdigest() != digest:
        raise DataError(f"the weights {path} have changed since the study began with them")
    try:
        if path.suffix == ".safetensors":
            return load(raw)
        content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, SafetensorError) as error:
        raise SettingsError(f"{path} is no file of weights: {line(error)}") from error
    for key in _WRAPPED:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise SettingsError(f"{path} is no file of weights: it is no state dict of tensors")
    return dict(content)

"""What own training code saves: its objects as plain values and tensors, and back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["check", "copied", "restored", "state_of"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def state_of(name: str, value: Any) -> Any:
    """What a checkpoint holds of one object: its `state_dict`, the state of a generator of random
    numbers, or a plain value itself.

    Raises TypeError for what is none of these.
    """
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return _plain(value.bit_generator.state, name)
    if isinstance(value, random.Random):
        return _plain(value.getstate(), name)
    if callable(getattr(value, "state_dict", None)):
        return _plain(value.state_dict(), f"{name}.state_dict()")
    return _plain(value, name)


def check(name: str, value: Any) -> None:
    """Raise TypeError for what a checkpoint cannot hold. What a `state_dict` gives is looked at
    when it is saved: it may take long, or not be there yet, as that of a lazy module."""
    if not callable(getattr(value, "state_dict", None)):
        state_of(name, value)


def restored(value: Any, state: Any) -> Any:
    """The object as it was when `state` was taken of it; of a plain value the value of then."""
    if isinstance(value, torch.Generator):
        value.set_state(state)
    elif isinstance(value, np.random.Generator):
        value.bit_generator.state = _arrays(state)
    elif isinstance(value, random.Random):
        value.setstate(state)
    elif callable(getattr(value, "load_state_dict", None)):
        value.load_state_dict(state)
    else:
        return state
    return value


def copied(state: Any) -> Any:
    """A copy that training does not change any more, on the CPU."""
    if isinstance(state, torch.Tensor):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, dict):
        return {key: copied(item) for key, item in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(copied(item) for item in state)
    return state


def _plain(value: Any, where: str) -> Any:
    """Tensors and plain values, which are all that is read back; TypeError for others."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    raise TypeError(
        f"run.save: {where} is a {type(value).__name__}, which a checkpoint cannot hold; save "
        "objects with state_dict and load_state_dict, generators, tensors and plain values"
    )


def _key(key: object, where: str) -> Any:
    if isinstance(key, (bool, int, float, str)):
        return key
    raise TypeError(f"run.save: {where} has a key that is a {type(key).__name__}; use text")


def _arrays(state: Any) -> Any:
    """With NumPy's arrays in place of tensors."""
    if isinstance(state, torch.Tensor):
        return state.numpy()
    return {key: _arrays(item) for key, item in state.items()} if isinstance(state, dict) else state

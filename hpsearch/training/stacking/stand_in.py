"""A value of many networks at once, with which a network's own `forward` is run.

Shapes: `K` slots, `*S` the shape of the value in one network.

A `StandIn` looks to `forward` like the tensor (*S) that it would see in one network. Behind it is a
tensor (K, *S): what each slot has in that place. Whatever PyTorch function is called with it comes
to a rule, which computes for all slots with one call; functions without a rule go through
`torch.vmap`, one by one. What depends on the numbers themselves, such as an `if` or `.item()`, has
no answer for many networks: `CannotStackError`.

Tensors that are no stand-ins, such as constants and the inputs that all slots share, are the same
in every slot. A function of such alone is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hpsearch.errors import line
from hpsearch.training import devices

__all__ = [
    "CannotStackError",
    "Rule",
    "StandIn",
    "called",
    "slots_of",
    "stacked",
    "vmapped",
    "wrapped",
]

Rule = Callable[[Callable[..., Any], Sequence[Any], Mapping[str, Any]], Any]
"""What a function does with stand-ins: (the function, its arguments, its keyword arguments)."""


def called(rule: Callable[..., Any]) -> Rule:
    """A rule that takes the function's own arguments, under their names."""
    return lambda func, args, kwargs: rule(*args, **kwargs)


class CannotStackError(TypeError):
    """A network that can only be trained by itself; the message says why."""


class StandIn(Tensor):
    """The tensor of one network in a certain place, for all slots of a stack."""

    stacked: Tensor
    """(K, *S)."""
    gradient: Tensor | None
    """For a weight: where its gradient (K, *S) is to be written, as far as rules do so."""
    written: bool
    """Whether this step has written to `gradient`."""

    @staticmethod
    def __new__(cls: type[StandIn], stacked: Tensor, gradient: Tensor | None = None) -> StandIn:
        """The stand-in of (K, *S)."""
        made: StandIn = Tensor._make_wrapper_subclass(
            cls, stacked.shape[1:], dtype=stacked.dtype, device=stacked.device
        )
        made.stacked, made.gradient, made.written = stacked, gradient, False
        return made

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute `func` for all slots."""
        rule = _RULES.get(func)
        if rule is None:
            rule = _RULES[func] = _rule(func)
        return rule(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Refuse what reaches PyTorch below its functions, where no rule has a say."""
        raise CannotStackError(f"{func} cannot be stacked")

    def __reduce_ex__(self, protocol: object) -> Any:
        raise CannotStackError("a copy of a value cannot be stacked")

    def __deepcopy__(self, memo: object) -> Any:
        raise CannotStackError("a copy of a value cannot be stacked")


# Where it has to go slot by slot `torch.vmap` is no faster than training alone, which is found out
# by trying; nobody needs to be warned of it.
torch._C._functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]

_RULES: dict[Callable[..., Any], Rule] = {}
"""By function, as they are met."""


def _rule(func: Callable[..., Any]) -> Rule:
    from hpsearch.training.stacking.functions import BY_NAME
    from hpsearch.training.stacking.layers import BY_FUNCTION

    return BY_FUNCTION.get(func) or BY_NAME.get(_name(func)) or vmapped


def _name(func: Callable[..., Any]) -> str:
    """`relu`; of a property such as `x.shape`, `shape.__get__`."""
    name = getattr(func, "__name__", str(func))
    return f"{func.__self__.__name__}.{name}" if name in ("__get__", "__set__") else name  # type: ignore[attr-defined]


def stacked(value: Any) -> Any:
    """The tensor (K, *S) behind a stand-in; anything else as it is. Lists and tuples by parts."""
    if type(value) is StandIn:
        return value.stacked
    if isinstance(value, (list, tuple)) and any(type(part) is StandIn for part in value):
        return type(value)([stacked(part) for part in value])
    return value


def wrapped(value: Any) -> Any:
    """A stand-in of (K, *S), or of each tensor of a tuple or list."""
    if isinstance(value, Tensor):
        return StandIn(value)
    if isinstance(value, (list, tuple)):  # `torch.return_types` among them
        return type(value)([wrapped(part) for part in value])
    return value


def slots_of(*values: Any) -> int:
    """The number of slots of the first stand-in among arguments, or in their lists."""
    for value in values:
        if type(value) is StandIn:
            return value.stacked.shape[0]
        if isinstance(value, (list, tuple)) and (slots := slots_of(*value)):
            return slots
    return 0


def vmapped(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `func` gives in each slot, by `torch.vmap` of this one call."""
    values: list[Tensor] = []

    def out(part: Any) -> Any:
        """The argument with numbers in place of stand-ins."""
        if type(part) is StandIn:
            values.append(part.stacked)
            return _Place(len(values) - 1)
        return _parts(part, out)

    places = [out(arg) for arg in args], {name: out(arg) for name, arg in kwargs.items()}

    def call(*slot: Tensor) -> Any:
        def back(part: Any) -> Any:
            return slot[part.number] if type(part) is _Place else _parts(part, back)

        args, kwargs = places
        return func(*map(back, args), **{name: back(arg) for name, arg in kwargs.items()})

    try:
        result = torch.vmap(call, randomness="error")(*values)
    except Exception as error:
        if devices.is_out_of_memory(error):
            raise
        reason = line(error).split(". ")[0]
        raise CannotStackError(f"{_name(func)} cannot be stacked: {reason}") from error
    in_place = _name(func).endswith("_") and type(args[0]) is StandIn
    return args[0] if in_place else wrapped(result)


class _Place:
    """Where a stand-in was among arguments."""

    def __init__(self, number: int) -> None:
        self.number = number


def _parts(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        return type(value)([function(part) for part in value])
    if isinstance(value, dict):
        return {name: function(part) for name, part in value.items()}
    return value

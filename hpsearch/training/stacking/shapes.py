"""What PyTorch's functions of shapes do with stand-ins.

Shapes: `K` slots, `*S` the shape of a value in one network. The tensor behind a stand-in is
(K, *S), so that a dimension counted from the end stays, and one counted from the start is one
further. Strides may be any: between convolutions slots lie next to channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hpsearch.training.stacking.stand_in import (
    CannotStackError,
    Rule,
    StandIn,
    slots_of,
    stacked,
    vmapped,
)  # fmt: skip

__all__ = ["SHAPES", "aligned", "rank_of", "shifted"]

_Function = Callable[..., Any]
_Args = Sequence[Any]
_Named = Mapping[str, Any]


def aligned(value: Any, rank: int) -> Any:
    """The tensor behind a stand-in with `rank` dimensions after the first, so that it broadcasts
    as that of one network does; other values as they are."""
    if type(value) is not StandIn:
        return value
    x = value.stacked
    lacking = rank + 1 - x.dim()
    return x.view(x.shape[0], *[1] * lacking, *x.shape[1:]) if lacking > 0 else x


def rank_of(value: Any) -> int:
    """The dimensions of a value in one network; 0 for what is no tensor."""
    if type(value) is StandIn:
        return value.stacked.dim() - 1
    return value.dim() if isinstance(value, Tensor) else 0


def shifted(dims: Any) -> Any:
    """A dimension of one network's value as one of (K, *S), or several."""
    if isinstance(dims, int):
        return dims + 1 if dims >= 0 else dims
    return tuple(map(shifted, dims))


def _sizes(args: _Args, kwargs: _Named, name: str) -> Sequence[int]:
    if name in kwargs:
        sizes = kwargs[name]
    else:
        sizes = args[1] if len(args) == 2 and not isinstance(args[1], int) else args[1:]
    if isinstance(sizes, torch.dtype):
        raise CannotStackError("a view as another type cannot be stacked")
    return tuple(sizes)


def _reshaped(func: _Function, args: _Args, kwargs: _Named) -> Any:
    name = "size" if "size" in kwargs else "shape"
    return _with_shape(args[0], _sizes(args, kwargs, name))


def _with_shape(value: StandIn, sizes: Sequence[int]) -> StandIn:
    x = value.stacked
    return StandIn(x.reshape(x.shape[0], *sizes))


def _as_other(func: _Function, args: _Args, kwargs: _Named) -> Any:
    return _with_shape(args[0], args[1].shape)


def _flattened(func: _Function, args: _Args, kwargs: _Named) -> Any:
    value, *places = args
    start = places[0] if places else kwargs.get("start_dim", 0)
    end = places[1] if len(places) > 1 else kwargs.get("end_dim", -1)
    if not rank_of(value):
        return StandIn(value.stacked.unsqueeze(1))
    return StandIn(value.stacked.flatten(shifted(start), shifted(end)))


def _permuted(func: _Function, args: _Args, kwargs: _Named) -> Any:
    rank = rank_of(args[0])
    dims = [dim % rank + 1 for dim in _sizes(args, kwargs, "dims")]
    return StandIn(args[0].stacked.permute(0, *dims))


def _transposed(func: _Function, args: _Args, kwargs: _Named) -> Any:
    """`x.T` and `x.t()`, of two dimensions or fewer."""
    x = args[0].stacked
    if x.dim() > 3:
        raise CannotStackError("`.T` of more than two dimensions cannot be stacked")
    return StandIn(x.transpose(1, 2) if x.dim() == 3 else x)


def _last_two(func: _Function, args: _Args, kwargs: _Named) -> Any:
    return StandIn(args[0].stacked.transpose(-1, -2))


def _moved(func: _Function, args: _Args, kwargs: _Named) -> Any:
    """`transpose` and `movedim`: every argument after the first names dimensions."""
    dims = [shifted(dim) for dim in args[1:]]
    named = {name: shifted(dim) for name, dim in kwargs.items()}
    return StandIn(func(args[0].stacked, *dims, **named))


def _squeezed(func: _Function, args: _Args, kwargs: _Named) -> Any:
    x = args[0].stacked
    if len(args) == 1 and not kwargs:
        ones = tuple(dim for dim in range(1, x.dim()) if x.shape[dim] == 1)
        return StandIn(x.squeeze(ones))
    return _moved(func, args, kwargs)


def _expanded(func: _Function, args: _Args, kwargs: _Named) -> Any:
    sizes = _sizes(args, kwargs, "size")
    x = aligned(args[0], len(sizes))
    return StandIn(x.expand(x.shape[0], *sizes))


def _expanded_as(func: _Function, args: _Args, kwargs: _Named) -> Any:
    return _expanded(func, (args[0], tuple(args[1].shape)), {})


def _repeated(func: _Function, args: _Args, kwargs: _Named) -> Any:
    sizes = _sizes(args, kwargs, "repeats" if "repeats" in kwargs else "dims")
    return StandIn(aligned(args[0], len(sizes)).repeat(1, *sizes))


def _joined(func: _Function, args: _Args, kwargs: _Named) -> Any:
    """`cat` and `stack`."""
    parts, dim = args[0] if args else kwargs["tensors"], args[1] if len(args) > 1 else 0
    slots = slots_of(parts)
    whole = [
        stacked(part) if type(part) is StandIn else part.expand(slots, *part.shape)
        for part in parts
    ]
    return StandIn(func(whole, dim=shifted(kwargs.get("dim", dim))))


def _indexed(func: _Function, args: _Args, kwargs: _Named) -> Any:
    value, index = args
    index = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, (Tensor, list)) for part in index) and not _plain(index):
        return vmapped(func, args, kwargs)
    return StandIn(value.stacked[(slice(None), *index)])


def _plain(index: Sequence[Any]) -> bool:
    """Whether it means the same behind a dimension of slots: no numbers of the slots' own, and
    no two tensors that have a slice between them."""
    places = [place for place, part in enumerate(index) if isinstance(part, (Tensor, list, int))]
    own = any(type(part) is StandIn for part in index)
    return not own and (not places or places[-1] - places[0] == len(places) - 1)


def _assigned(func: _Function, args: _Args, kwargs: _Named) -> None:
    target, index, value = args
    if type(target) is not StandIn:
        raise CannotStackError("a tensor that `forward` makes anew holds one network's numbers")
    index = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, (Tensor, list)) for part in index):
        raise CannotStackError("assignment to places named by a tensor cannot be stacked")
    place = target.stacked[(slice(None), *index)]
    place.copy_(aligned(value, place.dim() - 1)) if isinstance(value, Tensor) else place.fill_(
        value
    )


def _anew(func: _Function, args: _Args, kwargs: _Named) -> Any:
    """`x.new_zeros(*S)` and the like: of every slot, as `forward` may write there."""
    value, *rest = args
    sizes = rest[0] if rest and not isinstance(rest[0], int) else rest
    fill = rest[1:] if rest and sizes is rest[0] else []
    x = value.stacked
    return StandIn(func(x, (x.shape[0], *sizes), *fill, **kwargs))


SHAPES: Mapping[str, Rule] = {
    **dict.fromkeys(("reshape", "view"), _reshaped),
    **dict.fromkeys(("reshape_as", "view_as"), _as_other),
    "flatten": _flattened,
    "permute": _permuted,
    **dict.fromkeys(("t", "T.__get__"), _transposed),
    **dict.fromkeys(("mT.__get__", "adjoint"), _last_two),
    **dict.fromkeys(
        ("transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "unsqueeze", "flip"), _moved
    ),
    "squeeze": _squeezed,
    **dict.fromkeys(("expand", "broadcast_to"), _expanded),
    "expand_as": _expanded_as,
    **dict.fromkeys(("repeat", "tile"), _repeated),
    **dict.fromkeys(("cat", "concat", "concatenate", "stack"), _joined),
    "__getitem__": _indexed,
    "__setitem__": _assigned,
    **dict.fromkeys(("new_zeros", "new_ones", "new_empty", "new_full"), _anew),
}
"""The rules by the names that functions have as such, as methods, and as properties."""

"""What PyTorch's functions do with stand-ins: those of single numbers, of shapes, and of sums.

Shapes: `K` slots, `*S` the shape of a value in one network. The tensor behind a stand-in is
(K, *S), so that a dimension counted from the end stays, and one counted from the start is one
further. Strides may be any: between convolutions slots lie next to channels.
"""

from __future__ import annotations

import string
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
    wrapped,
)  # fmt: skip

__all__ = ["BY_NAME", "aligned", "shifted"]

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


def _rank(value: Any) -> int:
    if type(value) is StandIn:
        return value.stacked.dim() - 1
    return value.dim() if isinstance(value, Tensor) else 0


def shifted(dim: int) -> int:
    """A dimension of one network's value as one of (K, *S)."""
    return dim + 1 if dim >= 0 else dim


def _shifted(dims: Any) -> Any:
    return shifted(dims) if isinstance(dims, int) else tuple(map(shifted, dims))


# --- one number at a time ---------------------------------------------------------------------


def _pointwise(func: _Function, args: _Args, kwargs: _Named) -> Any:
    if kwargs.get("out") is not None:
        raise CannotStackError("the argument `out` cannot be stacked")
    rank = max(map(_rank, (*args, *kwargs.values())))
    values = [aligned(value, rank) for value in args]
    return wrapped(func(*values, **{name: aligned(value, rank) for name, value in kwargs.items()}))


def _in_place(func: _Function, args: _Args, kwargs: _Named) -> Any:
    target = args[0]
    if type(target) is not StandIn:
        raise CannotStackError("a tensor that `forward` makes anew holds one network's numbers")
    rank = _rank(target)
    values = [aligned(value, rank) for value in args]
    func(*values, **{name: aligned(value, rank) for name, value in kwargs.items()})
    return target


def _direct(func: _Function, args: _Args, kwargs: _Named) -> Any:
    """What takes the whole tensor as it is: copies, types."""
    return wrapped(
        func(*map(stacked, args), **{name: stacked(value) for name, value in kwargs.items()})
    )


def _itself(func: _Function, args: _Args, kwargs: _Named) -> Any:
    """How a tensor lies in memory is ours to choose."""
    return args[0]


def _metadata(func: _Function, args: _Args, kwargs: _Named) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return func(*args, **kwargs)


# --- shapes -----------------------------------------------------------------------------------


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
    if not _rank(value):
        return StandIn(value.stacked.unsqueeze(1))
    return StandIn(value.stacked.flatten(shifted(start), shifted(end)))


def _permuted(func: _Function, args: _Args, kwargs: _Named) -> Any:
    rank = _rank(args[0])
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
    dims = [_shifted(dim) for dim in args[1:]]
    named = {name: _shifted(dim) for name, dim in kwargs.items()}
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


# --- along dimensions -------------------------------------------------------------------------


def _along(position: int = 1, default: int | None = None, *, many: bool = False) -> Rule:
    """What goes along a dimension.

    Args:
        position: The place of `dim` among the arguments.
        default: The dimension where none is named; None: all of them.
        many: Whether all of them can be named, rather than flattened to one.
    """

    def along(func: _Function, args: _Args, kwargs: _Named) -> Any:
        values, named = list(map(stacked, args)), dict(kwargs)
        dim = values[position] if len(values) > position else named.pop("dim", default)
        own = any(type(arg) is StandIn for arg in args[1:])
        if own or isinstance(dim, bool) or values[0].dim() == 1:  # (K,): one number of each
            return vmapped(func, args, kwargs)
        if len(values) > position:
            values[position] = _dims(dim, values[0])
        elif dim is not None:
            named["dim"] = _shifted(dim)
        elif many:
            named["dim"] = tuple(range(1, values[0].dim()))
        else:
            values[0], named["dim"] = values[0].flatten(1), 1
        return wrapped(func(*values, **named))

    return along


def _dims(dim: Any, x: Tensor) -> Any:
    return tuple(range(1, x.dim())) if dim is None or dim == () else _shifted(dim)


def _largest(func: _Function, args: _Args, kwargs: _Named) -> Any:
    """`max` and `min`: of all numbers, along a dimension, or of two tensors."""
    if len(args) > 1 and isinstance(args[1], Tensor):
        return _pointwise(func, args, kwargs)
    if len(args) > 1 or kwargs:
        return _along()(func, args, kwargs)
    reduce = torch.amax if func.__name__ == "max" else torch.amin
    return StandIn(reduce(args[0].stacked.flatten(1), dim=1))


# --- products ---------------------------------------------------------------------------------


def _matmul(func: _Function, args: _Args, kwargs: _Named) -> Any:
    a, b = args
    ranks = _rank(a), _rank(b)
    if func.__name__ in ("__rmatmul__",) or min(ranks) < 2:
        return vmapped(func, args, kwargs)
    if ranks[1] == 2 and ranks[0] > 2 and type(a) is StandIn:  # one product for all that is before
        x = a.stacked
        flat = torch.matmul(x.flatten(1, -2), stacked(b))
        return StandIn(flat.view(*x.shape[:-1], flat.shape[-1]))
    rank = max(ranks)
    return StandIn(torch.matmul(aligned(a, rank), aligned(b, rank)))


def _einsum(func: _Function, args: _Args, kwargs: _Named) -> Any:
    equation, *operands = args
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = list(operands[0])
    if not isinstance(equation, str) or "->" not in equation:
        return vmapped(func, args, kwargs)
    slot = next(letter for letter in string.ascii_letters if letter not in equation)
    given, _, result = equation.partition("->")
    terms = [
        slot + term.strip() if type(operand) is StandIn else term.strip()
        for term, operand in zip(given.split(","), operands, strict=True)
    ]
    return StandIn(
        torch.einsum(f"{','.join(terms)}->{slot}{result.strip()}", *map(stacked, operands))
    )


def _attention(func: _Function, args: _Args, kwargs: _Named) -> Any:
    rank = max(map(_rank, (*args, *kwargs.values())))
    values = [aligned(value, rank) for value in args]
    named = {name: aligned(value, rank) for name, value in kwargs.items()}
    slots = slots_of(*args, *kwargs.values())
    first = [
        value if value.dim() > rank else value.expand(slots, *value.shape) for value in values[:3]
    ]
    return StandIn(func(*first, *values[3:], **named))


# --- what there is no answer for --------------------------------------------------------------


def _refused(reason: str) -> Rule:
    def refuse(func: _Function, args: _Args, kwargs: _Named) -> Any:
        raise CannotStackError(reason)

    return refuse


def _text(func: _Function, args: _Args, kwargs: _Named) -> str:
    return f"<{slots_of(*args)} networks' {tuple(args[0].shape)}>"


def _requires_grad(func: _Function, args: _Args, kwargs: _Named) -> bool:
    required: bool = args[0].stacked.requires_grad
    return required


_BY_VALUES = _refused("what `forward` does depends on the numbers in a tensor")
_RANDOM = _refused("`forward` draws random numbers")

_RULES: Mapping[str, tuple[Rule, str]] = {
    "pointwise": (_pointwise, """
        abs absolute acos acosh add addcdiv addcmul asin asinh atan atan2 atanh bitwise_and
        bitwise_not bitwise_or bitwise_xor ceil celu clamp clamp_max clamp_min clip cos cosh deg2rad
        digamma div divide elu eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide
        fmax fmin fmod frac ge gelu greater greater_equal gt hardshrink hardsigmoid hardswish
        hardtanh heaviside hypot isclose isfinite isinf isnan isneginf isposinf le leaky_relu lerp
        less less_equal lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not
        logical_or logical_xor logit logsigmoid log_sigmoid lt masked_fill maximum minimum mish mul
        multiply nan_to_num ne neg negative not_equal pow positive rad2deg reciprocal relu relu6
        remainder round rsqrt rsub selu sgn sigmoid sign silu sin sinc sinh softplus softshrink
        softsign sqrt square sub subtract tan tanh tanhshrink threshold _threshold true_divide trunc
        where xlogy __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__
        __div__ __rdiv__ __floordiv__ __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__ __neg__
        __pos__ __abs__ __invert__ __and__ __rand__ __or__ __ror__ __xor__ __rxor__ __eq__ __ne__
        __lt__ __le__ __gt__ __ge__
    """),
    "in place": (_in_place, """
        abs_ add_ addcdiv_ addcmul_ ceil_ clamp_ clamp_max_ clamp_min_ clip_ copy_ cos_ div_ elu_
        exp_ fill_ floor_ leaky_relu_ lerp_ log_ masked_fill_ mul_ neg_ pow_ reciprocal_ relu_
        relu6_ round_ rsqrt_ selu_ sigmoid_ sign_ silu_ sin_ sqrt_ square_ sub_ tanh_ trunc_ zero_
        __iadd__ __isub__ __imul__ __itruediv__ __ipow__
    """),
    "direct": (_direct, """
        bfloat16 bool clone detach double empty_like float full_like half int long ones_like
        requires_grad_ short to type type_as zeros_like data.__get__ int8 uint8
    """),
    "itself": (_itself, "contiguous"),
    "metadata": (_metadata, """
        dim size numel nelement ndimension is_complex is_contiguous is_floating_point element_size
        stride get_device __len__ ndim.__get__ shape.__get__ dtype.__get__ device.__get__
        layout.__get__ is_cuda.__get__ is_cpu.__get__ is_mps.__get__ is_meta.__get__
        is_nested.__get__ is_sparse.__get__ is_quantized.__get__ itemsize.__get__ nbytes.__get__
        is_leaf.__get__
        __hash__ is_same_size
    """),
    "reshaped": (_reshaped, "reshape view"),
    "as other": (_as_other, "reshape_as view_as"),
    "flattened": (_flattened, "flatten"),
    "permuted": (_permuted, "permute"),
    "transposed": (_transposed, "t T.__get__"),
    "last two": (_last_two, "mT.__get__ adjoint"),
    "moved": (_moved, "transpose swapaxes swapdims movedim moveaxis unsqueeze flip"),
    "squeezed": (_squeezed, "squeeze"),
    "expanded": (_expanded, "expand broadcast_to"),
    "expanded as": (_expanded_as, "expand_as"),
    "repeated": (_repeated, "repeat tile"),
    "joined": (_joined, "cat concat concatenate stack"),
    "indexed": (_indexed, "__getitem__"),
    "assigned": (_assigned, "__setitem__"),
    "anew": (_anew, "new_zeros new_ones new_empty new_full"),
    "along one": (_along(), "select index_select narrow logcumsumexp unflatten"),
    "along the first": (_along(default=0), "unbind"),
    "along a second": (_along(2, 0), "chunk split tensor_split"),
    "along the last": (_along(1, -1), "glu softmax log_softmax cumsum cumprod argsort sort"),
    "along any": (_along(), "argmax argmin prod cummax cummin"),
    "along all": (_along(many=True), "sum mean amax amin var std any all logsumexp nansum nanmean"),
    "largest": (_largest, "max min"),
    "matmul": (_matmul, "matmul __matmul__ mm bmm"),
    "einsum": (_einsum, "einsum"),
    "attention": (_attention, "scaled_dot_product_attention"),
    "by values": (_BY_VALUES, """
        __bool__ __int__ __float__ __index__ __complex__ item tolist numpy __array__ nonzero equal
        allclose is_nonzero unique unique_consecutive masked_select bincount __contains__ argwhere
    """),
    "random": (_RANDOM, """
        rand_like randn_like randint_like bernoulli bernoulli_ normal normal_ uniform_ random_
        exponential_ geometric_ cauchy_ log_normal_ multinomial poisson rrelu gumbel_softmax
        alpha_dropout feature_alpha_dropout fractional_max_pool2d
    """),
    "hook": (_refused("a hook of a tensor cannot be stacked"),
             "register_hook register_post_accumulate_grad_hook retain_grad"),
    "graph": (_refused("`forward` looks at gradients"), "grad_fn.__get__ grad.__get__ backward"),
    "text": (_text, "__repr__ __format__ __str__"),
    "requires_grad": (_requires_grad, "requires_grad.__get__"),
}  # fmt: skip

BY_NAME: Mapping[str, Rule] = {
    name: rule for rule, names in _RULES.values() for name in names.split()
}
"""The rules by the names that functions have as such, as methods, and as properties."""

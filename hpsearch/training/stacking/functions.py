"""What PyTorch's functions of numbers do with stand-ins: one at a time, sums, products.

Shapes: `K` slots, `*S` the shape of a value in one network. The tensor behind a stand-in is
(K, *S).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hpsearch.training.stacking.shapes import SHAPES, aligned, rank_of, shifted
from hpsearch.training.stacking.stand_in import (
    CannotStackError,
    Rule,
    StandIn,
    slots_of,
    stacked,
    vmapped,
    wrapped,
)  # fmt: skip

__all__ = ["BY_NAME"]

_Function = Callable[..., Any]
_Args = Sequence[Any]
_Named = Mapping[str, Any]


# --- one number at a time ---------------------------------------------------------------------


def _pointwise(func: _Function, args: _Args, kwargs: _Named) -> Any:
    if kwargs.get("out") is not None:
        raise CannotStackError("the argument `out` cannot be stacked")
    rank = max(map(rank_of, (*args, *kwargs.values())))
    values = [aligned(value, rank) for value in args]
    return wrapped(func(*values, **{name: aligned(value, rank) for name, value in kwargs.items()}))


def _in_place(func: _Function, args: _Args, kwargs: _Named) -> Any:
    target = args[0]
    if type(target) is not StandIn:
        raise CannotStackError("a tensor that `forward` makes anew holds one network's numbers")
    rank = rank_of(target)
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
            named["dim"] = shifted(dim)
        elif many:
            named["dim"] = tuple(range(1, values[0].dim()))
        else:
            values[0], named["dim"] = values[0].flatten(1), 1
        return wrapped(func(*values, **named))

    return along


def _dims(dim: Any, x: Tensor) -> Any:
    return tuple(range(1, x.dim())) if dim is None or dim == () else shifted(dim)


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
    ranks = rank_of(a), rank_of(b)
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
    rank = max(map(rank_of, (*args, *kwargs.values())))
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
    **SHAPES,
    **{name: rule for rule, names in _RULES.values() for name in names.split()},
}
"""The rules by the names that functions have as such, as methods, and as properties."""

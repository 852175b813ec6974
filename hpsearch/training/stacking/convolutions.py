"""What convolutions, pooling and other layers of channels do with stand-ins.

Shapes: `K` slots, `N` rows, `C` channels, `*S` places, such as height and width. PyTorch's
functions see (N, K*C, *S), each slot a group of channels of its own. What they give is
(K, N, C, *S) over the same memory, so that one after the other copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.training import devices
from hpsearch.training.stacking.stand_in import (
    CannotStackError,
    Rule,
    StandIn,
    called,
    stacked,
    vmapped,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONVOLUTIONS", "channels_last", "folded", "unfolded"]


def channels_last(x: Tensor) -> Tensor:
    """(N, C, *S) with the channels last in memory, which convolutions want.

    Where there is one channel both orders are the same memory; the strides have to say which.
    """
    if x.dim() != 4:
        return x.contiguous()
    n, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).contiguous()
    return x.as_strided(
        (n, channels, height, width), (channels * height * width, 1, channels * width, channels)
    )


def folded(x: StandIn) -> Tensor:
    """(K, N, C, *S) as (N, K*C, *S)."""
    return x.stacked.transpose(0, 1).flatten(1, 2)


def unfolded(x: Tensor, slots: int) -> StandIn:
    """(N, K*C, *S) as (K, N, C, *S)."""
    return StandIn(_split(x, 1, slots).transpose(0, 1))


def _split(x: Tensor, dim: int, first: int) -> Tensor:
    """A dimension as two, of which the first has that size."""
    return x.view(*x.shape[:dim], first, -1, *x.shape[dim + 1 :])


def _per_channel(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What treats every channel by itself, and each in the same way: pooling."""
    x, *rest = args
    result = func(folded(x), *rest, **kwargs)
    slots = x.stacked.shape[0]
    if isinstance(result, tuple):
        return type(result)(unfolded(part, slots) for part in result)
    return unfolded(result, slots)


def _per_row(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What treats every row by itself, without numbers of its own."""
    x, *rest = args
    return StandIn(_split(func(x.stacked.flatten(0, 1), *rest, **kwargs), 0, x.stacked.shape[0]))


def _padded(
    input: StandIn, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> StandIn:
    if mode == "constant":
        return StandIn(F.pad(input.stacked, pad, mode, value))
    return _per_row(F.pad, (input, pad, mode, value), {})  # type: ignore[no-any-return]


def _convolution(function: Callable[..., Tensor], rank: int) -> Rule:
    """A convolution over `rank` dimensions."""

    def rule(
        input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> StandIn:  # fmt: skip
        if type(weight) is not StandIn:  # numbers that are the same in all slots
            options = stride, padding, dilation, groups
            alike: StandIn = vmapped(function, (input, weight, bias, *options), {})
            return alike
        slots = weight.stacked.shape[0]
        _check_rank(input, rank)
        biases = None if bias is None else stacked(bias).expand(slots, -1).flatten()
        weights = weight.stacked.flatten(0, 1)
        if groups == 1 and (own := _shared(input)) is not None:
            x = channels_last(own)
            return unfolded(function(x, weights, biases, stride, padding, dilation, 1), slots)
        x = folded(input) if type(input) is StandIn else input.repeat(1, slots, *[1] * rank)
        result = _grouped(
            channels_last(x), slots,
            lambda x: function(x, weights, biases, stride, padding, dilation, slots * groups),
        )  # fmt: skip
        return unfolded(result, slots)

    return called(rule)


def _shared(x: Any) -> Tensor | None:
    """What all slots have in common, (N, ...); None where each has numbers of its own."""
    if type(x) is not StandIn:
        return x  # type: ignore[no-any-return]
    return x.stacked[0] if x.stacked.stride(0) == 0 else None


def _check_rank(x: Any, rank: int) -> None:
    dims = x.stacked.dim() - 1 if type(x) is StandIn else x.dim()
    if dims != rank + 2:
        raise CannotStackError("a convolution of a single row cannot be stacked")


def _convolution1d(
    input: Any, weight: StandIn, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> StandIn:  # fmt: skip
    """As a convolution of images of one line, for which the kernels are much faster."""

    def pair(value: Any, other: int) -> Any:
        if isinstance(value, str):
            return value
        return other, value if isinstance(value, int) else value[0]

    _check_rank(input, 1)
    x = StandIn(input.stacked.unsqueeze(-2)) if type(input) is StandIn else input.unsqueeze(-2)
    result = _CONV2D(
        F.conv2d,
        (x, StandIn(weight.stacked.unsqueeze(-2)), bias, pair(stride, 1), pair(padding, 0),
         pair(dilation, 1), groups),
        {},
    )  # fmt: skip
    return StandIn(result.stacked.squeeze(-2))


def _transposed(function: Callable[..., Tensor], rank: int) -> Rule:
    def rule(
        input: Any, weight: StandIn, bias: Any = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> StandIn:  # fmt: skip
        slots = weight.stacked.shape[0]
        _check_rank(input, rank)
        biases = None if bias is None else stacked(bias).expand(slots, -1).flatten()
        weights = weight.stacked.flatten(0, 1)
        x = folded(input) if type(input) is StandIn else input.repeat(1, slots, *[1] * rank)
        result = _grouped(
            channels_last(x), slots,
            lambda x: function(
                x, weights, biases, stride, padding, output_padding, slots * groups, dilation
            ),
        )  # fmt: skip
        return unfolded(result, slots)

    return called(rule)


def _grouped(x: Tensor, slots: int, convolve: Callable[[Tensor], Tensor]) -> Tensor:
    """A grouped convolution of (N, K*C, *S) in which what is not finite stays in its slot.

    Some devices multiply channels of other groups by 0, and 0 times infinity is NaN. There, what is
    not finite goes in as 0, and on the way back too. The slot that it belongs to becomes NaN as a
    whole, which it would by itself a layer or a step later.
    """
    if not devices.mixes_groups(x.device):
        return convolve(x)
    zero_or_nan = _split(x.detach() * 0, 1, slots)
    y = convolve(x.nan_to_num(0.0, 0.0, 0.0))
    if y.requires_grad:
        y.register_hook(_finite)  # type: ignore[no-untyped-call]
    spoilt_K = zero_or_nan.sum(dim=[dim for dim in range(zero_or_nan.dim()) if dim != 1])
    spoilt = spoilt_K.repeat_interleave(y.shape[1] // slots)
    return y + spoilt.view(1, -1, *[1] * (y.dim() - 2))


def _finite(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(0.0, 0.0, 0.0)


_CONV2D = _convolution(F.conv2d, 2)


CONVOLUTIONS: Mapping[Callable[..., Any], Rule] = {
    F.conv1d: called(_convolution1d),
    F.conv2d: _CONV2D,
    F.conv3d: _convolution(F.conv3d, 3),
    F.conv_transpose1d: _transposed(F.conv_transpose1d, 1),
    F.conv_transpose2d: _transposed(F.conv_transpose2d, 2),
    F.conv_transpose3d: _transposed(F.conv_transpose3d, 3),
    F.pad: called(_padded),
    **dict.fromkeys(
        (F.max_pool1d, F.max_pool2d, F.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d,
         F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d,
         F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d,
         F.lp_pool1d, F.lp_pool2d, F.interpolate),
        _per_channel,
    ),
    **dict.fromkeys((F.pixel_shuffle, F.pixel_unshuffle, F.unfold), _per_row),
}  # fmt: skip

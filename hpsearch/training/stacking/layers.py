"""What the functions of layers do with stand-ins.

Shapes: `K` slots, `N` rows, `D`, `I` inputs and `O` outputs of a layer, `C` channels, `L` places in
a sequence, `H` height, `W` width. Dense layers multiply (K, N, I) by (K, I, O): one batched product
serves all slots. Convolutions, pooling and BatchNorm see (N, K*C, H, W), each slot a group of
channels of its own. What they give is (K, N, C, H, W) over the same memory, so that one after the
other copies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.training import devices
from hpsearch.training.stacking.batch_norm import batch_norm
from hpsearch.training.stacking.dropout import Dropping
from hpsearch.training.stacking.functions import aligned
from hpsearch.training.stacking.linear import linear
from hpsearch.training.stacking.recurrent import RECURRENT
from hpsearch.training.stacking.stand_in import (
    CannotStackError,
    Rule,
    StandIn,
    slots_of,
    stacked,
    vmapped,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BY_FUNCTION"]


def _called(rule: Callable[..., Any]) -> Rule:
    """A rule that takes the function's own arguments, under their names."""
    return lambda func, args, kwargs: rule(*args, **kwargs)


# --- channels next to slots -------------------------------------------------------------------


def _channels_last(x: Tensor) -> Tensor:
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


def _folded(x: StandIn) -> Tensor:
    """(K, N, C, *S) as (N, K*C, *S)."""
    return x.stacked.transpose(0, 1).flatten(1, 2)


def _unfolded(x: Tensor, slots: int) -> StandIn:
    """(N, K*C, *S) as (K, N, C, *S)."""
    return StandIn(_split(x, 1, slots).transpose(0, 1))


def _split(x: Tensor, dim: int, first: int) -> Tensor:
    """A dimension as two, of which the first has that size."""
    return x.view(*x.shape[:dim], first, -1, *x.shape[dim + 1 :])


def _per_channel(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What treats every channel by itself, and each in the same way: pooling."""
    x, *rest = args
    result = func(_folded(x), *rest, **kwargs)
    slots = x.stacked.shape[0]
    if isinstance(result, tuple):
        return type(result)(_unfolded(part, slots) for part in result)
    return _unfolded(result, slots)


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


# --- convolutions -----------------------------------------------------------------------------


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
            x = _channels_last(own)
            return _unfolded(function(x, weights, biases, stride, padding, dilation, 1), slots)
        x = _folded(input) if type(input) is StandIn else input.repeat(1, slots, *[1] * rank)
        result = _grouped(
            _channels_last(x), slots,
            lambda x: function(x, weights, biases, stride, padding, dilation, slots * groups),
        )  # fmt: skip
        return _unfolded(result, slots)

    return _called(rule)


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
        x = _folded(input) if type(input) is StandIn else input.repeat(1, slots, *[1] * rank)
        result = _grouped(
            _channels_last(x), slots,
            lambda x: function(
                x, weights, biases, stride, padding, output_padding, slots * groups, dilation
            ),
        )  # fmt: skip
        return _unfolded(result, slots)

    return _called(rule)


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


# --- dense layers and embeddings --------------------------------------------------------------


def _linear(input: Any, weight: Any, bias: Any = None) -> StandIn:
    if type(weight) is not StandIn:
        return vmapped(F.linear, (input, weight, bias), {})  # type: ignore[no-any-return]
    x = stacked(input)
    if type(input) is not StandIn:  # the same in all slots
        x = x.expand(weight.stacked.shape[0], *x.shape)
    if x.dim() == 2:  # a single row
        return StandIn(linear(x.unsqueeze(1), weight, bias).squeeze(1))
    result = linear(x.flatten(1, -2), weight, bias)
    return StandIn(result.view(*x.shape[:-1], -1))


def _embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> StandIn:  # fmt: skip
    if max_norm is not None or scale_grad_by_freq or sparse or type(weight) is not StandIn:
        raise CannotStackError("an embedding with max_norm, frequencies or sparse gradients "
                               "cannot be stacked")  # fmt: skip
    slots, entries, _ = weight.stacked.shape
    numbers = stacked(input)
    if padding_idx is not None and padding_idx < 0:
        padding_idx += entries
    if type(input) is not StandIn:
        numbers = numbers.expand(slots, *numbers.shape)
    first = torch.arange(slots, device=numbers.device).mul_(entries)
    numbers = numbers + first.view(-1, *[1] * (numbers.dim() - 1))
    table = weight.stacked.flatten(0, 1)
    if padding_idx is not None:  # its gradient is 0, whatever its numbers are
        table = _without_gradient(weight.stacked, padding_idx).flatten(0, 1)
    return StandIn(F.embedding(numbers, table))


def _without_gradient(weight_KVD: Tensor, row: int) -> Tensor:
    if weight_KVD.requires_grad:
        mask = torch.ones(weight_KVD.shape[1], 1, dtype=weight_KVD.dtype, device=weight_KVD.device)
        mask[row] = 0
        weight_KVD = weight_KVD.view_as(weight_KVD)
        weight_KVD.register_hook(lambda gradient: gradient * mask)  # type: ignore[no-untyped-call]
    return weight_KVD


# --- normalisation ----------------------------------------------------------------------------


def _numbers(value: Any, slots: int) -> Tensor | None:
    """The numbers of every channel, (K, C)."""
    if value is None:
        return None
    numbers: Tensor = stacked(value).expand(slots, -1)
    return numbers


def _flat(value: Any, slots: int) -> Tensor | None:
    """The numbers of every channel, (K*C,)."""
    numbers = _numbers(value, slots)
    return None if numbers is None else numbers.reshape(-1)


def _batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> StandIn:  # fmt: skip
    slots = slots_of(input, running_mean, running_var, weight, bias)
    x = input.stacked if type(input) is StandIn else input.expand(slots, *input.shape)
    if training and x.shape[1] * x[0, 0, 0].numel() == 1:
        raise ValueError("expected more than one value of each channel when training")
    numbers = [_numbers(value, slots) for value in (running_mean, running_var, weight, bias)]
    mean, var, scale, shift = numbers
    if x.dim() == 3:
        running = None if mean is None or var is None else (mean, var)
        return StandIn(batch_norm(x, running, scale, shift, training, momentum, eps))
    mean, var, scale, shift = (None if n is None else n.reshape(-1) for n in numbers)
    y = F.batch_norm(_channels_last(_folded(StandIn(x))), mean, var, scale, shift, training,
                     momentum, eps)  # fmt: skip
    return _unfolded(y, slots)


def _group_norm(
    input: StandIn, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> StandIn:
    slots = slots_of(input, weight)
    x = input if type(input) is StandIn else StandIn(input.expand(slots, *input.shape))
    y = F.group_norm(_folded(x), slots * num_groups, _flat(weight, slots), _flat(bias, slots), eps)
    return _unfolded(y, slots)


def _instance_norm(
    input: StandIn, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> StandIn:  # fmt: skip
    slots = slots_of(input, weight)
    x = input if type(input) is StandIn else StandIn(input.expand(slots, *input.shape))
    y = F.instance_norm(
        _folded(x), _flat(running_mean, slots), _flat(running_var, slots), _flat(weight, slots),
        _flat(bias, slots), use_input_stats, momentum, eps,
    )  # fmt: skip
    return _unfolded(y, slots)


def _layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Any:  # fmt: skip
    return _affine(F.layer_norm(stacked(input), normalized_shape, eps=eps), input, weight, bias)


def _rms_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    return _affine(F.rms_norm(stacked(input), normalized_shape, eps=eps), input, weight, None)


def _affine(normal: Tensor, input: Any, weight: Any, bias: Any) -> StandIn:
    rank = normal.dim() - 1 if type(input) is StandIn else normal.dim()
    if weight is None:
        return StandIn(normal)
    scale = aligned(weight, rank)
    if bias is None:
        return StandIn(normal * scale)
    return StandIn(torch.addcmul(aligned(bias, rank), normal, scale))


# --- dropout ----------------------------------------------------------------------------------


def _dropout(dims: int | None) -> Callable[..., Any]:
    """Dropout of single numbers; with `dims` of whole maps, which have so many dimensions."""

    def rule(input: Any, p: Any = 0.5, training: bool = True, inplace: bool = False) -> Any:
        if not training or p is None or (isinstance(p, float) and p == 0):
            return input
        x = input.stacked
        if not isinstance(p, Dropping):
            p = Dropping.of(torch.full((x.shape[0],), float(p)), x.device)
        if dims is None:
            return StandIn(p(x))
        if x.dim() != dims + 3:
            raise CannotStackError("dropout of the maps of a single row cannot be stacked")
        return StandIn(x * p(x.new_ones(*x.shape[:3], *[1] * dims)))

    return rule


# --- attention --------------------------------------------------------------------------------


def _multi_head_attention(
    query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int,
    in_proj_weight: Any, in_proj_bias: Any, bias_k: Any, bias_v: Any, add_zero_attn: bool,
    dropout_p: float, out_proj_weight: Any, out_proj_bias: Any, training: bool = True,
    key_padding_mask: Any = None, need_weights: bool = True, attn_mask: Any = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Any = None, k_proj_weight: Any = None,
    v_proj_weight: Any = None, static_k: Any = None, static_v: Any = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """Attention over sequences (L, N, D), as `torch.nn.functional` has it."""
    unusual = bias_k is not None or bias_v is not None or static_k is not None or add_zero_attn
    if unusual or static_v is not None or query.dim() != 3:
        raise CannotStackError("attention with bias_k, add_zero_attn or no batch cannot be stacked")
    if use_separate_proj_weight:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
    else:
        weights = list(in_proj_weight.chunk(3))
    biases = [None] * 3 if in_proj_bias is None else list(in_proj_bias.chunk(3))
    length, rows, width = query.shape
    each = width // num_heads

    def heads(x: Any) -> Any:
        """(N, heads, L, each)"""
        return x.reshape(x.shape[0], rows, num_heads, each).permute(1, 2, 0, 3)

    q, k, v = (
        heads(F.linear(x, weight, bias))
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    mask = _mask(attn_mask, key_padding_mask, rows, num_heads, q.dtype)
    dropped = dropout_p if training else 0.0
    attention = None
    if need_weights:
        scores = (q @ k.transpose(-2, -1)) * each**-0.5
        attention = (scores if mask is None else scores + mask).softmax(-1)
        shares = F.dropout(attention, dropped) if dropped else attention
        mixed = shares @ v
        attention = attention.mean(dim=1) if average_attn_weights else attention
    else:
        causal = is_causal and key_padding_mask is None
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=None if causal else mask, dropout_p=dropped, is_causal=causal
        )
    mixed = mixed.permute(2, 0, 1, 3).reshape(length, rows, width)
    return F.linear(mixed, out_proj_weight, out_proj_bias), attention


def _mask(attn_mask: Any, padding: Any, rows: int, heads: int, dtype: torch.dtype) -> Any:
    """Both masks as numbers to add to (N, heads, L, L); True is what cannot be seen."""

    def number(mask: Any) -> Any:
        if mask.dtype != torch.bool:
            return mask
        zeros = torch.zeros_like(mask, dtype=dtype)
        return zeros.masked_fill(mask, float("-inf"))

    total = None
    if attn_mask is not None:
        total = number(attn_mask)
        if total.dim() == 3:
            total = total.view(rows, heads, *total.shape[1:])
    if padding is not None:
        padding = number(padding).view(rows, 1, 1, -1)
        total = padding if total is None else total + padding
    return total


# --- all of them ------------------------------------------------------------------------------

BY_FUNCTION: Mapping[Callable[..., Any], Rule] = {
    F.linear: _called(_linear),
    F.conv1d: _called(_convolution1d),
    F.conv2d: _CONV2D,
    F.conv3d: _convolution(F.conv3d, 3),
    F.conv_transpose1d: _transposed(F.conv_transpose1d, 1),
    F.conv_transpose2d: _transposed(F.conv_transpose2d, 2),
    F.conv_transpose3d: _transposed(F.conv_transpose3d, 3),
    F.embedding: _called(_embedding),
    F.batch_norm: _called(_batch_norm),
    F.group_norm: _called(_group_norm),
    F.instance_norm: _called(_instance_norm),
    F.layer_norm: _called(_layer_norm),
    F.rms_norm: _called(_rms_norm),
    F.dropout: _called(_dropout(None)),
    F.dropout1d: _called(_dropout(1)),
    F.dropout2d: _called(_dropout(2)),
    F.dropout3d: _called(_dropout(3)),
    F.pad: _called(_padded),
    F.multi_head_attention_forward: _called(_multi_head_attention),
    **dict.fromkeys(
        (F.max_pool1d, F.max_pool2d, F.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d,
         F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d,
         F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d,
         F.lp_pool1d, F.lp_pool2d, F.interpolate),
        _per_channel,
    ),
    **dict.fromkeys((F.pixel_shuffle, F.pixel_unshuffle, F.unfold), _per_row),
    **RECURRENT,
}  # fmt: skip

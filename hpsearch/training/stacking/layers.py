"""What the functions of layers do with stand-ins.

Shapes: `K` slots, `N` rows, `D`, `I` inputs and `O` outputs of a layer, `C` channels. Dense layers
multiply (K, N, I) by (K, I, O): one batched product serves all slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.training.stacking.attention import multi_head_attention
from hpsearch.training.stacking.batch_norm import batch_norm
from hpsearch.training.stacking.convolutions import CONVOLUTIONS, channels_last, folded, unfolded
from hpsearch.training.stacking.dropout import Dropping
from hpsearch.training.stacking.linear import linear
from hpsearch.training.stacking.recurrent import RECURRENT
from hpsearch.training.stacking.shapes import aligned
from hpsearch.training.stacking.stand_in import (
    CannotStackError,
    Rule,
    StandIn,
    called,
    slots_of,
    stacked,
    vmapped,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BY_FUNCTION"]


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
    y = F.batch_norm(channels_last(folded(StandIn(x))), mean, var, scale, shift, training,
                     momentum, eps)  # fmt: skip
    return unfolded(y, slots)


def _group_norm(
    input: StandIn, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> StandIn:
    slots = slots_of(input, weight)
    x = input if type(input) is StandIn else StandIn(input.expand(slots, *input.shape))
    y = F.group_norm(folded(x), slots * num_groups, _flat(weight, slots), _flat(bias, slots), eps)
    return unfolded(y, slots)


def _instance_norm(
    input: StandIn, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> StandIn:  # fmt: skip
    slots = slots_of(input, weight)
    x = input if type(input) is StandIn else StandIn(input.expand(slots, *input.shape))
    y = F.instance_norm(
        folded(x), _flat(running_mean, slots), _flat(running_var, slots), _flat(weight, slots),
        _flat(bias, slots), use_input_stats, momentum, eps,
    )  # fmt: skip
    return unfolded(y, slots)


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


# --- all of them ------------------------------------------------------------------------------

BY_FUNCTION: Mapping[Callable[..., Any], Rule] = {
    F.linear: called(_linear),
    F.embedding: called(_embedding),
    F.batch_norm: called(_batch_norm),
    F.group_norm: called(_group_norm),
    F.instance_norm: called(_instance_norm),
    F.layer_norm: called(_layer_norm),
    F.rms_norm: called(_rms_norm),
    F.dropout: called(_dropout(None)),
    F.dropout1d: called(_dropout(1)),
    F.dropout2d: called(_dropout(2)),
    F.dropout3d: called(_dropout(3)),
    F.multi_head_attention_forward: called(multi_head_attention),
    **CONVOLUTIONS,
    **RECURRENT,
}  # fmt: skip

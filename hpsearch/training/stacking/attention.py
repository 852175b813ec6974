"""Attention of many networks at once: what PyTorch's function does, by functions that have rules.

Shapes, in one network: `L` places in a sequence, `N` rows, `D` numbers of each place.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.training.stacking.stand_in import CannotStackError

__all__ = ["multi_head_attention"]


def multi_head_attention(
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

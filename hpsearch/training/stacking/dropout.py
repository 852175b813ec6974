"""Dropout by few random numbers.

Shapes: `K` slots, `*S` the shape of a value in one network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- its usual name
from torch.overrides import TorchFunctionMode, has_torch_function_unary

from hpsearch.training.stacking.stand_in import CannotStackError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

__all__ = ["DROPOUT_LAYERS", "Dropout", "Dropping", "without_dropout"]

_BY_SHARE = "what `forward` does depends on the share that a layer drops"

DROPOUT_LAYERS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
"""Layers of which each slot of a stack has a share of its own."""


@dataclass(frozen=True, eq=False)
class Dropping:
    """Dropout in many networks at once, with a share of each one's own, in steps of 2**-16."""

    threshold_K: Tensor
    """int16: a random int16 below it drops the unit."""
    scale_K: Tensor
    """What is left is scaled up by it."""

    @classmethod
    def of(cls, share_K: Tensor, device: torch.device) -> Dropping | None:
        """For these shares, in [0, 1); None where no slot drops anything."""
        steps_K = (share_K.double() * 65536).round().clamp(max=65535)
        if not steps_K.any():
            return None
        scale_K = 65536 / (65536 - steps_K)
        return cls((steps_K - 32768).to(device, torch.int16), scale_K.to(device, torch.float32))

    def __bool__(self) -> bool:
        raise CannotStackError(_BY_SHARE)

    def __eq__(self, other: object) -> bool:
        raise CannotStackError(_BY_SHARE)

    __hash__ = object.__hash__

    def __call__(self, x: Tensor) -> Tensor:
        """Drop units of (K, *S)."""
        # A number of 64 random bits serves four units: a quarter of the time of `torch.rand`. That
        # `ge` writes int16 and not bool makes it a vector instruction: 6 us in place of 71.
        place = torch.empty_like(x, dtype=torch.int16)  # in the order of `x` in memory
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        bits16 = bits.random_(-(2**63), None).view(torch.int16)
        each = (-1, *[1] * (x.dim() - 1))
        mask = torch.ge(
            bits16.as_strided(place.shape, place.stride()), self.threshold_K.view(each), out=place
        )
        return x * mask.to(x.dtype).mul_(self.scale_K.view(each))


class Dropout(nn.Dropout):
    """PyTorch's, but that on a CPU it takes a fifth of the time: PyTorch draws there unit by unit,
    on one core, which in a wide network takes as long as a layer."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        cpu = torch.device("cpu")  # wherever the layer's own device is to be, `meta` among them
        self._dropping = Dropping.of(torch.tensor([share], device=cpu), cpu)

    def forward(self, input: Tensor) -> Tensor:
        """Drop units of (N, D), (N, C, H, W) or any other shape while training."""
        if has_torch_function_unary(input) or input.device.type != "cpu" or not self.training:
            return super().forward(input)
        if self._dropping is None:
            return input
        return self._dropping(input.unsqueeze(0)).squeeze(0)


class _None(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _DROPOUTS:
            return args[0]
        if func in _RECURRENT:  # the only number among its arguments that is not whole
            args = [0.0 if isinstance(arg, float) else arg for arg in args]
        elif func in _ATTENTION and len(args) > _ATTENTION[func]:
            place = _ATTENTION[func]
            args = [*args[:place], 0.0, *args[place + 1 :]]
        elif func in _ATTENTION:
            kwargs = {**(kwargs or {}), "dropout_p": 0.0}
        return func(*args, **(kwargs or {}))


def without_dropout() -> AbstractContextManager[object]:
    """Inside, no PyTorch function drops anything."""
    return _None()


_DROPOUTS = frozenset({
    F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout,
    torch.dropout,
})  # fmt: skip
_ATTENTION: Mapping[Callable[..., Any], int] = {
    F.scaled_dot_product_attention: 4,
    F.multi_head_attention_forward: 10,
}
"""Where `dropout_p` stands among the arguments."""
_RECURRENT = frozenset({torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu})

"""Dropout by few random numbers.

Shapes: `K` slots, `N` rows, `D` features, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "Dropping"]


@dataclass(frozen=True)
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

    def __call__(self, x: Tensor) -> Tensor:
        """Drop units of (K, N, D) or (N, K*C, H, W)."""
        # A number of 64 random bits serves four units: a quarter of the time of `torch.rand`. That
        # `ge` writes int16 and not bool makes it a vector instruction: 6 us in place of 71.
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
        bits16 = bits.random_(-(2**63), None).view(torch.int16)[: x.numel()]
        if x.dim() == 3:
            bits16, shape = bits16.view(x.shape), (-1, 1, 1)
            threshold, scale = self.threshold_K, self.scale_K
        else:
            n, channels, height, width = x.shape
            bits16, shape = bits16.view(n, height, width, channels).permute(0, 3, 1, 2), (-1, 1, 1)
            each = channels // len(self.scale_K)
            threshold = self.threshold_K.unsqueeze(1).expand(-1, each).flatten()
            scale = self.scale_K.unsqueeze(1).expand(-1, each).flatten()
        kept = torch.ge(bits16, threshold.view(shape), out=torch.empty_like(bits16))
        return x * kept.to(x.dtype).mul_(scale.view(shape))


class Dropout(nn.Dropout):
    """PyTorch's, but that on a CPU it takes a fifth of the time: PyTorch draws there unit by unit,
    on one core, which in a wide network takes as long as a layer."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        cpu = torch.device("cpu")  # wherever the layer's own device is to be, `meta` among them
        self._dropping = Dropping.of(torch.tensor([share], device=cpu), cpu)

    def forward(self, input: Tensor) -> Tensor:
        """Drop units of (N, D) or (N, C, H, W) while training."""
        if input.device.type != "cpu" or not self.training:
            return super().forward(input)
        if self._dropping is None:
            return input
        if input.dim() == 4:
            return self._dropping(input)
        return self._dropping(input.unsqueeze(0)).squeeze(0)

"""A user's training function by itself: without a study, a database or another process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.children.run import Run

__all__ = ["Result", "standalone"]


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    value: Any
    """What the function returned."""
    curve: tuple[Mapping[str, float], ...] = field(default=())
    """What it reported, a mapping an epoch."""


def standalone(
    train: Callable[[Run], Any], *, epochs: int = 10, seed: int = 0, device: str | None = None,
    folder: Path | str | None = None, **params: Any,
) -> Result:  # fmt: skip
    """Call a training function as hpsearch would, in this process: to try it, or to debug it.

        hpsearch.standalone(train, epochs=3, lr=1e-3, width=64)

    Each report is printed. Errors are raised as they are.

    Args:
        train: The function.
        epochs: The most epochs that it may report.
        seed: `run.seed`.
        device: `run.device`; None: `cuda` where there is one, else `cpu`.
        folder: `run.folder`; None: one that is removed afterwards.
        params: The parameters.
    """
    curve: list[Mapping[str, float]] = []

    def answer(epoch: int, numbers: Mapping[str, float]) -> bool:
        curve.append(dict(numbers))
        shown = "  ".join(f"{name} {number:.4g}" for name, number in numbers.items())
        print(f"epoch {epoch}  {shown}", flush=True)
        return True

    with tempfile.TemporaryDirectory(prefix="hpsearch-") as own:
        run = Run(
            params, seed=seed, device=device or _device(), folder=Path(folder or own),
            epochs=epochs, answer=answer,
        )  # fmt: skip
        return Result(train(run), tuple(curve))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"

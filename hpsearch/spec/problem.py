"""What a network has to fit: plain values, known once the data is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["KINDS", "REFERENCE", "Kind", "Problem"]

Kind = Literal["rows", "images", "sequences", "tokens"]
"""What one input is: numbers (D,), an image (C, H, W), a series of numbers (T, D), or numbers that
stand for words (T,), int64: 0 is padding, 1 an unknown word. All others are float32."""

KINDS: tuple[Kind, ...] = get_args(Kind)

REFERENCE = -1
"""Where the target is the inputs: in place of a class, that a row measured with the validation rows
is a training row. How well those are given again says from which error on a row is strange."""


@dataclass(frozen=True)
class Problem:
    """What a network is given, and what it has to give."""

    task: str
    """The name of the task."""
    kind: Kind
    shape: tuple[int, ...]
    """Of one input, without the batch: (D,) for rows, (C, H, W) for images, (T, D) for sequences,
    (T,) for tokens."""
    outputs: int
    """Numbers that it gives for each input: its outputs are float32 (N, outputs), without softmax
    or sigmoid."""
    classes: tuple[str, ...]
    """Names of the classes; empty where the target is a number."""
    target_mean: float = 0.0
    """Mean of the target's numbers in the training rows; 0 where it is a class."""
    target_std: float = 1.0
    """Standard deviation of the same; 1 where it is a class."""
    vocabulary: int = 0
    """How many different tokens there are: each is from 0 to one below. 0 where inputs are none."""
    normal: tuple[str, ...] = ()
    """Where the target is the inputs: the classes whose rows are normal; empty where all are."""
    threshold: float | None = None
    """Where the target is the inputs: the error above which a row is strange; None until there is a
    trained network to take it from."""

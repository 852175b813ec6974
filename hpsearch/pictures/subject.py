"""What a picture of a trial is made of: the trial, its network, and rows of the data.

Shapes: `N` rows, `C` classes or outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hpsearch.code import contained
from hpsearch.pictures.catalog import Facts
from hpsearch.sources.inputs import Described, Tabled, Unit, Worded
from hpsearch.spec.problem import REFERENCE
from hpsearch.spec.task import TASKS
from hpsearch.tasks.learning import Predicted, learning
from hpsearch.training.evaluation import in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.handover.trained import Trained
    from hpsearch.insight.snapshot import Trial
    from hpsearch.runner.epoch import Epoch
    from hpsearch.sources.dataset import Part, Prepared
    from hpsearch.spec.settings import Direction

__all__ = ["CONVOLUTIONS", "MOST_ROWS", "Sample", "Source", "Subject", "share"]

MOST_ROWS = 2_000
"""Rows of a part that pictures are made from, evenly taken: seconds, however large the data is."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True, eq=False)
class Source:
    """The data that a network is shown on."""

    problem: Prepared
    train: Part
    part: Part
    named: str
    """What the part is called: `validation part`."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of a part, and what the network makes of them."""

    rows: NDArray[np.int64]
    """(N,): their places in the part."""
    of: int
    """How many rows the part has."""
    inputs: Tensor
    """(N, *shape), as the network takes them, on the CPU."""
    targets: Tensor
    """(N, ...), as the task encodes them, on the CPU."""
    outputs: Tensor
    """(N, ...), float64 on the CPU: what the task's functions are given."""


class Subject:
    """A trial that pictures are made of."""

    def __init__(
        self, title: str, metric: str, direction: Direction, trial: Trial,
        curve: Sequence[Epoch] | None = None, classes: Sequence[str] = (),
        trained: Trained | None = None, source: Source | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            title: What the pictures are of: the study, and which trial.
            metric: The one that the study improves.
            direction: Which way.
            trial: The trial.
            curve: Its epochs with all their metrics; None: only the study's metric is known.
            classes: Names of the classes; none where the target is a number.
            trained: Its network; None: it is unavailable.
            source: The data; with `trained` alone.
        """
        self.title, self.metric, self.direction = title, metric, direction
        self.trial, self.curve, self.classes = trial, curve, tuple(classes)
        self._trained, self._source = trained, source

    @property
    def trained(self) -> Trained:
        """Its network; ValueError where that is unavailable."""
        if self._trained is None:
            raise ValueError("a picture of a network is asked for without the network")
        return self._trained

    @property
    def source(self) -> Source:
        """The data; ValueError where there is none."""
        if self._source is None:
            raise ValueError("a picture of a network is asked for without the data")
        return self._source

    @cached_property
    def facts(self) -> Facts:
        """What decides which pictures there are."""
        problem = self.source.problem
        convolves = any(isinstance(m, CONVOLUTIONS) for m in self.trained.network.modules())
        return Facts(
            TASKS[problem.task].target, problem.kind, problem.input_shape, len(problem.classes),
            convolves,
        )  # fmt: skip

    @cached_property
    def sample(self) -> Sample:
        """Rows of the part, with what the network makes of them."""
        return self._sampled(self.source.part)

    @cached_property
    def train(self) -> Sample:
        """The same of the training part."""
        return self._sampled(self.source.train)

    def predicted(self, sample: Sample) -> Predicted:
        """What the network answers, in words or in the target's unit."""
        problem = self.source.problem
        return learning(problem.task).predictions(sample.outputs, problem.problem(self._loss))

    def truths(self, sample: Sample) -> NDArray[Any]:
        """The targets: (N,) indices of classes, or numbers in their own unit."""
        problem = self.source.problem
        if TASKS[problem.task].target != "numbers":
            return np.asarray(sample.targets.numpy())
        numbers = sample.targets.double().reshape(len(sample.targets), -1)[:, 0].numpy()
        return np.asarray(numbers * problem.target_std + problem.target_mean)

    @property
    def _loss(self) -> str:
        return self.trained.loss

    @property
    def units(self) -> tuple[Unit, ...]:
        """What the numbers of an input are in the data's own terms; none where that is unknown."""
        inputs = self.source.problem.preprocessing
        return inputs.units() if isinstance(inputs, Described) else ()

    def cells(self, rows: Tensor) -> dict[str, list[str]]:
        """The cells of rows of inputs (N, D) by column; none where they are not of a table."""
        inputs = self.source.problem.preprocessing
        return inputs.cells(rows.numpy()) if isinstance(inputs, Tabled) else {}

    def texts(self, tokens: Tensor) -> list[str]:
        """The words of rows of tokens; none where they cannot be read."""
        inputs = self.source.problem.preprocessing
        return inputs.texts(tokens.numpy()) if isinstance(inputs, Worded) else []

    def unscaled(self, inputs: Tensor) -> NDArray[np.float64]:
        """Inputs (N, *shape) in the data's own terms, as far as these are known."""
        numbers = inputs.double().numpy()
        if not self.units:
            return np.asarray(numbers)
        mean, deviation = (
            np.array([getattr(unit, name) for unit in self.units]) for name in ("mean", "deviation")
        )
        if self.source.problem.kind == "images":
            mean, deviation = mean[:, None, None], deviation[:, None, None]
        return np.asarray(numbers * deviation + mean)

    def images(self, inputs: Tensor) -> NDArray[np.float64]:
        """Images (N, C, H, W) as they are shown: (N, H, W), or (N, H, W, 3), from 0 to 1.

        Each by itself: what is darkest in it is 0. Of other numbers of channels the mean is shown.
        """
        pixels = self.unscaled(inputs)
        low = pixels.min(axis=(1, 2, 3), keepdims=True)
        high = pixels.max(axis=(1, 2, 3), keepdims=True)
        pixels = (pixels - low) / np.where(high > low, high - low, 1.0)
        if pixels.shape[1] == 3:
            return np.asarray(pixels.transpose(0, 2, 3, 1))
        return np.asarray(pixels.mean(axis=1))

    # --- the network at work ------------------------------------------------------------------

    def outputs(self, inputs: Tensor, network: nn.Module | None = None) -> Tensor:
        """What the network, or a part of it, makes of inputs (N, *shape): float64 on the CPU."""
        chosen = self.trained.network if network is None else network
        grows = self.source.problem.kind != "rows"
        with _working():
            pieces = in_parts(inputs.to(self._device), 1, grows=grows)
            at_work = copy.deepcopy(chosen).to(self._device)
            return torch.cat([at_work(piece).cpu().double() for piece in pieces])

    def traced(self, inputs: Tensor, most: int) -> list[tuple[str, Tensor]]:
        """What the first `most` convolutions give for a few inputs: the name of each, and its
        output on the CPU."""
        seen: list[tuple[str, Tensor]] = []
        network = copy.deepcopy(self.trained.network).to(self._device)

        def note(name: str) -> Callable[..., None]:
            return lambda _module, _given, made: seen.append((name, made.cpu().double()))

        hooks = [
            layer.register_forward_hook(note(name))
            for name, layer in network.named_modules() if isinstance(layer, CONVOLUTIONS)
        ]  # fmt: skip
        with _working():
            network(inputs.to(self._device))
        for hook in hooks:
            hook.remove()
        return seen[:most]

    @property
    def _device(self) -> torch.device:
        return self.source.part.device

    def _sampled(self, part: Part) -> Sample:
        places = np.arange(len(part))
        if TASKS[self.source.problem.task].target == "inputs":  # training rows stand among them
            places = np.flatnonzero(part.targets.cpu().numpy() != REFERENCE)
        chosen = places[np.unique(np.linspace(0, len(places) - 1, min(len(places), MOST_ROWS))
                                  .round().astype(np.int64))]  # fmt: skip
        inputs, targets = part.batch(torch.from_numpy(chosen).to(part.device))
        return Sample(chosen, len(places), inputs.cpu(), targets.cpu(), self.outputs(inputs))


@contextmanager
def _working() -> Iterator[None]:
    """Inside, a network is at work: own code does not end this process."""
    with torch.inference_mode(), contained():
        yield


def share(count: int, of: int) -> str:
    """How many rows of a part are shown: "" where that is all."""
    return "" if count == of else f", {count:,} of {of:,} rows"

"""Candidates trained alone and in stacks, and how alike the results are."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import torch

from hpsearch.runner import Report
from hpsearch.training.array import Array
from hpsearch.training.solo import Solo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset

DEVICE = torch.device(os.environ.get("HPSEARCH_TEST_DEVICE", "cpu"))
"""What the tests of training run on: HPSEARCH_TEST_DEVICE=cuda:0 holds another device to them."""

RULES: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"optimizer": "sgd", "momentum": 0.0},
    "momentum": {"optimizer": "sgd"},
    "nesterov": {"optimizer": "sgd", "nesterov": True},
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw"},
    "rmsprop": {"optimizer": "rmsprop"},
    "nadam": {"optimizer": "nadam"},
    "radam": {"optimizer": "radam"},
    "adagrad": {"optimizer": "adagrad"},
}
"""Every optimizer, and SGD in each of its forms."""


def run(array: Array, epochs: int = 100) -> list[Report]:
    """All reports until nothing is left to train. A stack that is taken apart gives none."""
    reports: list[Report] = []
    for _ in range(epochs):
        if {r.key for r in reports if r.finished or r.failure} >= set(array.keys):
            break
        reports += array.reports()
    return reports


def state_of(array: Array, key: int) -> Mapping[str, Any]:
    saved = array.saved(key)
    assert saved is not None
    return saved.state


def packed(
    dataset: Dataset, candidates: Iterable[Candidate], stack: int = 16, metric: str | None = None
) -> tuple[list[Report], Array]:
    """Candidates trained to their end in one array; 1 is each by itself."""
    metric = metric or ("accuracy" if dataset.classes else "rmse")
    array = Array(dataset, metric, DEVICE, stack=stack)
    for one in candidates:
        array.add(one)
    return run(array), array


def alone(
    dataset: Dataset, candidate: Candidate, metric: str | None = None
) -> tuple[list[Report], Mapping[str, Any]]:
    reports, array = packed(dataset, [candidate], stack=1, metric=metric)
    return reports, state_of(array, candidate.key)


def same(one: Any, other: Any) -> bool:
    """Bitwise equality of all tensors in two states."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, tuple):
        return all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """What of a state depends on training alone."""
    return {name: state[name] for name in ("model", "optimizer", "plateau", "epoch")}


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Between the weights and buffers of two states, each taken as one vector; relative.

    One vector, since some weights have a gradient of zero but for rounding, such as the bias
    before BatchNorm: it is nothing by itself, and its own relative error is large.
    """
    first, second = (
        torch.cat([x.flatten() for _, x in sorted(state["model"].items()) if x.is_floating_point()])
        for state in (one, other)
    )
    return float((first - second).norm() / second.norm())


def curve(reports: Sequence[Report], key: int) -> list[Report]:
    return [report for report in reports if report.key == key]


def gap(one: Sequence[Report], other: Sequence[Report], *names: str) -> float:
    """The largest difference of these metrics in two curves, of the same epochs; by default all."""
    assert [(r.last.epoch, r.finished, r.failure) for r in one] == [
        (r.last.epoch, r.finished, r.failure) for r in other
    ]
    return max(
        abs(ours.last.metrics[name] - theirs.last.metrics[name])
        for ours, theirs in zip(one, other, strict=True)
        for name in names or ours.last.metrics
    )


def deadly(limit: int) -> None:
    """A step of more rows ends the process."""
    step = Solo.step

    def wrapped(self: Solo, rows: Any, rate: Any) -> Any:
        if len(rows) > limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, rows, rate)

    Solo.step = wrapped  # type: ignore[method-assign]

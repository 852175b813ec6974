"""A family of small networks with a backbone and a head, whose weights are as if pretrained."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from hpsearch.families import Family, Problem, Setting
from hpsearch.families.layers import Dropout
from hpsearch.families.shared import BACKBONE_LR, DROPOUT, FREEZE, THAW_AT, TUNE
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset
from hpsearch.sources.room import Cache, Room
from hpsearch.weights.files import know

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.spec.settings import Value

CALLS: list[int] = []
"""Rows that `features` was given, in PyTorch's own calls."""


class Tuned(nn.Module):
    """What may differ between training and evaluation lies in its backbone too."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.head = nn.Sequential(Dropout(dropout), nn.Linear(width, 8), nn.Tanh())
        self.head.append(nn.Linear(8, outputs))
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.Tanh(),
            nn.Dropout(0.5), nn.Flatten(), nn.Linear(36, width), nn.Tanh(),
        )  # fmt: skip

    def features(self, x: Tensor) -> Tensor:
        if type(x) is Tensor:
            CALLS.append(len(x))
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.features(x))
        return outputs


def build(problem: Problem, *, width: int, dropout: float) -> nn.Module:
    return Tuned(width, problem.outputs, dropout)


def pretrained(width: int) -> dict[str, Tensor]:
    """The weights that candidates begin with."""
    generator, weights = torch.Generator().manual_seed(0), Tuned(width, 3, 0.0).state_dict()
    for name, tensor in weights.items():
        if tensor.is_floating_point():
            least = 0.1 if name.endswith("var") else -0.5
            drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float32)
            tensor.copy_(least + drawn)
    return weights


_DIGESTS: dict[int, str] = {}


def write(folder: Path) -> None:
    """Write the weights of networks of each width, so that candidates can begin with them."""
    for width in (5, 6):
        path = folder / f"{width}.safetensors"
        save_file(pretrained(width), path)
        _DIGESTS[width] = hashlib.sha256(path.read_bytes()).hexdigest()
        know({_DIGESTS[width]: path})


FAMILY = Family(
    name="tuned",
    doc="Networks with a head.",
    takes=frozenset({"images"}),
    settings=(
        Setting("width", "int", 6, "Features.", low=1),
        DROPOUT, TUNE, THAW_AT, BACKBONE_LR, FREEZE,
    ),
    build=f"{__name__}:build",
)  # fmt: skip
FORMS = ("head", "head_then_all", "all", "scratch")


def tuned(key: int = 0, seed: int = 7, **settings: Value) -> Candidate:
    """A candidate of the family, which has to be known as `tuned`."""
    chosen: dict[str, Any] = {**FAMILY.vocabulary().defaults, "epochs": 4, "batch_size": 70}
    chosen |= settings
    chosen["weights"] = settings.get("weights", _DIGESTS[chosen["width"]])
    return Candidate(key, "tuned", chosen, seed)


def crowd_of(count: int, **settings: Value) -> list[Candidate]:
    """Candidates of one shape that differ in their paces."""
    return [
        tuned(k, 40 + k, **{"lr": 3e-3 * (1 + k), "weight_decay": 1e-2 * k,
                            "clip": (None, 0.5)[k % 2], "backbone_lr": 0.2 * (k + 1),
                            **settings})
        for k in range(count)
    ]  # fmt: skip


def without_room(dataset: Dataset) -> Dataset:
    """The data, beside which no features can be kept."""
    return replace(dataset, cache=Cache(Room("1 B")))


def with_room(dataset: Dataset) -> Dataset:
    """The data, of which nothing has been kept so far."""
    return replace(dataset, cache=Cache(Room("1 GB")))

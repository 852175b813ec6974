"""What the networks of a study begin with: drawn weights, or those of files that are known by their
hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hpsearch.spec.settings import Setting

__all__ = ["DRAWN", "NONE", "PRETRAINED", "WEIGHTS", "Weights"]

NONE, PRETRAINED = "none", "pretrained"

WEIGHTS = Setting(
    "weights", "text", NONE,
    "SHA-256 of the file that a network's first weights come from; `none` where they are drawn.",
    later=True,
)  # fmt: skip
"""A setting of each candidate of our families. A study file names no hash: its `network.weights`
says which file is meant, and `submit` looks at it."""


@dataclass(frozen=True)
class Weights:
    """The weights that a study begins with."""

    named: str = NONE
    """As the study file has it: `none`, `pretrained`, a file or a folder."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the file of each model that is pretrained, by its name; of a file or folder one,
    under its own."""

    def of(self, model: object) -> str:
        """The value of `WEIGHTS` for a candidate, by its setting `model` where it has one."""
        if self.named == NONE:
            return NONE
        name = str(model) if self.named == PRETRAINED else self.named
        return self.hashes.get(name, NONE)

    @property
    def needs(self) -> tuple[str, ...]:
        """What a worker has to have, a text each: `weights NAME HASH`."""
        named = ((" ".join(name.split()), digest) for name, digest in self.hashes.items())
        return tuple(f"weights {name} {digest}" for name, digest in sorted(named))


DRAWN = Weights()
"""Those of every study that names none."""

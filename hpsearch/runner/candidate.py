"""What training sees of a trial: a frozen configuration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hpsearch.spec.family import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.family import Vocabulary
    from hpsearch.spec.settings import Value

__all__ = ["Candidate", "derived_seed"]


@dataclass(frozen=True)
class Candidate:
    """One network to train: its family, every setting, and the seed of all its randomness."""

    key: int
    """The caller's own name for it; no part of what is trained."""
    family: str
    settings: Mapping[str, Value]
    """A value for each setting of its `vocabulary`; `epochs` is never None."""
    seed: int
    """63 bits. Initial weights and data order depend on nothing else; dropout, in a stack, on its
    neighbours' too. Own training code is given the lower 31."""
    task: str | None = None
    """The study's task where it names one: a table may be for another one of hpsearch's own."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its settings, and what these must agree on."""
        return FAMILIES[self.family].vocabulary(self.task)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal hash of everything but the key: a checkpoint belongs to one digest."""
        later = self.vocabulary.later
        settings = {
            name: _plain(value)
            for name, value in self.settings.items()
            if name not in later or value != later[name]
        }
        text = json.dumps([self.family, settings, self.seed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Value) -> object:
    """1 and 1.0 are the same setting, whatever a database or a file makes of them on the way."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return float(value) if isinstance(value, (int, float)) else [int(size) for size in value]


def derived_seed(seed: int, *purpose: object) -> int:
    """A seed of 63 bits for one purpose, such as `("order", epoch)`: a pure function of both.

    Hashing spreads near seeds apart: PyTorch's CPU generator reads the lower 32 bits only.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

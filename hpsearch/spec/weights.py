"""What the networks of a study begin with: drawn weights, or those of files that are known by their
hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsearch.spec.settings import Setting
from hpsearch.spec.space import Choices

if TYPE_CHECKING:
    from hpsearch.spec.faults import Faults
    from hpsearch.spec.parameters import Draft

__all__ = ["DRAWN", "NONE", "PRETRAINED", "WEIGHTS", "Weights", "check_tuned"]

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


def check_tuned(named: str, drafts: Mapping[str, Draft], faults: Faults) -> None:
    """Note heads that would be trained on drawn weights.

    Args:
        named: The weights that the study names.
        drafts: Its parameters.
        faults: What is wrong is noted there.
    """
    draft = drafts.get("tune")
    if named != NONE or draft is None or not isinstance(draft.domain, Choices):
        return
    for number, value in enumerate(draft.domain.values):
        if value in ("head", "head_then_all"):
            path = draft.path if draft.constant else (*draft.path, "values", number)
            expected = "all or scratch, as the network begins with no weights of a file"
            faults.add(path, expected, f'"{value}"', beside=[("network", "weights")])

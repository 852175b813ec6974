"""A family of networks: its settings, what it takes, how one is built; and which there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hpsearch.spec.conflicts import RULES
from hpsearch.spec.problem import KINDS
from hpsearch.spec.registry import Registry
from hpsearch.spec.settings import GROUPS, TRAINING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.conflicts import Rule
    from hpsearch.spec.problem import Kind
    from hpsearch.spec.settings import Setting, Value

__all__ = ["FAMILIES", "RESERVED", "Family"]

RESERVED = frozenset({
    *GROUPS, "min", "max", "step", "log", "count", "values", "default", "when", "cap",
    *(setting.name for setting in TRAINING),
})  # fmt: skip
"""Names that no setting of a family can have: they mean something else in a study file."""


@dataclass(frozen=True)
class Family:
    """A kind of network, declared without importing PyTorch.

    Raises ValueError where the declaration contradicts itself.
    """

    name: str
    """What a study file calls it: `network: {family: NAME}`."""
    doc: str
    """What its networks are, in a sentence or two."""
    takes: frozenset[Kind]
    """Inputs that its networks can be given."""
    settings: tuple[Setting, ...]
    """What can be chosen of a network. Its training has settings of its own beside them."""
    build: str
    """Dotted path, `package.module:function`, of `build(problem, **settings) -> nn.Module`. It is
    given a `Problem` and a value for each of `settings`, and makes a network (N, *problem.shape) ->
    (N, problem.outputs), float32, with weights from PyTorch's global generator. ValueError says
    that these settings make no network for this problem: that trial fails."""
    either: tuple[tuple[str, ...], ...] = ()
    """Settings that say the same in other words: a study can name those of one of these at most.
    `(("widths",), ("depth", "width"))`: either widths, or depth and width."""
    rules: tuple[Rule, ...] = ()
    """What settings have to agree on, so that a study file can be told before a trial fails."""

    def __post_init__(self) -> None:
        names = [setting.name for setting in self.settings]
        for name in names:
            if name in RESERVED or not name.isidentifier():
                raise ValueError(f"no setting of a family can be called {name!r}")
            if names.count(name) > 1:
                raise ValueError(f"there are two settings {name!r}")
        for setting in self.settings:
            if not setting.accepts(setting.default):
                raise ValueError(
                    f"the default of {setting.name} is no value of it: expected {setting.expected}"
                )
        if unknown := {name for names in self.either for name in names} - {*names}:
            raise ValueError(f"either: there is no setting {', '.join(sorted(unknown))}")
        if not self.takes or not self.takes <= {*KINDS}:
            raise ValueError(f"takes: expected some of {', '.join(KINDS)}")

    @cached_property
    def all_settings(self) -> Mapping[str, Setting]:
        """Every setting of a candidate by name: the network's, then those of its training."""
        return {setting.name: setting for setting in (*self.settings, *TRAINING)}

    @property
    def defaults(self) -> dict[str, Value]:
        """The value of every setting of a candidate that a study file does not mention."""
        return {name: setting.default for name, setting in self.all_settings.items()}

    @cached_property
    def later(self) -> Mapping[str, Value]:
        """Settings that came after the first release, and their defaults; see `Setting.later`."""
        return {name: s.default for name, s in self.all_settings.items() if s.later}

    @cached_property
    def per_slot(self) -> frozenset[str]:
        """Settings in which candidates that are trained as one stack may differ."""
        return frozenset(name for name, s in self.all_settings.items() if s.per_slot)

    @cached_property
    def all_rules(self) -> tuple[Rule, ...]:
        """What the settings of a candidate have to agree on."""
        return *RULES, *self.rules


FAMILIES: Registry[Family] = Registry(Family, "hpsearch.families")
"""Those that hpsearch comes with, `hpsearch/families/NAME`, and those of installed packages."""

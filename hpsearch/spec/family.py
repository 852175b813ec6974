"""A family of networks: its settings, what it takes, how one is built; and which there are."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_args

from hpsearch.code import Argument, SignatureError, function, is_reference
from hpsearch.code.signature import parsed
from hpsearch.spec.augmentation import AUGMENTATION, MIXUP, MIXUP_RULE
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.declared import check_declared
from hpsearch.spec.problem import KINDS
from hpsearch.spec.registry import PluginError, Registry, named
from hpsearch.spec.settings import EPOCHS, Setting
from hpsearch.spec.task import TASKS, Target, beside, possible, training
from hpsearch.spec.task_rules import rules_of
from hpsearch.spec.weights import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hpsearch.spec.conflicts import Rule
    from hpsearch.spec.problem import Kind, Problem
    from hpsearch.spec.settings import Value

__all__ = ["COMMAND", "FAMILIES", "Family", "Vocabulary", "families_for", "module_of"]


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
    that these settings make no network for this problem: that trial fails. Of a study's own module
    it is `FILE.py:FUNCTION`."""
    count: str | None = None
    """Dotted path of `count(problem, **settings) -> int`, which imports no PyTorch: how many
    parameters of the network that `build` makes are trained; ValueError where it makes none. None:
    to know it takes a network."""
    targets: frozenset[Target] = frozenset({"classes", "numbers"})
    """Targets of the tasks that its networks can learn. `inputs`: its networks give each input
    again."""
    either: tuple[tuple[str, ...], ...] = ()
    """Settings that say the same in other words: a study can name those of one of these at most.
    `(("widths",), ("depth", "width"))`: either widths, or depth and width."""
    rules: tuple[Rule, ...] = ()
    """What settings have to agree on, so that a study file can be told before a trial fails."""
    trains: bool = False
    """Whether it is own code that trains by itself: of hpsearch's settings of training only
    `epochs` means anything to it."""
    published: str | None = None
    """Dotted path of `published(model) -> hpsearch.weights.Published`: where the weights lie that
    the makers of a model publish, by the value of its setting `model`; ValueError where there are
    none. None: there are none of any."""
    entries: str | None = None
    """Dotted path of `entries(weights, **settings) -> weights`: tensors by the names of a file that
    is not hpsearch's, as they are called in a network of these settings, of which those that slots
    of a stack may differ in are left out. None: the same."""
    extra: str | None = None
    """The extra of hpsearch that installs the package that its networks are of; the package has the
    same name. None: it needs no other."""

    def __post_init__(self) -> None:
        taken = {setting.name for setting in training(beside(None))}
        check_declared(self.settings, taken if self.is_own else {*taken, WEIGHTS.name})
        own = {setting.name for setting in self.settings}
        if unknown := {name for names in self.either for name in names} - own:
            raise ValueError(f"either: there is no setting {', '.join(sorted(unknown))}")
        every = own | taken | {WEIGHTS.name, *(setting.name for setting in AUGMENTATION)}
        if unknown := {name for rule in self.rules for name in rule.wanted} - every:
            raise ValueError(f"rules: there is no setting {', '.join(sorted(unknown))}")
        if not self.takes or not {*self.takes} <= {*KINDS}:
            raise ValueError(f"takes: expected some of {', '.join(KINDS)}")
        if not self.targets or not {*self.targets} <= {*get_args(Target)}:
            raise ValueError(f"targets: expected some of {', '.join(get_args(Target))}")

    @property
    def is_own(self) -> bool:
        """Whether its networks are built by a study's own code."""
        return is_reference(self.build)

    @property
    def lacking(self) -> str:
        """How to install what its networks need and is not here; "" where nothing is missing."""
        if self.extra is None or find_spec(self.extra) is not None:
            return ""
        return f"pip install 'hpsearch[{self.extra}]'"

    def builder(self) -> Callable[..., Any]:
        """The function that builds a network, whose module is imported now.

        Raises CodeError where it is a study's own code that cannot be run here, and PluginError
        where it needs a package that is not installed.
        """
        if self.lacking:
            raise PluginError(f"the family {self.name} needs a package that is not here: "
                              f"{self.lacking}")  # fmt: skip
        builder: Callable[..., Any] = (
            function(self.build) if self.is_own else pkgutil.resolve_name(self.build)
        )
        return builder

    def counted(self, problem: Problem, settings: Mapping[str, Value]) -> int | None:
        """How many parameters of a network are trained, without PyTorch; None where the family does
        not declare that. `settings` has every setting of a candidate.

        Raises SettingsError where it makes no such network.
        """
        if self.count is None:
            return None
        own = {setting.name: settings[setting.name] for setting in self.settings if setting.built}
        with FAMILIES.blamed(self.name):
            try:
                count: int = named(self.count)(problem, **own)
            except ValueError as error:
                raise SettingsError(f"{self.name}: {error}") from error
        return count

    def vocabulary(self, task: str | None = None) -> Vocabulary:
        """The settings of candidates of this family, and what these must agree on.

        Args:
            task: The study's task where it names one. Candidates have the settings of all of
                hpsearch's own tasks anyway, so that a table's may be known later.

        Raises PluginError where the task is not here, or has a setting that means something else.
        """
        if task in TASKS.own:
            task = None
        if task not in self._vocabularies:
            self._vocabularies[task] = self._vocabulary(task)
        return self._vocabularies[task]

    @cached_property
    def _vocabularies(self) -> dict[str | None, Vocabulary]:
        return {}

    def _vocabulary(self, name: str | None) -> Vocabulary:
        if self.trains:
            return Vocabulary({EPOCHS.name: EPOCHS}, ())
        tasks = beside(name)
        settings = {setting.name: setting for setting in self.settings}
        if not self.is_own:
            settings[WEIGHTS.name] = WEIGHTS
        for setting in training(tasks):
            if settings.setdefault(setting.name, setting) != setting:
                raise PluginError(
                    f"the task {name} has a setting {setting.name!r}, which means something else "
                    f"beside networks of the family {self.name}"
                )
        for setting in AUGMENTATION:  # a name that the network has for itself is the network's
            settings.setdefault(setting.name, setting)
        mixes = (MIXUP_RULE,) if settings[MIXUP.name] is MIXUP else ()
        own = self.rules
        if own and FAMILIES.brought(self.name):
            own = tuple(replace(rule, breach=partial(self._breach, rule)) for rule in own)
        return Vocabulary(settings, (*rules_of(tasks), *mixes, *own))

    def _breach(self, rule: Rule, *candidate: Any) -> str:
        """What a rule of an installed package's family says; CodeError where it fails."""
        with FAMILIES.blamed(self.name):
            return rule.breach(*candidate)


@dataclass(frozen=True)
class Vocabulary:
    """Every setting of a candidate, and what these must agree on."""

    settings: Mapping[str, Setting]
    """By name: the network's, those of its training, those of tasks."""
    rules: tuple[Rule, ...]
    """What the settings have to agree on."""

    @property
    def defaults(self) -> dict[str, Value]:
        """The value of every setting of a candidate that a study file does not mention."""
        return {name: setting.default for name, setting in self.settings.items()}

    @cached_property
    def plain(self) -> Mapping[str, Value]:
        """The settings of regularisation, each at the value that does nothing."""
        settings = self.settings.values()
        grouped = {s.name: s.default for s in settings if s.group == "regularization"}
        least = {
            s.name: float(s.least) if s.kind == "float" else s.least
            for s in settings if s.more == "regularization" and s.least is not None
        }  # fmt: skip
        return {**grouped, **least}

    @cached_property
    def later(self) -> Mapping[str, Value]:
        """Settings that came after the first release, and their defaults; see `Setting.later`."""
        return {name: s.default for name, s in self.settings.items() if s.later}

    @cached_property
    def per_slot(self) -> frozenset[str]:
        """Settings in which candidates that are trained as one stack may differ."""
        return frozenset(name for name, s in self.settings.items() if s.per_slot)


def module_of(family: str) -> tuple[str, str] | None:
    """(FILE.py:FUNCTION, arguments) of a family that is a study's own module; None for others."""
    reference, bracket, rest = family.partition("(")
    return (reference, bracket + rest) if bracket else None


@lru_cache(maxsize=256)
def _training(reference: str) -> Family:
    """What a function of a study's own code trains, whatever that is."""
    return Family(
        name=reference, doc=f"What {reference} trains.", takes=frozenset(KINDS), settings=(),
        build=reference, targets=frozenset(get_args(Target)), trains=True,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _own(reference: str, signature: str) -> Family:
    """The family of networks that a function of a study's own code builds."""
    try:
        settings = tuple(map(_setting, parsed(signature)))
        return Family(
            name=reference, doc=f"Networks that {reference} builds.", takes=frozenset(KINDS),
            settings=settings, build=reference, targets=frozenset(get_args(Target)),
        )  # fmt: skip
    except (SignatureError, ValueError) as error:
        raise PluginError(f"{reference}{signature} builds no networks: {error}") from None


def _setting(argument: Argument) -> Setting:
    return Setting(
        argument.name, argument.kind, argument.default, "An argument of the study's own code.",
        choices=argument.choices, required=argument.required,
    )  # fmt: skip


COMMAND = "command"
"""What is searched where a study's own training is a command."""


class _Families(Registry[Family]):
    """Families by name. A study's own module is named by its function and the arguments of that,
    `nets.py:build(width: int = 64)`: all that is known of it without its code. Own training code is
    named by its function alone, `train.py:train`."""

    def find(self, name: str) -> Family | None:
        """The family of that name; see `Registry.find`."""
        if name == COMMAND or is_reference(name):
            return _training(name)
        own = module_of(name)
        return super().find(name) if own is None else _own(*own)


FAMILIES: Registry[Family] = _Families(Family, "hpsearch.families")
"""Those that hpsearch comes with, `hpsearch/families/NAME`, those of installed packages, and the
modules of studies."""


def families_for(task: str | None, kind: Kind | None) -> list[str]:
    """The families that learn a task from inputs of a kind.

    Args:
        task: Its name; None: any that a table may turn out to be for.
        kind: None: any kind.
    """
    targets = {one.target for one in possible(task)}
    return [
        name
        for name, family in FAMILIES.all().items()
        if targets & family.targets and kind in (None, *family.takes)
    ]

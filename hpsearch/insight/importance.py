"""Which parameters have mattered, by the trials of a study, beside the order that was assumed.

Both measures are Optuna's. PED-ANOVA asks what the best trials have that the others have not
(Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently quantifying hyperparameter importance in
arbitrary subspaces", IJCAI 2023); fANOVA how much of the values' variance a forest puts down to a
parameter (Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014). Of each the parameters' shares add up to 1.

Trials that completed are compared by their values. Where a pruner has left few of them, trials are
compared after the deepest epoch that enough have reached, pruned or not: those that completed were
chosen for being good, and tell little of what makes a trial bad.
"""

from __future__ import annotations

import copy
import math
import random
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import NotFoundError
from hpsearch.insight.words import percent
from hpsearch.search.distributions import spanning
from hpsearch.spec import StudySpec
from hpsearch.spec.settings import FINAL, GROUPS, JOINT
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror

if TYPE_CHECKING:
    from optuna.importance import BaseImportanceEvaluator

__all__ = ["LEAST", "Importance", "Share", "measure", "measured", "sampled"]

LEAST = 10
"""Trials below which nothing is said: half of them would be the best."""
_ENOUGH = 0.25
"""Share of the trials that have ended which has to be comparable: a pruner that keeps every third
leaves that many at its second rung."""
_SAMPLE = 2_000
"""Trials that fANOVA looks at, chosen by chance."""
_FEW, _ANY_DEPTH, _DEPTH = 200, 64, 7
"""Of more trials than these the trees of fANOVA have at most 128 leaves, and not one for each
trial, as Optuna's have: its time grows with the square of the leaves. 2,000 trials of 8 parameters
take 1 s of a core; 500 with Optuna's depth took 10 s, and the shares were the same to 0.02."""
_TOP = 5
"""Trials that PED-ANOVA's best part should have: Optuna's documentation."""
_TOP_SHARE = 0.1
"""The best part of many trials: Optuna's default, and the paper's."""


@dataclass(frozen=True)
class Share:
    """What a parameter, or a group of them, has of the whole."""

    name: str
    group: str
    ped_anova: float | None
    """None where no trial with it completed."""
    fanova: float | None
    """None where it was not in all of them."""


@dataclass(frozen=True)
class Importance:
    """What the trials of a study tell of its parameters."""

    trials: int
    """Trials of the search that have ended."""
    complete: int
    """Those that completed."""
    compared: int
    """Those that count."""
    epoch: int | None
    """They are compared by what they had come to after this one; None: by the values of those that
    completed."""
    best: int
    """Those that PED-ANOVA took as the best."""
    parameters: tuple[Share, ...]
    """The most important first, by PED-ANOVA."""
    groups: tuple[Share, ...]
    """Sums over the groups, in the order in which they are thought to matter; none of own training
    code whose parameters are in no groups."""
    held: int
    """Pairs of groups that came in that order, by PED-ANOVA."""
    pairs: int
    notes: tuple[str, ...]
    """What was left out, and what to mind."""

    def summary(self) -> str:
        """Both shares of each parameter, a line each, and the notes."""
        width = max(map(len, ["parameter", *(row.name for row in self.parameters)]))
        lines = [f"{'parameter':<{width}}  PED-ANOVA  fANOVA"]
        lines += [
            f"{row.name:<{width}}  {percent(row.ped_anova):>9}  {percent(row.fanova):>6}"
            for row in self.parameters
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def __str__(self) -> str:
        return self.summary()

    __repr__ = __str__


class _Chosen(Study):
    """The trials that are judged, as Optuna's measures ask for them.

    All have one distribution of each parameter. Where some trials were drawn from beyond the
    study's range (`search.widen`), Optuna would leave that parameter out.
    """

    def __init__(self, name: str, mirror: Mirror, trials: Sequence[FrozenTrial]) -> None:
        super().__init__(name, mirror)
        self._chosen = [copy.copy(trial) for trial in trials]
        widest: dict[str, BaseDistribution] = {}
        for trial in self._chosen:
            for parameter, own in trial.distributions.items():
                widest[parameter] = spanning(widest.get(parameter, own), own)
        for trial in self._chosen:
            trial.distributions = {key: widest[key] for key in trial.distributions}

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        return [t for t in self._chosen if states is None or t.state in states]


def measure(ledger: Ledger, name: str, tell: Callable[[str], None] | None = None) -> Importance:
    """How much each parameter of a study has mattered.

    Of many trials fANOVA looks at a sample, and `tell` hears what takes seconds. Raises
    NotFoundError where there is no such study, or its trials are too few or all the same.
    """
    study = ledger.study(name)
    spec = StudySpec.from_document(study.document)
    mirror = Mirror(ledger.database, study.study_id, study.name, study.direction, lenient=True)
    mirror.refresh()
    return measured(mirror, spec, study.name, tell)


def measured(
    mirror: Mirror, spec: StudySpec, name: str, tell: Callable[[str], None] | None = None
) -> Importance:
    """The same of a study's trials that are in memory already.

    Raises NotFoundError where they are too few or all the same.
    """
    ended = [
        trial for trial in mirror.trials()
        if trial.state.is_finished() and trial.user_attrs.get("stage") != FINAL
    ]  # fmt: skip
    complete = [t for t in ended if t.state is TrialState.COMPLETE]
    epoch, compared = None, complete
    if len(complete) < max(LEAST, _ENOUGH * len(ended)):
        epoch, compared = _by_epoch(spec, ended) or (None, complete)
    _check(spec, ended, compared)
    sample = sampled(compared, _SAMPLE, spec.search.seed)
    if tell is not None and len(sample) < len(compared):
        tell(f"PED-ANOVA looks at {len(compared):,} trials, fANOVA at {len(sample):,} of them")
    # Here: it loads scikit-learn, which takes a second.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

    share = min(max(_TOP_SHARE, _TOP / len(compared)), 0.5)
    judged = _Chosen(name, mirror, compared)
    ped = _evaluated(judged, PedAnovaImportanceEvaluator(target_quantile=share))
    judged = _Chosen(name, mirror, sample)
    depth = _ANY_DEPTH if len(sample) <= _FEW else _DEPTH
    forest = FanovaImportanceEvaluator(max_depth=depth, seed=spec.search.seed)
    fanova = _evaluated(judged, forest)
    rows = [
        Share(p.name, p.group if spec.is_grouped else "", ped.get(p.name), fanova.get(p.name))
        for p in spec.space
    ]
    groups = _grouped(rows)
    order = list(combinations(groups, 2))
    return Importance(
        trials=len(ended),
        complete=len(complete),
        compared=len(compared),
        epoch=epoch,
        best=round(share * len(compared)),
        parameters=tuple(sorted(rows, key=lambda row: -(row.ped_anova or 0.0))),
        groups=tuple(groups),
        held=sum((a.ped_anova or 0.0) >= (b.ped_anova or 0.0) for a, b in order),
        pairs=len(order),
        notes=(
            *_early(epoch),
            *_notes(spec, compared, rows),
            *_left_out(compared, sample),
            *(f"left out: {damage}" for damage in mirror.damaged),
        ),
    )


def _by_epoch(
    spec: StudySpec, ended: Sequence[FrozenTrial]
) -> tuple[int, list[FrozenTrial]] | None:
    """The deepest epoch that enough trials have reached, and these as if they had ended with it;
    None where there is none."""
    reached = sorted((max(t.intermediate_values, default=0) for t in ended), reverse=True)
    enough = max(LEAST, math.ceil(_ENOUGH * len(ended)))
    if len(reached) < enough or not (epoch := reached[enough - 1]):
        return None
    cut = (_cut(trial, epoch, spec) for trial in ended)
    return epoch, [trial for trial in cut if trial is not None]


def _cut(trial: FrozenTrial, epoch: int, spec: StudySpec) -> FrozenTrial | None:
    """The trial as if it had completed after that epoch; None where it has no finite value then."""
    curve = trial.intermediate_values
    until = curve if spec.keep == "best" else {epoch}
    values = [curve[at] for at in until if at <= epoch and math.isfinite(curve.get(at, math.nan))]
    if max(curve, default=0) < epoch or not values:
        return None
    cut = copy.copy(trial)
    cut.state = TrialState.COMPLETE
    cut.value = max(values) if spec.direction == "maximize" else min(values)
    return cut


def _early(epoch: int | None) -> list[str]:
    if epoch is None:
        return []
    return [f"most were pruned, so all that came to epoch {epoch} are compared after it: what pays "
            "only later, such as regularisation or a small rate, counts for less"]  # fmt: skip


def sampled(complete: Sequence[FrozenTrial], most: int, seed: int) -> Sequence[FrozenTrial]:
    """At most so many of the trials, by chance and in their order; the same for the same seed."""
    if len(complete) <= most:
        return complete
    chosen = random.Random(seed).sample(range(len(complete)), most)
    return [complete[at] for at in sorted(chosen)]


def _left_out(complete: Sequence[FrozenTrial], sample: Sequence[FrozenTrial]) -> list[str]:
    if len(sample) == len(complete):
        return []
    return [f"fANOVA looked at {len(sample):,} of the {len(complete):,}, drawn by chance"]


def _check(spec: StudySpec, ended: Sequence[FrozenTrial], compared: Sequence[FrozenTrial]) -> None:
    """NotFoundError where nothing can be said."""
    if len(spec.space) < 2:
        raise NotFoundError(f"study {spec.name!r} searches fewer than two parameters: there is "
                            "nothing to compare")  # fmt: skip
    if len(compared) < LEAST:
        raise NotFoundError(
            f"study {spec.name!r} has {len(compared)} trials that can be compared, of "
            f"{len(ended)} that have ended: importance takes {LEAST}; hpsearch extend {spec.name} "
            "--trials N adds some"
        )
    if len({trial.value for trial in compared}) == 1:
        raise NotFoundError(f"all {len(compared)} trials of study {spec.name!r} that can be "
                            "compared have the same value: no parameter mattered")  # fmt: skip


def _evaluated(study: Study, evaluator: BaseImportanceEvaluator) -> Mapping[str, float]:
    from optuna.importance import get_param_importances

    with warnings.catch_warnings():  # of parameters in few trials: a note says so
        warnings.simplefilter("ignore")
        try:
            shares = get_param_importances(study, evaluator=evaluator)
            return {name: float(share) for name, share in shares.items()}  # plain, not NumPy's
        except RuntimeError:  # fANOVA's trees see no difference, as of one configuration again
            raise NotFoundError(
                f"study {study.study_name!r}: the trials that completed are too much alike to tell "
                "which parameter mattered"
            ) from None


def _grouped(rows: Sequence[Share]) -> list[Share]:
    """The groups' sums, the one thought to be the most important first."""
    sums = []
    for group in GROUPS:
        own = [row for row in rows if row.group == group]
        if own:
            ped = _sum([row.ped_anova for row in own])
            sums.append(Share(group, group, ped, _sum([row.fanova for row in own])))
    return sums


def _sum(shares: Sequence[float | None]) -> float | None:
    numbers = [share for share in shares if share is not None]
    return sum(numbers) if numbers else None


def _notes(
    spec: StudySpec, complete: Sequence[FrozenTrial], rows: Sequence[Share]
) -> list[str]:  # fmt: skip
    notes = []
    for row in rows:
        has = sum(row.name in trial.params for trial in complete)
        if 0 < has < len(complete):
            notes.append(f"{has} of the {len(complete)} have {row.name}: PED-ANOVA judges it by "
                         "these, fANOVA not at all")  # fmt: skip
        elif not has:
            notes.append(f"none of the {len(complete)} has {row.name}: it is not judged")
    if len(complete) < _TOP / _TOP_SHARE:
        notes.append(f"fewer than {round(_TOP / _TOP_SHARE)} trials: a rough picture")
    if spec.search.strategy != JOINT:
        notes.append("stages draw near their winners: what they settled early counts for less")
    return notes

"""Which parameters have mattered, by the trials of a study, beside the order that was assumed.

Both measures are Optuna's. PED-ANOVA asks what the best trials have that the others have not
(Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently quantifying hyperparameter importance in
arbitrary subspaces", IJCAI 2023); fANOVA how much of the values' variance a forest puts down to a
parameter (Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter
importance", ICML 2014). Of each the parameters' shares add up to 1.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import FrozenTrial, TrialState

from hpsearch.catalog import FINAL, GROUPS
from hpsearch.errors import NotFoundError
from hpsearch.search.distributions import spanning
from hpsearch.spec import StudySpec
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror

__all__ = ["LEAST", "Importance", "Share", "measure"]

LEAST = 10
"""Trials that went to their end below which nothing is said: half of them would be the best."""
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
    """None where it was in no trial that went to its end."""
    fanova: float | None
    """None where it was not in all of them."""


@dataclass(frozen=True)
class Importance:
    """What the trials of a study tell of its parameters."""

    trials: int
    """Trials of the search that have ended."""
    complete: int
    """Those that went to their end: only they count."""
    best: int
    """Those that PED-ANOVA took as the best."""
    parameters: tuple[Share, ...]
    """The most important first, by PED-ANOVA."""
    groups: tuple[Share, ...]
    """Sums over the groups, in the order in which they are thought to matter."""
    held: int
    """Pairs of groups that came in that order, by PED-ANOVA."""
    pairs: int
    notes: tuple[str, ...]
    """What was left out, and what to mind."""


class _Search(Study):
    """The trials of the search: a finish trains a few of them again and again.

    All have one distribution of each parameter. Where some trials were drawn from beyond the
    study's range (`search.widen`), Optuna would leave that parameter out.
    """

    def _get_trials(self, *args: object, **kwargs: object) -> list[FrozenTrial]:
        found = super()._get_trials(*args, **kwargs)  # type: ignore[arg-type]
        found = [copy.copy(t) for t in found if t.user_attrs.get("stage") != FINAL]
        widest: dict[str, BaseDistribution] = {}
        for trial in found:
            for name, own in trial.distributions.items():
                widest[name] = spanning(widest.get(name, own), own)
        for trial in found:
            trial.distributions = {name: widest[name] for name in trial.distributions}
        return found


def measure(ledger: Ledger, name: str) -> Importance:
    """How much each parameter of a study has mattered.

    Raises NotFoundError where there is no such study, or its trials are too few or all the same.
    """
    kept = ledger.study(name)
    spec = StudySpec.from_document(kept.document)
    mirror = Mirror(ledger.database, kept.study_id, kept.name, kept.direction)
    mirror.refresh()
    study = _Search(spec.name, mirror)
    ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    complete = [t for t in ended if t.state is TrialState.COMPLETE]
    _check(spec, ended, complete)
    share = min(max(_TOP_SHARE, _TOP / len(complete)), 0.5)
    ped = _evaluated(study, PedAnovaImportanceEvaluator(target_quantile=share))
    fanova = _evaluated(study, FanovaImportanceEvaluator(seed=spec.search.seed))
    rows = [Share(p.name, p.group, ped.get(p.name), fanova.get(p.name)) for p in spec.space]
    groups = _grouped(rows)
    order = list(combinations(groups, 2))
    return Importance(
        trials=len(ended),
        complete=len(complete),
        best=round(share * len(complete)),
        parameters=tuple(sorted(rows, key=lambda row: -(row.ped_anova or 0.0))),
        groups=tuple(groups),
        held=sum((a.ped_anova or 0.0) >= (b.ped_anova or 0.0) for a, b in order),
        pairs=len(order),
        notes=tuple(_notes(spec, complete, rows)),
    )


def _check(spec: StudySpec, ended: Sequence[FrozenTrial], complete: Sequence[FrozenTrial]) -> None:
    """NotFoundError where nothing can be said."""
    if len(spec.space) < 2:
        raise NotFoundError(f"study {spec.name!r} searches fewer than two parameters: there is "
                            "nothing to compare")  # fmt: skip
    if len(complete) < LEAST:
        raise NotFoundError(
            f"study {spec.name!r} has {len(complete)} trials that went to their end "
            f"({len(ended) - len(complete)} were pruned or failed, and do not count): importance "
            f"takes {LEAST}; hpsearch extend {spec.name} --trials N adds some"
        )
    if len({trial.value for trial in complete}) == 1:
        raise NotFoundError(f"all {len(complete)} trials of study {spec.name!r} that went to their "
                            "end have the same value: no parameter has mattered")  # fmt: skip


def _evaluated(study: Study, evaluator: BaseImportanceEvaluator) -> Mapping[str, float]:
    with warnings.catch_warnings():  # of parameters in few trials: a note says so
        warnings.simplefilter("ignore")
        return get_param_importances(study, evaluator=evaluator)


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
    known = [share for share in shares if share is not None]
    return sum(known) if known else None


def _notes(
    spec: StudySpec, complete: Sequence[FrozenTrial], rows: Sequence[Share]
) -> list[str]:  # fmt: skip
    found = []
    for row in rows:
        has = sum(row.name in trial.params for trial in complete)
        if 0 < has < len(complete):
            found.append(f"{row.name} is in {has} of the {len(complete)}: PED-ANOVA judges it by "
                         "these, fANOVA not at all")  # fmt: skip
        elif not has:
            found.append(f"{row.name} is in none of the {len(complete)}: it is not judged")
    if len(complete) < _TOP / _TOP_SHARE:
        found.append(f"fewer than {round(_TOP / _TOP_SHARE)} trials: a rough picture")
    if spec.search.strategy == "staged":
        found.append("stages draw near their winners: what they settled early counts for less")
    return found

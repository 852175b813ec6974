"""The rules of a forecast stop the trials that Optuna's pruners stop."""

from __future__ import annotations

import random
from itertools import accumulate

import optuna
import pytest

from hpsearch import halving

EPOCHS = 27
ASHA = {
    "min_resource": 1, "reduction_factor": 3, "min_early_stopping_rate": 0, "bootstrap_count": 0,
}  # fmt: skip
RANKING = {"n_startup_trials": 3, "n_warmup_steps": 0, "interval_steps": 1, "n_min_trials": 2}


def by_optuna(pruner: optuna.pruners.BasePruner, curves: list[list[float]]) -> list[int]:
    study = optuna.create_study(direction="maximize", pruner=pruner)
    last = []
    for curve in curves:
        trial, epoch, stops = study.ask(), 0, False
        while epoch < EPOCHS and not stops:
            epoch += 1
            trial.report(curve[epoch - 1], epoch)
            stops = epoch < EPOCHS and trial.should_prune()
        state = optuna.trial.TrialState.PRUNED if stops else optuna.trial.TrialState.COMPLETE
        study.tell(trial, None if stops else curve[-1], state=state)
        last.append(epoch)
    return last


def by_rule(name: str, options: dict, curves: list[list[float]]) -> list[int]:
    rule = halving.stopping(name, options, EPOCHS, seed=0)
    asked = (*halving.rungs(name, options, EPOCHS), EPOCHS)
    return [
        next((e for e in asked if rule(number, curve[e - 1], e)), EPOCHS)
        for number, curve in enumerate(curves)
    ]


@pytest.mark.parametrize(
    ("name", "options", "pruner"),
    [
        ("asha", ASHA, optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)),
        (
            "asha", {**ASHA, "reduction_factor": 2, "min_early_stopping_rate": 1},
            optuna.pruners.SuccessiveHalvingPruner(1, 2, 1),
        ),
        ("median", RANKING, optuna.pruners.MedianPruner(3, 0, 1, n_min_trials=2)),
        ("median", {**RANKING, "n_warmup_steps": 4}, optuna.pruners.MedianPruner(3, 4, 1)),
        (
            "median", {**RANKING, "n_warmup_steps": 2, "interval_steps": 5},
            optuna.pruners.MedianPruner(3, 2, 5),
        ),
        (
            "percentile", {**RANKING, "percentile": 30.0},
            optuna.pruners.PercentilePruner(30.0, 3, 0, 1, n_min_trials=2),
        ),
        (
            "percentile", {**RANKING, "percentile": 80.0, "n_warmup_steps": 1},
            optuna.pruners.PercentilePruner(80.0, 3, 1, 1),
        ),
        ("none", {}, optuna.pruners.NopPruner()),
    ],
)  # fmt: skip
def test_the_trials_that_optuna_stops(name: str, options: dict, pruner) -> None:
    rng = random.Random(5)
    # Whole numbers: equals are common, and go on together.
    curves = [[rng.randrange(12) + epoch / 4 for epoch in range(EPOCHS)] for _ in range(60)]
    if options.get("n_warmup_steps", 0) > 1:
        # What lies between rungs is not told to the rule: here it is never the best.
        curves = [list(accumulate(curve, max)) for curve in curves]
    assert by_rule(name, options, curves) == by_optuna(pruner, curves)


def test_hyperband_shares_its_trials_out_over_brackets_as_optuna_does() -> None:
    options = {"min_resource": 1, "reduction_factor": 3, "bootstrap_count": 0}
    pruner = optuna.pruners.HyperbandPruner(1, EPOCHS, 3)
    study = optuna.create_study(pruner=pruner)
    study.enqueue_trial({})
    study.ask().should_prune()
    pruner.prune(study, study.trials[0])
    assert halving._brackets(options, EPOCHS) == pruner._trial_allocation_budgets
    assert halving.rungs("hyperband", options, EPOCHS) == (1, 3, 9)

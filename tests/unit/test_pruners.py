"""When the pruners of a study may stop a trial first."""

from __future__ import annotations

import optuna
import pytest

from hpsearch.search.pruners import make_pruner
from hpsearch.spec.models import SearchSpec

EPOCHS = 8


def first_stop(options: dict, version: int) -> int | None:
    """The epoch after which the worst trial is stopped; None: it runs to its end."""
    pruner = make_pruner(SearchSpec.model_validate({"pruner": options}).pruner, EPOCHS, version)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for _ in range(2):
        trial = study.ask()
        for epoch in range(1, EPOCHS + 1):
            trial.report(0.9, epoch)
        study.tell(trial, 0.9)
    trial = study.ask()
    for epoch in range(1, EPOCHS + 1):
        trial.report(0.5 - epoch / 100, epoch)
        if trial.should_prune():
            return epoch
    return None


KINDS = {
    "threshold": {"name": "threshold", "lower": 0.6},
    "median": {"name": "median", "n_startup_trials": 1},
    "percentile": {"name": "percentile", "n_startup_trials": 1},
}
NESTED = {
    f"patient {name}": {"name": "patient", "patience": 0, "wrapped": kind}
    for name, kind in KINDS.items()
}


def warmed(options: dict, epochs: int) -> dict:
    if "wrapped" in options:
        return {**options, "wrapped": warmed(options["wrapped"], epochs)}
    return {**options, "n_warmup_steps": epochs}


@pytest.mark.parametrize("kind", [*KINDS, *NESTED])
@pytest.mark.parametrize("epochs", [0, 1, 3, EPOCHS - 1, EPOCHS])
def test_a_warm_up_spares_as_many_epochs_as_it_says(kind: str, epochs: int) -> None:
    options = (KINDS | NESTED)[kind]
    # With a patience of 0 the patient one looks at two values.
    first = max(epochs + 1, 2 if "wrapped" in options else 1)
    assert first_stop(warmed(options, epochs), 2) == (first if first <= EPOCHS else None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_of_before_spares_one_less(kind: str) -> None:
    assert first_stop(warmed(KINDS[kind], 3), 1) == 3

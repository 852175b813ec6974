"""The benchmark of the finish: what it counts, and that it trains what a finish trains."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.finish import STUDY, Finished, retrained, summary
from benchmarks.turns import environment
from hpsearch.runner.candidate import derived_seed
from hpsearch.spec import load
from hpsearch.stages.finish import estimate

CHANGES = ["parameters.regularization.dropout=0.0", "budget.trials=2", "budget.epochs=2"]
"""Which units are dropped depends on what is trained beside."""


def test_an_interval_holds_the_true_mean_or_does_not() -> None:
    validation, test = estimate([0.95, 0.97]), estimate([0.90, 0.92, 0.91])
    inside, outside = (
        Finished({}, 0.99, validation, test, again) for again in ((0.90, 0.92), (0.80, 0.82))
    )
    found = summary([inside, outside])
    assert (inside.holds, outside.holds, found.held, found.studies) == (True, False, 1, 2)
    assert round(found.optimism.mean, 9) == 0.03
    assert round(found.promise.mean, 9) == 0.13
    assert round(found.error.mean, 9) == 0.05


@pytest.mark.nightly
def test_it_trains_and_tests_as_a_finish_does(tmp_path: Path) -> None:
    changes = [word for change in CHANGES for word in ("--set", change)]
    command = [sys.executable, "-m", "hpsearch", "run", str(STUDY), "--json", "--workers", "1"]
    done = subprocess.run(
        [*command, *changes, "--storage", f"sqlite:///{tmp_path}/study.db"],
        env=environment(), capture_output=True, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])["final"]
    spec = load(STUDY, CHANGES)
    seeds = [derived_seed(spec.search.seed, "final", 2, turn) for turn in range(5)]
    assert retrained(spec, said["winner"], seeds) == said["test"]["values"]

"""The peer: Ray Tune, the same training loop, one CPU a trial, its own scheduler.

python -m benchmarks.tune digits --trials 32
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import ray
from ray import tune

from benchmarks.problems import PROBLEMS, RANGES, Data, accuracies

__all__ = ["main"]


def main() -> None:
    """Run the search; the final accuracies go to tune.json in the current folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--trials", type=int, required=True)
    given = parser.parse_args()
    # Nothing that packs up the current folder, asks the network, or serves a page.
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, logging_level="ERROR")
    data = PROBLEMS[given.problem].data()

    def train(config: dict[str, Any], data: Data) -> None:
        for accuracy in accuracies(PROBLEMS[given.problem], data, **config):
            tune.report({"accuracy": accuracy})

    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, data=data), {"cpu": 1}),
        param_space={
            name: tune.loguniform(low, high) if log else tune.uniform(low, high)
            for name, (low, high, log) in RANGES.items()
        },
        tune_config=tune.TuneConfig(metric="accuracy", mode="max", num_samples=given.trials),
        run_config=tune.RunConfig(storage_path=str(Path.cwd() / "tune"), verbose=0),
    )
    results = tuner.fit()
    found = [result.metrics["accuracy"] for result in results if result.metrics]
    Path("tune.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()

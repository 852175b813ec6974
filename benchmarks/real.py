"""The strategies on two real training problems, at equal numbers of trials: the shipped studies.

    python -m benchmarks.real [--seeds 20]

Each run is `hpsearch run` of a study in `studies` with its strategy and sampler exchanged, as many
trials as the tables get and no finish. The loss on validation data steers it: accuracy on so few
rows takes a dozen values near its best, which any search reaches. What is kept is after how many
trials there was a better one, and the seconds of work.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import optuna
from ruamel.yaml import YAML

from benchmarks.strategy import STRATEGIES, TRIALS, Progress
from benchmarks.turns import RESULTS, ROOT, environment, write_json

__all__ = ["FILE", "PROBLEMS", "main"]

FILE = RESULTS / "real.json"
PROBLEMS = ("digits-staged", "circles-staged")
_LEVELS = 2
"""Values of each numeric parameter that a grid takes, so that the trials reach all of them."""


def main() -> None:
    """Run what the file of results does not have."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, metavar="N")
    seeds = parser.parse_args().seeds
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    for seed in range(seeds):
        for problem in PROBLEMS:
            for strategy in STRATEGIES:
                runs = found.setdefault(strategy, {}).setdefault(problem, {})
                if str(seed) not in runs:
                    runs[str(seed)] = _run(problem, strategy, seed)
                    write_json(FILE, found)


def _run(problem: str, strategy: str, seed: int) -> dict[str, Any]:
    """The progress and the seconds of one search."""
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        file = _study(Path(folder), problem, strategy, seed)
        command = [sys.executable, "-m", "hpsearch", "run", str(file), "--json"]
        command += ["--no-pictures"]
        done = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, check=True
        )
        said = json.loads(done.stdout.splitlines()[-1])
        study = optuna.load_study(
            study_name=said["name"], storage=f"sqlite:///{folder}/hpsearch.db"
        )
        return {"better": _better(study.trials), "seconds": said["active_seconds"]}


def _better(trials: list[optuna.trial.FrozenTrial]) -> Progress:
    """The least loss in the order in which trials ended; of one that was pruned, its last one."""
    ended = sorted((t.datetime_complete, t.number, t.value) for t in trials if t.datetime_complete)
    losses = [value for *_, value in ended]
    least = max(loss for loss in losses if loss is not None)  # until one has any
    better = [(1, least)]
    for number, loss in enumerate(losses, 1):
        if loss is not None and loss < least:
            least = loss
            better.append((number, least))
    return better


def _study(folder: Path, problem: str, strategy: str, seed: int) -> Path:
    yaml = YAML()
    study = yaml.load(ROOT / "studies" / f"{problem}.yaml")
    study.pop("final", None)
    study["metric"], study["budget"]["trials"] = "loss", TRIALS
    by = STRATEGIES[strategy]
    study["search"] = {"strategy": by.strategy, "sampler": by.sampler,
                       "pruner": study["search"]["pruner"], "seed": seed}  # fmt: skip
    if by.sampler == "grid":
        for group in study["parameters"].values():
            for parameter in group.values():
                _level(parameter)
    if "path" in study["data"]:
        shutil.copy(ROOT / "studies" / study["data"]["path"], folder)
    file = folder / "study.yaml"
    yaml.dump(study, file)
    return file


def _level(parameter: Any) -> None:
    """A grid asks real numbers for a count."""
    if isinstance(parameter, dict) and isinstance(parameter.get("min"), float):
        parameter["count"] = _LEVELS


if __name__ == "__main__":
    main()

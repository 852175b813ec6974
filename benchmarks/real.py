"""The strategies on two real training problems, at equal numbers of trials: the shipped studies.

    python -m benchmarks.real [--seeds 5]

Each run is `hpsearch run` of a study in `studies` with its strategy and sampler exchanged and
without its finish. What is kept is the best validation value and the seconds of work.
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

from ruamel.yaml import YAML

from benchmarks.strategy import STRATEGIES
from benchmarks.turns import RESULTS, ROOT, environment

__all__ = ["PROBLEMS", "main"]

PROBLEMS = ("digits-staged", "circles-staged")
_LEVELS = 2
"""Values of each numeric parameter that a grid takes, so that the trials reach all of them."""


def main() -> None:
    """Run what the file of results does not have."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    seeds = parser.parse_args().seeds
    path = RESULTS / "real.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for seed in range(seeds):
        for problem in PROBLEMS:
            for strategy in STRATEGIES:
                runs = found.setdefault(problem, {}).setdefault(strategy, {})
                if str(seed) not in runs:
                    runs[str(seed)] = _run(problem, strategy, seed)
                    path.write_text(json.dumps(found, indent=1) + "\n")


def _run(problem: str, strategy: str, seed: int) -> dict[str, Any]:
    """The best value and the seconds of one search."""
    with tempfile.TemporaryDirectory(prefix="hpsearch-bench-") as folder:
        file = _study(Path(folder), problem, strategy, seed)
        command = [sys.executable, "-m", "hpsearch", "run", str(file), "--json"]
        done = subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, check=True
        )
    said = json.loads(done.stdout)
    return {"best": said["best"]["value"], "seconds": said["active_seconds"],
            "trials": said["ended"]}  # fmt: skip


def _study(folder: Path, problem: str, strategy: str, seed: int) -> Path:
    yaml = YAML()
    study = yaml.load(ROOT / "studies" / f"{problem}.yaml")
    study.pop("final", None)
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

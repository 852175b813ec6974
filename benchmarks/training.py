"""The same random search by hpsearch, by plain Optuna and by Ray Tune, from command to result.

python -m benchmarks.training [--rounds 5] [--quick] [--only digits]
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch
from joblib import cpu_count

from benchmarks.problems import PROBLEMS, write_table
from benchmarks.products import dense_flop, peak_flop_per_s
from benchmarks.turns import Case, Goal, Side, SkippedError, arguments, in_turn, timed
from benchmarks.watching import work

__all__ = ["main"]

STUDIES = Path(__file__).parent / "studies"
STORAGE = "sqlite:///study.db"
RAY_TRIALS = 32
"""Ray starts a process and loads PyTorch for each trial: 256 of them would take half an hour."""

TITLES = {
    "digits": ("digits, dense 64-64-64-10", 10.0),
    "circles": ("two circles, dense 2-32-32-2", 17.0),
    "wine": ("wine, dense 13-32-32-3", 10.0),
    "breast_cancer": ("breast cancer, dense 30-32-32-2", 10.0),
    "fashion_mnist": ("Fashion-MNIST, dense 784-512-512-10", 4.5),
    "cnn": ("10,000 images of Fashion-MNIST, a small convolutional network", 3.0),
    "gru": ("digits row by row, a GRU of 32 units", 2.0),
}
OWN, OWN_TIMES = "own-module", 0.9
"""The network of `digits` as a module of a user's own, and its speed beside ours at least."""
DENSE: Mapping[str, tuple[tuple[int, ...], int, int]] = {
    "digits": ((64, 64, 64, 10), 1257, 270),
    "fashion_mnist": ((784, 512, 512, 10), 51_000, 9_000),
}
"""Layers, training rows and validation rows of the networks whose share of the peak is given."""


def main() -> None:
    """Run the cases."""
    options = arguments(
        __doc__,
        trials={"type": int, "metavar": "N", "help": "in place of each case's own number"},
    )
    name = "training-gpu" if torch.cuda.is_available() else "training"
    in_turn(name, _cases(options), options)


def _cases(options: argparse.Namespace) -> Iterator[Case]:
    on_gpu, cores = torch.cuda.is_available(), cpu_count()
    for name, (title, times) in TITLES.items():
        problem = PROBLEMS[name]
        trials = options.trials or (4 if options.quick else problem.trials)
        run = functools.partial(_run, name=name, trials=trials)
        sides = [Side("hpsearch", functools.partial(run, by=_hpsearch))]
        beside = cores > 1 and not on_gpu
        if beside:  # first: what the goal is held against
            several = functools.partial(run, by=functools.partial(_plain, processes=cores))
            sides.append(Side(f"plain Optuna, {cores} processes", several))
        one = functools.partial(run, by=_plain)
        sides.append(Side("plain Optuna", one, rounds=1 if beside else None))
        if name == "digits":
            few = min(trials, RAY_TRIALS)
            sides.append(Side("Ray Tune", functools.partial(run, by=_tune, trials=few), rounds=1))
        facts = {"trials": trials, "epochs": problem.epochs}
        yield Case(
            name, f"{title}; {trials} trials of {problem.epochs} epochs", sides, Goal(times=times),
            figure="seconds_per_trial", facts=facts,
        )  # fmt: skip
    yield _own_module(options)


def _own_module(options: argparse.Namespace) -> Case:
    """The same search twice by hpsearch: of a module of a user's own, and of our family."""
    problem = PROBLEMS["digits"]
    trials = options.trials or (4 if options.quick else problem.trials)
    run = functools.partial(_run, by=_hpsearch, trials=trials)
    return Case(
        OWN,
        f"{TITLES['digits'][0]} as a module of one's own; {trials} trials of {problem.epochs} "
        "epochs",
        [
            Side("hpsearch", functools.partial(run, name=OWN)),
            Side("hpsearch, family mlp", functools.partial(run, name="digits")),
        ],
        Goal(times=OWN_TIMES), figure="seconds_per_trial",
        facts={"trials": trials, "epochs": problem.epochs},
    )  # fmt: skip


def _run(folder: Path, *, by: Any, name: str, trials: int) -> dict[str, Any]:
    """Time one side, and look at what it found."""
    write_table(name, folder)
    env = _data_folder(name)
    peak = peak_flop_per_s() * cpu_count()
    seconds, values = by(folder, name, trials, env)
    low, middle, high = quantiles(values, n=4)
    return {
        "seconds": seconds, "seconds_per_trial": seconds / trials, "trials": len(values),
        "accuracy": middle, "accuracy_quartiles": [low, high], "best": max(values),
        **_share_of_peak(folder, name, peak),
    }  # fmt: skip


def _share_of_peak(folder: Path, name: str, peak: float) -> dict[str, float]:
    """How much of what all cores could do in matrix products was done, from the first trial's start
    to the last one's end; nothing where that is not known.

    Args:
        folder: Has the study, unless the side keeps none in a database.
        name: Of the problem.
        peak: Operations a second of all cores.
    """
    if name not in DENSE or torch.cuda.is_available() or not (folder / "study.db").exists():
        return {}
    flop = dense_flop(*DENSE[name])
    done = work(f"sqlite:///{folder}/study.db", cpu_count(), lambda _: flop)
    return {"work_seconds": done.seconds, "gflop_per_s": done.gflop_per_s,
            "share_of_peak": done.gflop_per_s * 1e9 / peak}  # fmt: skip


def _data_folder(name: str) -> dict[str, str]:
    """Where the images are; they are downloaded before anybody's time is taken."""
    if name not in ("fashion_mnist", "cnn"):
        return {}
    from hpsearch.errors import DataError
    from hpsearch.sources.read import read
    from hpsearch.sources.readymade import find
    from hpsearch.sources.split import DataSettings

    try:
        read(DataSettings.of("fashion_mnist"))
    except DataError as error:
        raise SkippedError(str(error).partition("\n")[0]) from None
    return {"HPSEARCH_DATA": str(find("fashion_mnist"))}


def _hpsearch(
    folder: Path, name: str, trials: int, env: Mapping[str, str]
) -> tuple[float, list[float]]:
    study = Path(shutil.copy(STUDIES / f"{name}.yaml", folder))
    shutil.copy(STUDIES / "nets.py", folder)
    command = [sys.executable, "-m", "hpsearch", "run", study, "--storage", STORAGE]
    command += ["--no-pictures"]  # its peers draw none
    return timed([*command, "--trials", trials, "--json"], folder, **env), _values(folder)


def _plain(
    folder: Path, name: str, trials: int, env: Mapping[str, str], processes: int = 1
) -> tuple[float, list[float]]:
    command = [sys.executable, "-m", "benchmarks.plain", name, "--storage", STORAGE]
    sizes = ["--trials", trials, "--workers", processes]
    return timed([*command, *sizes], folder, **env), _values(folder)


def _tune(
    folder: Path, name: str, trials: int, env: Mapping[str, str]
) -> tuple[float, list[float]]:
    if importlib.util.find_spec("ray") is None:
        raise SkippedError("Ray is not installed: pip install 'hpsearch[bench]'")
    command = [sys.executable, "-m", "benchmarks.tune", name, "--trials", trials]
    seconds = timed(command, folder, **env)
    return seconds, json.loads((folder / "tune.json").read_text())


def _values(folder: Path) -> list[float]:
    """The final accuracy of every trial, as Optuna reads it."""
    import optuna

    (study,) = optuna.get_all_study_summaries(f"sqlite:///{folder}/study.db")
    trials = optuna.load_study(
        study_name=study.study_name, storage=f"sqlite:///{folder}/study.db"
    ).get_trials(states=[optuna.trial.TrialState.COMPLETE])
    return [trial.value for trial in trials if trial.value is not None]


if __name__ == "__main__":
    main()

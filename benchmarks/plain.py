"""The peer: plain Optuna over SQL, one training loop a trial, as its tutorial for PyTorch has it.

    python -m benchmarks.plain digits --trials 256 --storage sqlite:///plain.db --workers 1

More workers are more processes on the same study, as Optuna's tutorial on distribution has it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os

import optuna
import torch

from benchmarks.problems import PROBLEMS, RANGES, accuracies

__all__ = ["main", "search"]


def main() -> None:
    """Create the study and run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    optuna.create_study(study_name=given.problem, storage=given.storage, direction="maximize")
    if given.workers == 1:
        search(given.problem, given.trials, given.storage, None)
        return
    threads = max((os.cpu_count() or 1) // given.workers, 1)
    share, rest = divmod(given.trials, given.workers)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(
            target=search, args=(given.problem, share + (i < rest), given.storage, threads)
        )
        for i in range(given.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    raise SystemExit(any(worker.exitcode for worker in workers))


def search(name: str, trials: int, storage: str, threads: int | None) -> None:
    """Run so many trials of the study."""
    if threads is not None:
        torch.set_num_threads(threads)
    problem = PROBLEMS[name]
    data = problem.data()

    def objective(trial: optuna.Trial) -> float:
        config = {
            name: trial.suggest_float(name, low, high, log=log)
            for name, (low, high, log) in RANGES.items()
        }
        accuracy = 0.0
        for epoch, accuracy in enumerate(accuracies(problem, data, **config), 1):
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    study = optuna.load_study(
        study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
    )  # fmt: skip
    study.optimize(objective, n_trials=trials)


if __name__ == "__main__":
    main()

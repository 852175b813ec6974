"""The largest batch that a device has room for, found by doubling.

It is tried in a process of its own, which the system may kill for its memory without harm to the
caller. Only a size that was really run counts: forward, backward, two steps of the optimizer, and
validation.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from hpsearch.code import Code, explained, in_use, use
from hpsearch.errors import CodeError, DataError, HpsearchError, line
from hpsearch.processes.interpreter import python
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.spec.family import FAMILIES
from hpsearch.training import devices
from hpsearch.training.solo import Solo
from hpsearch.training.trial_progress import TrialProgress
from hpsearch.weights import know, known

__all__ = ["largest", "try_sizes"]

_SHARE = 0.8
"""The share of the memory that a batch may take; the rest is for what else a device holds."""


def largest(candidate: Candidate, data: DataSettings, device: str, low: int) -> tuple[int, str]:
    """The largest of `low`, twice that and so on that fits, and why it is the largest.

    No more than there are training rows, even where those are fewer than `low`. Raises
    HpsearchError where not even `low` fits.
    """
    request = candidate, data, device, low, in_use(), known()
    done = subprocess.run(
        python(__name__), input=pickle.dumps(request), stdout=subprocess.PIPE, check=False
    )  # fmt: skip
    answers = [json.loads(answer) for answer in done.stdout.splitlines()]
    if not answers and done.returncode > 0:
        raise HpsearchError(f"a batch of {low} rows cannot be tried on {device}: see above")
    if not answers:
        raise HpsearchError(f"a batch of {low} rows does not fit {device}: lower batch_size.min")
    if "error" in answers[-1]:
        error = HpsearchError(answers[-1]["error"])
        error.exit_code = answers[-1]["code"]
        raise error
    return answers[-1]["fits"], answers[-1]["why"]


def try_sizes(
    candidate: Candidate,
    data: DataSettings,
    device_name: str,
    low: int,
    code: Path | None,
    weights: Mapping[str, Path],
) -> None:
    """What that process does: write a line of JSON for each size that fits, or for an error."""
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        try:
            use(None if code is None else Code.at(code))
            know(weights)
            device = devices.device(device_name)
            devices.prepare(device, None)
            dataset = load(data, device)
            _limit_memory(device)
            size, rows = low, len(dataset.train)
            ran = f"the largest that was run on {devices.describe(device)}"
            while (size := min(size, rows)) and _fits(candidate, dataset, device, size):
                why = ran if size < rows else "as many as there are training rows"
                answers.write(json.dumps({"fits": size, "why": why}) + "\n")
                size = 2 * size if size < rows else 0
        except (HpsearchError, ValueError) as error:
            exit_code = getattr(error, "exit_code", DataError.exit_code)
            answers.write(json.dumps({"error": line(error), "code": exit_code}) + "\n")


def _limit_memory(device: torch.device) -> None:
    """Where possible, have what takes more refused, so that the system need not kill for it."""
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(_SHARE, device)
    elif sys.platform == "linux":
        import resource

        most = psutil.Process().memory_info().vms + int(_SHARE * devices.free_memory(device))
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def _fits(candidate: Candidate, dataset: Dataset, device: torch.device, size: int) -> bool:
    sized = replace(candidate, settings={**candidate.settings, "batch_size": size})
    try:
        progress = TrialProgress(sized, dataset)
        progress.epoch = int(candidate.settings["epochs"]) - 1  # type: ignore[arg-type]
        solo = Solo(progress, device)  # by then as much is trained as ever
        for _ in range(2):  # the optimizer's own memory is there from the second step on
            solo.step(torch.arange(size, device=device), 1e-9)
        solo.outputs(progress.dataset.validation)
        devices.synchronize(device)
    except Exception as error:
        if devices.is_out_of_memory(error):
            return False
        if in_use() is None or isinstance(error, HpsearchError):
            raise
        raise CodeError(f"{FAMILIES[candidate.family].name}: {explained(error)}") from error
    devices.empty_cache(device)
    return True


if __name__ == "__main__":
    try_sizes(*pickle.load(sys.stdin.buffer))

"""The largest batch that a device has room for: by doubling, then by halving what is left between.

It is tried in a process of its own, which the system may kill for its memory without harm to the
caller. Only a size that was really run counts: forward, backward, a step of the optimizer, and
validation. What was found for a network, data and device is kept in the user's cache folder.

    python -m hpsearch.preflight.max_batch_size < request.json
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import psutil
import torch

from hpsearch.errors import DataError, HpsearchError, line
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.training import devices
from hpsearch.training.candidate import Candidate
from hpsearch.training.solo import Solo
from hpsearch.training.stacking.stack import shape_of
from hpsearch.training.trial_progress import TrialProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["largest", "main", "search"]

_log = logging.getLogger(__name__)

_SHARE = 0.8
"""Of the memory, what a batch may take; the rest is for what else a device holds."""

_NEAR = 1.1
"""The size found and the smallest that has failed are nearer to each other than this factor."""

_DEATHS = 8
"""Of the process, after each of which another one goes on below the size that killed it."""


def largest(candidate: Candidate, data: DataSettings, device: str, low: int) -> tuple[int, str]:
    """The largest batch size of at least `low` for a candidate, and what it was found on.

    No more than there are training rows. Raises HpsearchError where not even `low` fits.
    """
    request = {
        "candidate": asdict(candidate), "device": device, "low": low, "beyond": None,
        "data": {**asdict(data), "path": data.path and str(data.path),
                 "root": data.root and str(data.root)},
    }  # fmt: skip
    said: dict[str, Any] = {}
    for _ in range(_DEATHS):
        said |= _asked(request)
        if "error" in said:
            error = HpsearchError(said["error"])
            error.exit_code = said["code"]
            raise error
        if "found" in said:
            return said["found"], said["on"]
        if "fits" not in said:
            break
        request |= {"low": said["fits"], "beyond": said["trying"]}
    raise HpsearchError(f"a batch of {low} rows does not fit {device}: lower batch_size.min")


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    """All that a process says before it ends, in whatever way."""
    # Its whole standard output is the answer: a library that prints would spoil it.
    done = subprocess.run(
        [sys.executable, "-m", __name__], input=json.dumps(request), text=True, check=False,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    said: dict[str, Any] = {}
    for text in done.stdout.splitlines():
        said |= json.loads(text)
    if not said:
        raise HpsearchError("the largest batch size cannot be tried: the process ended at once")
    return said


# --- in that process --------------------------------------------------------------------------


def main() -> None:
    """Answer one request: what is tried and what fits, as JSON a line, the result at the end."""
    request = json.load(sys.stdin)
    data = {
        **request["data"],
        "ignore": tuple(request["data"]["ignore"]),
        **{name: Path(at) for name in ("path", "root") if (at := request["data"][name])},
    }
    try:
        device = devices.device(request["device"])
        devices.prepare(device, None)
        candidate = Candidate(**_with_tuples(request["candidate"]))
        dataset = load(DataSettings(**data), device)
        kept = _place(candidate, dataset, device)
        rows = len(dataset.train.inputs)
        low, beyond = min(request["low"], rows), request["beyond"]
        if answer := _kept(kept, low, rows):
            _say(**answer)
            return
        _limit_memory(device)
        found = 0 if beyond is None else low
        for found in search(
            lambda size: _fits(candidate, dataset, device, size), low, rows, beyond
        ):  # fmt: skip
            _say(fits=found)
    except (HpsearchError, ValueError) as error:
        _say(error=line(error), code=getattr(error, "exit_code", DataError.exit_code))
        return
    if found:
        answer = {"found": found, "on": devices.describe(device)}
        _say(**answer)  # before all else: what cannot be kept is an answer all the same
        _keep(kept, answer)


def search(
    fits: Callable[[int], bool], low: int, rows: int, beyond: int | None = None
) -> Iterator[int]:
    """Rising sizes, each of which fits; the last is the largest up to `rows`, but for a tenth.

    Doubled from `low` until one does not fit, then halfway between. Where it is known that `low`
    fits and `beyond` does not, only the latter.
    """
    best, size = low, low
    if beyond is None:
        while fits(size):
            yield (best := size)
            if size >= rows:
                return
            size = min(2 * size, rows)
        if size == low:
            return
        beyond = size
    while beyond > max(best + 1, best * _NEAR):
        size = (best + beyond) // 2
        if fits(size):
            yield (best := size)
        else:
            beyond = size


def _fits(candidate: Candidate, dataset: Dataset, device: torch.device, size: int) -> bool:
    _say(trying=size)
    try:
        sized = replace(candidate, settings={**candidate.settings, "batch_size": size})
        solo = Solo(TrialProgress(sized, dataset), dataset, device)
        for _ in range(2):  # the optimizer's own memory is there from the second step on
            solo.step(torch.arange(size, device=device), 1e-9)
        solo.outputs(dataset.validation)
        devices.synchronize(device)
    except Exception as error:
        if not devices.is_out_of_memory(error):
            raise
        return False
    finally:
        devices.empty_cache(device)
    return True


def _limit_memory(device: torch.device) -> None:
    """What takes more is refused, and not killed by the system; where that cannot be had, it is."""
    if device.type == "cuda":
        free = devices.free_memory(device) / torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(_SHARE * free, device)
    elif sys.platform == "linux":
        import resource

        most = psutil.Process().memory_info().vms + int(_SHARE * devices.free_memory(device))
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def _place(candidate: Candidate, dataset: Dataset, device: torch.device) -> Path:
    """Where the result for that network, data and device is kept."""
    shape = shape_of(replace(candidate, settings={**candidate.settings, "batch_size": 0}))
    rows = len(dataset.train.inputs), len(dataset.validation.inputs)
    known = shape, dataset.input_shape, len(dataset.classes), rows
    on = devices.describe(device), psutil.virtual_memory().total, torch.__version__
    digest = hashlib.sha256(repr((known, on)).encode()).hexdigest()
    return platformdirs.user_cache_path("hpsearch") / "largest" / f"{digest[:32]}.json"


def _kept(place: Path, low: int, rows: int) -> dict[str, Any] | None:
    """What was found before; None where there is nothing that can be: it is measured anew."""
    try:
        answer = json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    match answer:
        case {"found": int(found), "on": str(on)} if low <= found <= rows:
            return {"found": found, "on": on}
    return None


def _keep(place: Path, answer: dict[str, Any]) -> None:
    beside = place.with_suffix(f".{os.getpid()}")  # then renamed: nobody reads half of it
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(answer))
        beside.replace(place)
    except OSError as error:
        _log.debug("not kept for the next time: %s", line(error))


def _with_tuples(candidate: dict[str, Any]) -> dict[str, Any]:
    settings = candidate["settings"].items()
    taken = {name: tuple(v) if isinstance(v, list) else v for name, v in settings}
    return {**candidate, "settings": taken}


def _say(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

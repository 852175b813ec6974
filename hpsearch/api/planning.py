"""What a search will take: a dry run of some seconds, in which nothing is trained for good."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch import urls
from hpsearch.api.opening import settings_kept
from hpsearch.errors import ConflictError, HpsearchError
from hpsearch.processes.interpreter import python

if TYPE_CHECKING:
    from hpsearch.fleet import DevicePlace
    from hpsearch.forecast.pace import Forecast, Pace
    from hpsearch.spec import StudySpec
    from hpsearch.store.engine import Database
    from hpsearch.store.ledger import Ledger

__all__ = ["Planned", "plan", "plan_apart", "plan_own", "settled", "timed"]


@dataclass(frozen=True)
class Planned:
    """A forecast, and the dry runs that it is made from."""

    forecast: Forecast
    pace: Pace


def settled(ledger: Ledger, spec: StudySpec, base: Path, device: str) -> StudySpec:
    """The study as a search would make it: with the hashes of its weights, and the number that a
    largest batch of `auto` stands for on the device."""
    from hpsearch.preflight.sizing import sized
    from hpsearch.weights import weighed

    return sized(ledger, weighed(spec, base), base, device)


def plan(
    spec: StudySpec, base: Path, seats: Sequence[DevicePlace], database: Database,
    checkpoints: str | None = None,
) -> Planned:  # fmt: skip
    """Time a few shapes of a search on the first of the seats' devices.

    Args:
        spec: The study, `settled`.
        base: The study file's folder.
        seats: Where its workers would be.
        database: The one that would keep it.
        checkpoints: Where checkpoints would lie, if an option or the environment says so.

    Raises DataError where its data is missing or not as it should be.
    """
    from hpsearch.forecast.pace import forecast

    pace = timed(spec, base, seats, _free_disk(database, spec, checkpoints, base))
    return Planned(forecast(spec, pace, len(seats)), pace)


def plan_own(
    spec: StudySpec, base: Path, folder: Path, seats: Sequence[DevicePlace], ledger: Ledger,
    checkpoints: str | None = None, say: Callable[[str], None] = lambda words: None,
) -> Planned | None:  # fmt: skip
    """The same of a study with own training code, by the trials that it has or a run of its first
    epochs, in a copy of this process; None where these take too long.

    Args:
        spec: The study.
        base: The study file's folder.
        folder: That of its code.
        seats: Where its workers would be.
        ledger: Where it may have trials.
        checkpoints: Where checkpoints would lie, if an option or the environment says so.
        say: Is given a line before anything is run.

    Raises CodeError where its code fails.
    """
    from hpsearch.forecast.own_runs import own_pace
    from hpsearch.forecast.pace import forecast

    pace = own_pace(
        spec, folder, ledger, seats[0].device, devices_=len({seat.device for seat in seats}),
        disk_bytes=_free_disk(ledger.database, spec, checkpoints, base), say=say,
    )  # fmt: skip
    return None if pace is None else Planned(forecast(spec, pace, len(seats)), pace)


def plan_apart(
    spec: StudySpec, base: Path, folder: Path, url: str, checkpoints: str | None,
    workers: int | None, devices: Sequence[str],
) -> Forecast:  # fmt: skip
    """The same in a process of its own: one that has threads, as a notebook's has, is not copied.

    Args:
        spec: The study.
        base: The study file's folder.
        folder: That of its code.
        url: Of the database where it may have trials.
        checkpoints: Where checkpoints would lie, if that is said.
        workers: Worker processes; None: as many as by default.
        devices: Their devices; none: all of this machine.

    Raises ConflictError where its first epochs take too long, HpsearchError with what that process
    says where it fails.
    """
    from pydantic import TypeAdapter

    from hpsearch.forecast.pace import Forecast
    from hpsearch.spec import write

    options = ["--code", str(folder), "--json"]
    options += [] if workers is None else ["--workers", str(workers)]
    options += [word for device in devices for word in ("--device", device)]
    env = {**os.environ, "HPSEARCH_STORAGE": url}
    place = checkpoints or _place(spec, base)
    env |= {} if place is None else {"HPSEARCH_CHECKPOINTS": place}
    with tempfile.TemporaryDirectory(prefix="hpsearch-") as away:
        file = Path(away) / "study.yaml"
        file.write_text(write(spec, "", {}), encoding="utf-8")
        done = subprocess.run(
            [*python("hpsearch"), "plan", str(file), *options], env=env, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        error = HpsearchError(done.stderr.rpartition("hpsearch: ")[2].strip())
        error.exit_code = done.returncode
        raise error
    forecast = json.loads(done.stdout)["forecast"]
    if "work_s" not in forecast:
        raise ConflictError(
            "the first epochs take too long for a dry run; once 3 trials have ended, plan again"
        )
    return TypeAdapter(Forecast).validate_python(forecast)


def _place(spec: StudySpec, base: Path) -> str | None:
    """The place of checkpoints that a study names, for a process that has its file elsewhere."""
    folder = urls.folder(spec.checkpoints) if spec.checkpoints else None
    return spec.checkpoints if folder is None else str(base.absolute() / urls.local(folder))


def timed(
    spec: StudySpec, base: Path, seats: Sequence[DevicePlace], disk_bytes: int | None = None,
    limit_s: float | None = None,
) -> Pace:  # fmt: skip
    """Dry runs on the first of the devices, settled as a worker there would be.

    Args:
        spec: The study, `settled`.
        base: The study file's folder.
        seats: Where its workers would be.
        disk_bytes: Free where its checkpoints would lie; None: not known.
        limit_s: Seconds in which one is begun; None: as many as `plan` takes.

    Raises DataError where its data is missing or not as it should be.
    """
    from joblib import cpu_count

    from hpsearch.forecast.dry_runs import LIMIT_S, time_shapes
    from hpsearch.sources.opening import open_data
    from hpsearch.training import devices

    device = devices.device(seats[0].device)
    with settings_kept():
        devices.prepare(device, seats[0].threads)
        dataset = open_data(spec, base, device)
        count = len({seat.device for seat in seats})
        at_once = cpu_count() if device.type == "cpu" else count
        return time_shapes(
            spec, dataset, device, devices_=count, seats=at_once, workers=len(seats),
            disk_bytes=disk_bytes, limit_s=limit_s or LIMIT_S,
        )  # fmt: skip


def _free_disk(
    database: Database, spec: StudySpec, checkpoints: str | None, base: Path
) -> int | None:
    """Bytes that are free where checkpoints will lie; None for a place at a URL."""
    from hpsearch.checkpoints.places import checkpoint_root

    root = checkpoint_root(database, checkpoints or spec.checkpoints, base.resolve())
    if root is None:
        return None
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    return shutil.disk_usage(nearest).free

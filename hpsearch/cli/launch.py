"""run, submit, worker, check: from a study file to a search."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import (
    LEASE_S,
    Checkpoints,
    FileArgument,
    Json,
    Lease,
    Storage,
    open_ledger,
    print_json,
)
from hpsearch.errors import EXIT_CODES, INTERRUPTED, HpsearchError, StorageError, WorkerError

if TYPE_CHECKING:
    from hpsearch.fleet import Exit, Fleet
    from hpsearch.report import Reader, Snapshot
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["check", "run", "submit", "worker"]

Trials = Annotated[int | None, typer.Option(min=1, help="budget.trials")]
Epochs = Annotated[int | None, typer.Option(min=1, help="budget.epochs")]
Hours = Annotated[float | None, typer.Option(help="budget.hours")]
Sampler = Annotated[str | None, typer.Option(help="search.sampler")]
Pruner = Annotated[str | None, typer.Option(help="search.pruner")]
Seed = Annotated[int | None, typer.Option(min=0, help="search.seed")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Any key of the file, such as data.limit=500."
    ),
]
Priority = Annotated[int, typer.Option(help="Studies of a higher one are served first.")]

POLL_S = 0.25
"""Between looks at the database while a study runs."""


def _load(
    file: Path,
    trials: int | None,
    epochs: int | None,
    hours: float | None,
    sampler: str | None,
    pruner: str | None,
    seed: int | None,
    others: list[str] | None,
) -> StudySpec:
    from hpsearch.spec import load

    named = {
        "budget.trials": trials, "budget.epochs": epochs, "budget.hours": hours,
        "search.sampler": sampler, "search.pruner": pruner, "search.seed": seed,
    }  # fmt: skip
    overrides = [f"{path}={value}" for path, value in named.items() if value is not None]
    return load(file, overrides + (others or []))


def run(
    file: FileArgument,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes.", show_default="one a device")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="Device of a worker: cpu, cuda:0, mps; may be given again.",
                     show_default="all of this machine"),
    ] = None,
    trials: Trials = None,
    epochs: Epochs = None,
    hours: Hours = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    seed: Seed = None,
    set_: Set = None,
    priority: Priority = 0,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    lease_s: Lease = LEASE_S,
    json_: Json = False,
) -> None:  # fmt: skip
    """Search: create the study or go on with it, start workers, show progress, print the result."""
    from hpsearch.cli import show
    from hpsearch.fleet import Fleet, check_devices, local_devices, spread
    from hpsearch.report import Reader
    from hpsearch.spec import check_data
    from hpsearch.submit import submit as submit_study

    spec = _load(file, trials, epochs, hours, sampler, pruner, seed, set_)
    check_data(spec.data, file.parent)
    check_devices(device or [])
    ledger = open_ledger(storage, lease_s, make=True)
    study, new = submit_study(ledger, spec, file.parent, priority)
    reader = Reader(ledger, study.name, checkpoints)
    if not new:
        show.note(_reopen(ledger, study))
    fleet = Fleet(ledger.database.url, [study.name], checkpoints, lease_s)
    if ledger.study(study.name).state == "open":
        fleet.start(spread(device or local_devices(), workers))
    try:
        snapshot = _follow(fleet, ledger, reader)
    except KeyboardInterrupt:
        show.note(
            "stopping: trials go back to their last checkpoint ... (Ctrl-C again kills the workers)"
        )
        _settle(ledger, fleet.stop())
        snapshot = reader.snapshot()
        found = snapshot.best.value if snapshot.best else None
        show.note(
            f"interrupted: {snapshot.study.ended} of {snapshot.study.tickets} trials have ended, "
            f"best {snapshot.metric} {show.number(found)}; the same command goes on from here:"
        )
        show.note(f"  {show.call(shlex.join(sys.argv[1:]))}")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        fleet.stop()
        fleet.clear()
    snapshot = reader.located(snapshot)
    if json_:
        print_json(snapshot.as_dict())
    else:
        show.result(snapshot)


def _reopen(ledger: Ledger, study: Study) -> str:
    """Go on with a study that exists; what to say about it."""
    if study.state in ("paused", "stopped"):
        ledger.set_state(study.name, "open")
        return f"study {study.name} was {study.state}; it goes on"
    if study.state == "done":
        return f"study {study.name} is done"
    return f"study {study.name} goes on: {study.ended} of {study.tickets} trials have ended"


def _follow(fleet: Fleet, ledger: Ledger, reader: Reader) -> Snapshot:
    """Show progress until the workers have left; the study as they leave it."""
    from hpsearch.cli import show
    from hpsearch.cli.progress import Progress

    exits: list[Exit] = []
    with Progress(reader.snapshot()) as progress:
        while fleet.alive:
            time.sleep(POLL_S)
            ended = fleet.ended()
            exits += ended
            # A database that is away for a moment is no reason to stop the workers.
            with suppress(StorageError):
                _settle(ledger, ended)
                progress.update(reader.snapshot())
    _settle(ledger, exits)
    snapshot = reader.snapshot()
    failed = [e for e in exits if e.code != 0]
    if snapshot.study.state == "open" and failed:
        raise _worker_error(failed[-1], snapshot)
    for exit_ in failed:
        show.note(f"worker {exit_.name} ended with {exit_.code}: {exit_.said}")
    return snapshot


def _settle(ledger: Ledger, exits: list[Exit]) -> None:
    """A worker that was killed has given nothing back: do so in its name."""
    for exit_ in exits:
        ledger.sign_off(exit_.name)


def _worker_error(exit_: Exit, snapshot: Snapshot) -> HpsearchError:
    study = snapshot.study
    left = f"{study.ended} of {study.tickets} trials have ended; run again to go on"
    if exit_.code in EXIT_CODES and exit_.code > 1:
        error = HpsearchError(f"{exit_.said}\n{left}")
        error.exit_code = exit_.code
        return error
    how = f"signal {-exit_.code}" if exit_.code < 0 else f"exit code {exit_.code}"
    return WorkerError(
        f"the last worker ended with {how}: {exit_.said or 'it said nothing'}\n{left}"
    )


def submit(
    file: FileArgument,
    trials: Trials = None,
    epochs: Epochs = None,
    hours: Hours = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    seed: Seed = None,
    set_: Set = None,
    priority: Priority = 0,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Create the study and leave it to workers elsewhere."""
    from hpsearch.submit import submit as submit_study

    spec = _load(file, trials, epochs, hours, sampler, pruner, seed, set_)
    ledger = open_ledger(storage, make=True)
    study, new = submit_study(ledger, spec, file.parent, priority)
    if json_:
        print_json({"name": study.name, "new": new, "trials": study.tickets})
    else:
        typer.echo(f"study {study.name}: {'created' if new else 'exists'}, {study.tickets} trials")
        typer.echo(f"workers take it from {ledger.database.name}: hpsearch worker")


def worker(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY]...", help="Studies to serve; none: every open one."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda:0, mps.", show_default="the first of this machine")
    ] = None,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="Leave when there is no more work.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all")
    ] = None,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    lease_s: Lease = LEASE_S,
    name: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve studies of the database with one process on one device."""
    # OpenMP reads these when PyTorch is loaded. Threads that wait for work in a busy loop, as they
    # do by default, make an epoch ten times longer where another process wants the core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    from hpsearch.fleet import local_devices, new_name
    from hpsearch.store.engine import storage_url
    from hpsearch.worker import Options, serve

    logging.getLogger("hpsearch").setLevel(logging.INFO)
    if studies:
        ledger = open_ledger(storage, lease_s, make=True)
        for wanted in studies:
            ledger.study(wanted)  # a misspelt name is said at once
    serve(
        Options(
            url=storage_url(storage),
            name=name or new_name(),
            device=device or local_devices()[0],
            studies=tuple(studies or ()),
            until_done=until_done,
            threads=threads,
            lease_s=lease_s,
            checkpoints=checkpoints,
        )
    )


def check(
    file: FileArgument,
    trials: Trials = None,
    epochs: Epochs = None,
    hours: Hours = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    seed: Seed = None,
    set_: Set = None,
    json_: Json = False,
) -> None:
    """Say what would be searched, or every fault of the file."""
    from hpsearch.cli import show
    from hpsearch.spec import check_data

    spec = _load(file, trials, epochs, hours, sampler, pruner, seed, set_)
    check_data(spec.data, file.parent)
    if json_:
        print_json(show.described(spec))
    else:
        show.description(spec)

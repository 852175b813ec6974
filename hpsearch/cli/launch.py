"""run, submit, worker, fleet: from a study file to a search."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli import tracking
from hpsearch.cli.groups import Crew, Overrides, Service, flat
from hpsearch.cli.options import (
    AcceptCode,
    Code,
    Events,
    FileArgument,
    Json,
    MaxParallel,
    Priority,
    Storage,
    limit_threads,
    loading,
    open_ledger,
    print_json,
    runs_code,
)  # fmt: skip
from hpsearch.errors import INTERRUPTED, NotFoundError, StorageError
from hpsearch.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hpsearch.cli.progress import Progress
    from hpsearch.fleet import Fleet, Launcher
    from hpsearch.insight.reader import Reader
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["fleet", "run", "submit", "worker"]

Studies = Annotated[
    list[str] | None,
    typer.Argument(metavar="STUDY", help="Studies to serve; by default every open one."),
]
UntilDone = Annotated[bool, typer.Option("--until-done", help="Leave when there is no more work.")]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Workers on the nodes of a Ray cluster: auto, HOST:6379, ray://HOST:10001. "
        "--workers is then a maximum, and --device is cpu or cuda.",
        show_default="this machine",
    ),
]

_log = logging.getLogger(__name__)


@flat
def run(
    file: FileArgument,
    *,
    crew: Crew,
    ray: Ray = None,
    overrides: Overrides,
    priority: Priority = None,
    max_parallel: MaxParallel = None,
    accept_code: AcceptCode = False,
    service: Service,
    json_: Events = False,
) -> None:
    """Search: create or continue a study, start workers, show progress, print the result."""
    from hpsearch.cli.console import busy

    with ExitStack() as stack:
        with busy(f"reading {file}"):
            spec, code = _read(file, overrides, service)
            # First of all that takes time: another process loads PyTorch while this one makes the
            # study.
            launcher = stack.enter_context(closing(_launcher(crew, ray, service, spec, code)))
            launcher.warm_up()
            from hpsearch.api import running
            from hpsearch.cli import progress, results, show
            from hpsearch.fleet import Fleet
            from hpsearch.insight.reader import Reader
            from hpsearch.preflight.data_check import check_table

            check_table(spec, file.parent)
            ledger = service.ledger()
            begun = running.begin(
                ledger, spec, file.parent, priority=priority, max_parallel=max_parallel,
                device=crew.device[0] if crew.device else None, code=code,
                accept_code=accept_code, call=show.call,
            )  # fmt: skip
            reader = Reader(ledger, begun.study.name, service.checkpoints)
        _note_schedule(begun.rescheduled)
        for note in begun.notes:
            show.note(note)
        fleet = Fleet(launcher, ledger, limit=crew.workers)
        snapshot = _served(fleet, reader, service.grace, starts=ray is not None, events=json_,
                           pictures=not service.no_pictures)  # fmt: skip
        if fleet.failure is not None:
            tracking.catch_up(ledger, snapshot.study, service.checkpoints, code)
    reader.tidy(snapshot)
    snapshot = reader.located(snapshot)
    if json_:
        progress.Events.result(snapshot)
    else:
        results.result(snapshot)
        tracking.standing(ledger, snapshot.study)
    if snapshot.study.state == "done" and snapshot.network is None:
        name = snapshot.study.name
        raise NotFoundError(
            f"no trial of study {name!r} completed; {show.call(f'trials {name}')} has the reasons"
        )


def _read(file: Path, overrides: Overrides, service: Service) -> tuple[StudySpec, Path | None]:
    """The study of a file whose data has been looked at, and the folder of its own code."""
    from hpsearch.sources.opening import look

    spec = overrides.load(file, service.code)
    look(spec, file.parent)
    return spec, runs_code(spec, file.parent, service.code)


def _launcher(
    crew: Crew, ray: str | None, service: Service, spec: StudySpec, code: Path | None
) -> Launcher:
    """What starts the workers of one study: here, or on a cluster."""
    from hpsearch.fleet import Local, RayCluster
    from hpsearch.store.engine import Database, storage_url
    from hpsearch.store.values import command_hash

    crew.check(remote=ray is not None)
    database = Database(storage_url(service.storage))
    words = spec.train.command if spec.train is not None else None
    own = command_hash(words) if words is not None else None  # not whatever the database may say
    orders = service.orders(database.url, [spec.name], until_done=True, code=code, command=own)
    if ray is None:
        return Local(orders, crew.seats())
    return RayCluster(
        ray, orders, per_device=crew.workers_per_device, device=crew.only_device,
        one_node=database.file is not None,
    )  # fmt: skip


def _note_schedule(changed: Study | None) -> None:
    """Say what priority and limit a study has now, where it had others."""
    from hpsearch.cli import show

    if changed is not None:
        show.note(f"study {changed.name} has {show.scheduled(changed)} from now on")


def _served(
    fleet: Fleet, reader: Reader, grace_s: float, *, starts: bool, events: bool, pictures: bool
) -> Snapshot:
    """Show progress until the workers have left, or Ctrl-C sends them away."""
    from hpsearch.cli import show

    try:
        return _follow(fleet, reader, starts=starts, events=events, pictures=pictures)
    except KeyboardInterrupt:
        show.note("stopping: trials go back to their last checkpoint (Ctrl-C again: at once)")
        try:
            fleet.stop(grace_s)
        finally:  # after a second Ctrl-C, too
            _tell_interrupted(reader)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        fleet.stop(grace_s)


def _follow(
    fleet: Fleet, reader: Reader, *, starts: bool, events: bool, pictures: bool
) -> Snapshot:  # fmt: skip
    """Show progress, and starts if asked to, until the workers have left; the study as they leave
    it."""
    from hpsearch.api.running import follow, outcome
    from hpsearch.cli import progress, show

    workers = reader.workers
    with progress.follow(reader.snapshot(), workers, events=events, pictures=pictures) as view:
        snapshot = follow(fleet, reader, _Shown(view), starts=starts)
    return outcome(snapshot, fleet, show.call)


class _Shown:
    """Has what happens to a study and its workers on the terminal."""

    def __init__(self, progress: Progress) -> None:
        self.update = progress.update

    def note(self, text: str) -> None:
        """A line of status."""
        from hpsearch.cli import show

        show.note(text)


def _tell_interrupted(reader: Reader) -> None:
    from hpsearch.cli import show

    with suppress(StorageError):  # that it may be away is no news now
        snapshot = reader.snapshot()
        best = snapshot.leader.value if snapshot.leader else None
        show.note(
            f"interrupted: {snapshot.study.ended} of {snapshot.study.tickets} trials have ended, "
            f"best {snapshot.metric} {show.number(best)}"
        )
        show.note("the same command continues from here:")
        show.note(f"  {show.call(shlex.join(sys.argv[1:]))}")


@flat
def submit(
    file: FileArgument,
    *,
    overrides: Overrides,
    priority: Priority = None,
    max_parallel: MaxParallel = None,
    storage: Storage = None,
    code: Code = None,
    accept_code: AcceptCode = False,
    json_: Json = False,
) -> None:
    """Create the study and leave it to workers elsewhere."""
    from hpsearch.api import running
    from hpsearch.cli import show
    from hpsearch.insight import commands
    from hpsearch.preflight.data_check import check_table

    spec = overrides.load(file, code)
    check_table(spec, file.parent)
    ledger = open_ledger(storage, make=True)
    made = running.make(
        ledger, spec, file.parent, priority=priority, max_parallel=max_parallel, code=code,
        accept_code=accept_code,
    )  # fmt: skip
    study = made.study
    _note_schedule(made.rescheduled)
    for note in made.notes:
        show.note(note)
    _note_checkpoints(ledger, os.environ.get("HPSEARCH_CHECKPOINTS"), [study])
    if json_:
        print_json({"name": study.name, "new": made.new, "trials": study.tickets})
    else:
        echo(f"study {study.name}: {'created' if made.new else 'exists'}, {study.tickets} trials")
        same = ", with HPSEARCH_STORAGE set as here" if "HPSEARCH_STORAGE" in os.environ else ""
        echo(f"start workers: {show.call(commands.fleet(study))}{same}")


@flat
def worker(
    studies: Studies = None,
    *,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda:0, mps.", show_default="the first of this machine")
    ] = None,
    until_done: UntilDone = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="CPU threads, at most.", show_default="all"),
    ] = None,
    service: Service,
    name: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve studies of the database with one process on one device."""
    limit_threads(threads)
    with loading():
        from hpsearch.fleet import local_devices, new_name
        from hpsearch.store.engine import storage_url
        from hpsearch.worker import Options, serve

    logging.getLogger("hpsearch").setLevel(logging.INFO)
    device = device or local_devices()[0]
    own = name or new_name()
    _announce(f"worker {own} on {device}", service, studies or [], alone=name is None)
    serve(
        Options(
            url=storage_url(service.storage),
            name=own,
            device=device,
            studies=tuple(studies or ()),
            until_done=until_done,
            threads=threads,
            lease_s=service.lease_s,
            checkpoints=service.checkpoints,
            grace_s=service.grace,
            patience_s=service.patience_s,
            code=str(service.code) if service.code is not None else None,
            pictures=not service.no_pictures,
            commands=service.allowed,
        )
    )
    _end_here()


def _end_here() -> None:
    """End this process. Python would first take PyTorch apart, most of a second for nothing."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _announce(who: str, service: Service, names: Sequence[str], *, alone: bool = True) -> Ledger:
    """Say which database is served, and what is wrong with it; NotFoundError for a misspelt name.

    One that is not `alone` says only the former: who started it says the rest, once.
    """
    from hpsearch.cli import show
    from hpsearch.store.engine import DEFAULT_URL, storage_url

    ledger = service.awaited_ledger()
    named = [ledger.study(name) for name in names]
    studies = [study for study in named or ledger.studies() if study.state == "open"]
    count = f"{len(studies)} open {'study' if len(studies) == 1 else 'studies'}"
    _log.info("%s serves %s, %s", who, ledger.database.name, count)
    if alone:
        for study in named:
            if study.state in ("paused", "stopped"):
                _log.info("study %s is %s; to open it: %s", study.name, study.state,
                          show.call(f"resume {study.name}"))  # fmt: skip
            elif study.state == "done":
                _log.info("study %s is done: nothing is left to train", study.name)
        if not named and not studies and storage_url(service.storage) == DEFAULT_URL:
            _log.info("no open study yet; HPSEARCH_STORAGE names the database that other machines "
                      "use")  # fmt: skip
        _note_checkpoints(ledger, service.checkpoints, studies)
    return ledger


def _note_checkpoints(ledger: Ledger, option: str | None, studies: Sequence[Study]) -> None:
    """A note where checkpoints do not follow their trials to another machine."""
    from hpsearch.checkpoints.places import stays_here
    from hpsearch.cli import show

    if stays_here(ledger.database, option, *(s.document.get("checkpoints") for s in studies)):
        show.note(
            "each machine keeps its own checkpoints, so a trial that moves to another machine "
            "starts again; HPSEARCH_CHECKPOINTS on every machine names a place that all reach"
        )


@flat
def fleet(
    studies: Studies = None, *, crew: Crew, until_done: UntilDone = False, service: Service
) -> None:
    """Serve studies with all devices of this machine; workers that crash are restarted."""
    from hpsearch.api.running import POLL_S, failed
    from hpsearch.fleet import Fleet, Local

    logging.getLogger("hpsearch").setLevel(logging.INFO)
    crew.check()
    ledger = _announce("fleet", service, studies or [])
    orders = service.orders(ledger.database.url, studies or [], until_done)
    with closing(Local(orders, crew.seats(), echo=True)) as launcher:
        workers = Fleet(launcher, ledger, standing=True)
        try:
            while not workers.over:
                for news in workers.tend():
                    _log.log(logging.WARNING if news.bad else logging.INFO, "%s", news.text)
                workers.wait(POLL_S)
        except KeyboardInterrupt:
            _log.info("stopping: trials go back to their last checkpoint")
            return
        finally:
            workers.stop(service.grace)
    if workers.failure is not None:
        raise failed(workers.failure, "no worker is left; fix that and start the fleet again")

"""status, watch, trials, best, export, workers: look at studies and who works on them."""

from __future__ import annotations

import json
import shlex
import time
from contextlib import suppress
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from hpsearch import files, passwords
from hpsearch.api import handing
from hpsearch.api.status import detailed, summarized
from hpsearch.cli import tracking
from hpsearch.cli.options import (
    Checkpoints,
    Code,
    Events,
    Force,
    Json,
    Name,
    Storage,
    loading,
    open_ledger,
    print_json,
    reads,
)
from hpsearch.errors import HpsearchError, NotFoundError
from hpsearch.terminal import echo, write_csv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study, Worker

__all__ = ["Format", "Goal", "best", "export", "status", "trials", "watch", "workers"]


_DAY_S = 86_400.0

_LOOK_S = 0.5
"""Between two looks at a study that is watched."""


class Goal(StrEnum):
    """Where `export` brings a study."""

    FILE = "file"
    MLFLOW = "mlflow"


class Format(StrEnum):
    """What `export` writes."""

    CSV = "csv"
    JSON = "json"


def _one(ledger: Ledger, name: str, *, located: bool) -> Snapshot:
    """A study, where asked for `located`."""
    from hpsearch.insight.reader import Reader

    reader = Reader(ledger, name, lean=True)
    return reader.located(reader.snapshot()) if located else reader.snapshot()


def _all(ledger: Ledger) -> tuple[list[Snapshot], list[tuple[Study, str]]]:
    """All studies that can be read, and those that cannot, each with the reason: its row is
    damaged, or it needs a package that is not installed here."""
    snapshots, unread = [], []
    for study in ledger.studies():
        try:
            snapshots.append(_one(ledger, study.name, located=False))
        except NotFoundError:  # deleted meanwhile
            continue
        except HpsearchError as error:
            unread.append((study, str(error).removeprefix(f"study {study.name}: ")))
    return snapshots, unread


@reads
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="One study; by default all of them.")
    ] = None,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Show how far the studies are, or one of them in detail."""
    with loading():
        from hpsearch.cli import people, results, show

        ledger = open_ledger(storage)
        workers = ledger.workers()
        snapshots, unread = ([_one(ledger, name, located=json_)], []) if name else _all(ledger)
    if json_:
        if name:
            print_json(detailed(ledger, snapshots[0]))
        else:
            rows = [summarized(snapshot, workers) for snapshot in snapshots]
            errors = [{"name": s.name, "state": s.state, "error": why} for s, why in unread]
            print_json([*rows, *errors])
    elif not snapshots and not unread:
        echo(f"no studies in {ledger.database.name}; hpsearch run FILE makes one")
    else:
        show.studies(snapshots, workers, [study for study, _ in unread])
        for study, why in unread:
            show.note(f"study {study.name}: {why}")
        if name:
            people.attendance(snapshots[0], workers)
            if snapshots[0].running and snapshots[0].spec.train is not None:
                _tell_silence(ledger, name)
            show.leader(snapshots[0])
            show.left(snapshots[0])
            show.sanity(snapshots[0])
            show.failures(snapshots[0])
            show.decided(snapshots[0])
            results.data(snapshots[0])
            show.stages(snapshots[0])
            show.codes(snapshots[0])
            show.beside(snapshots[0])
            show.curves(snapshots[0])
            results.verdict(snapshots[0])
            tracking.standing(ledger, snapshots[0].study)
            show.elsewhere(ledger.known(snapshots[0].study.study_id))


def _tell_silence(ledger: Ledger, name: str) -> None:
    """Which trials of a study have reported nothing for long."""
    from hpsearch.api.running import silence
    from hpsearch.cli import show
    from hpsearch.insight.reader import Reader

    with suppress(HpsearchError):  # deleted meanwhile, or its row is damaged
        reader = Reader(ledger, name, lean=True)
        for _, line in silence(reader, reader.snapshot()):
            show.note(line)


def watch(name: Name, storage: Storage = None, json_: Events = False) -> None:
    """Follow a study live until it is done; Ctrl-C leaves it running."""
    from hpsearch.cli.console import busy

    with busy(f"reading {name}"):
        from hpsearch.cli import progress, results
        from hpsearch.insight.reader import Reader

        reader = Reader(open_ledger(storage), name)
        first = reader.snapshot()
    with progress.follow(first, reader.workers, events=json_) as view:
        while (snapshot := reader.snapshot()).study.state not in ("done", "stopped"):
            view.update(snapshot)
            time.sleep(_LOOK_S)
        view.update(snapshot)
    if json_:
        progress.Events.result(reader.located(snapshot))
    else:
        results.result(reader.located(snapshot))


@reads
def trials(
    name: Name,
    last: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the last N.", show_default="all"),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the best N, the best first.")
    ] = None,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """List the trials of a study, with parameters and values."""
    with loading():
        from hpsearch.cli import show
        from hpsearch.insight.reader import Reader

        reader = Reader(open_ledger(storage), name)
        snapshot = reader.snapshot()
    chosen = snapshot.top(top) if top else snapshot.trials
    chosen = chosen[-last:] if last else chosen
    if json_:
        print_json([snapshot.row(trial) for trial in chosen])
    elif top and not chosen:
        show.note("no trial has completed so far")
    else:
        show.trials(snapshot, chosen, reader.at_work())
    snapshot.complain()


@reads
def best(
    name: Name,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the network to that folder, ready for hpsearch predict DIR and "
            "hpsearch.load(DIR); of own training code what run.save had, or the files of a "
            "command, for your own code to load.",
        ),
    ] = None,
    force: Force = False,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    code: Code = None,
    json_: Json = False,
) -> None:
    """Show the best trial and the network that the study hands over; --save writes it."""
    with loading():
        from hpsearch.cli import details, results, show
        from hpsearch.insight import verdicts
        from hpsearch.insight.reader import Reader

        ledger = open_ledger(storage)
        reader = Reader(ledger, name, checkpoints, lean=save is None)
        if save is None:
            snapshot = handing.with_network(reader)
        else:
            snapshot = handing.save(
                ledger, reader, save, checkpoints=checkpoints, code=code, force=force
            )  # fmt: skip
    assert snapshot.network is not None
    if json_:
        more = {
            "network": snapshot.row(snapshot.network),
            "classes": list(snapshot.classes),
            **snapshot.network.details,
            "edges": [asdict(edge) for edge in snapshot.edges],
            "final": snapshot.verdict,
            "saved": save and str(save),
        }
        print_json({**snapshot.row(snapshot.best or snapshot.network), **more})
    else:
        results.best(snapshot, snapshot.network)
        details.details(snapshot, snapshot.network)
        show.leader(snapshot)
    if save is not None:
        number, folder = snapshot.network.number, shlex.quote(str(save))
        if snapshot.spec.train is not None:
            from hpsearch.handover import own as own_training

            command = snapshot.spec.train.command is not None
            show.note(own_training.kept(save))
            if not command and (way := own_training.way_in(save)) is not None:
                show.note(f"to open it: {way}")
            return
        own = f" --code {shlex.quote(str(code))}" if code and snapshot.study.code else ""
        use = show.call(f"predict {folder} FILE{own}")
        show.note(f"the network of trial {number} is in {save}; predict with it: {use}")
        verdict, direction = snapshot.verdict, snapshot.direction
        if verdict is not None and verdicts.as_good(verdict, direction):
            show.note(f"warning: {verdicts.headline(verdict, direction)}")
        if verdict is None:
            show.note("no finish has used the test part, so there is no test figure with it")


@reads
def export(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", show_default="standard output"),
    ] = None,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="csv or json.", show_default="by the file's name, else csv"),
    ] = None,
    to: Annotated[
        Goal, typer.Option("--to", help="file, or mlflow: with metrics and the best network.")
    ] = Goal.FILE,
    uri: Annotated[
        str | None,
        typer.Option(
            "--uri",
            metavar="URI",
            help="MLflow's URI: http://HOST:5000, sqlite:///FILE.",
            show_default="HPSEARCH_MLFLOW, else the study's",
        ),
    ] = None,
    force: Force = False,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    code: Code = None,
) -> None:
    """Write all trials as CSV (a line a trial) or JSON (with learning curves), or bring the study
    to MLflow."""
    from hpsearch.checkpoints.places import owner
    from hpsearch.insight.reader import Reader

    ledger = open_ledger(storage)
    if to is Goal.MLFLOW:
        if output or format_ or force:
            raise typer.BadParameter("--output, --format and --force are of files, not of MLflow")
        tracking.export(ledger, name, uri, checkpoints, code)
        return
    if uri is not None:
        raise typer.BadParameter("--uri is MLflow's: add --to mlflow")
    snapshot = Reader(ledger, name).snapshot()
    if format_ is None:
        format_ = Format.JSON if output and output.suffix == ".json" else Format.CSV
    rows = [passwords.hide_in(snapshot.row(trial)) for trial in snapshot.trials]
    whose = owner(ledger.database, ledger.studies(), checkpoints)
    with files.written(output, whose, force=force) as stream:
        _write(stream, rows, format_)
    if output is not None:
        echo(f"{len(rows)} trials written to {output}", err=True)
    snapshot.complain()


def _write(stream: TextIO, rows: list[dict[str, Any]], format_: Format) -> None:
    if format_ is Format.JSON:
        json.dump(rows, stream, indent=2)
        stream.write("\n")
        return
    flat = [handing.flat_row(row) for row in rows]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    write_csv(stream, columns, flat)


@reads
def workers(
    name: Annotated[
        str | None,
        typer.Argument(metavar="STUDY", help="Those that train it; by default all workers."),
    ] = None,
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="Also workers that have left, or were lost a day ago.")
    ] = False,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """List workers: host, device, study, trial, epoch, last seen; lost workers are marked."""
    with loading():
        from hpsearch.cli import people

        ledger = open_ledger(storage)
        present = ledger.workers()
    if name is not None:
        ledger.study(name)  # there is one
        present = [worker for worker in present if worker.of(name)]
    if not all_:
        present = [w for w in present if w.state != "left" and w.silent_s < _DAY_S]
    unserved = _unserved(ledger, present)
    if json_:
        print_json([
            {**asdict(worker), "state": worker.state, "lacks": unserved[worker.worker]}
            for worker in present
        ])  # fmt: skip
    elif present:
        people.workers(present)
        people.unserved(present, unserved)
        for study in dict.fromkeys(work.study for one in present for work in one.work):
            _tell_silence(ledger, study)
    elif name is not None:
        echo(f"no worker trains {name}; hpsearch workers lists those of all studies")
    else:
        echo("no worker; hpsearch worker starts one, --all lists those that have left")


def _unserved(ledger: Ledger, present: Sequence[Worker]) -> dict[str, dict[str, str]]:
    """Worker -> open study -> what the study needs and the worker lacks, in words. A study that a
    worker was not started for is no lack."""
    from hpsearch.store.values import lacking, needed

    open_studies = [study for study in ledger.studies() if study.state == "open"]
    unserved: dict[str, dict[str, str]] = {}
    for worker in present:
        lacks = {study.name: lacking(worker.serves, study) for study in open_studies}
        unserved[worker.worker] = {
            name: needed(needs) for name, needs in lacks.items()
            if worker.is_there and needs and f"study {name}" not in needs
        }  # fmt: skip
    return unserved

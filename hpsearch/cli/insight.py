"""next, importance, pictures: what a study that has ended shows, and the one to come."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hpsearch import files
from hpsearch.cli.options import (
    Checkpoints,
    Code,
    Force,
    Json,
    Name,
    Storage,
    named_checkpoints,
    open_ledger,
    print_json,
    reads,
)
from hpsearch.errors import NotFoundError, StudyFileError
from hpsearch.terminal import echo, visible

if TYPE_CHECKING:
    from hpsearch.insight.next_study import Findings
    from hpsearch.insight.report import Snapshot

__all__ = ["importance", "next_", "pictures"]


@reads
def next_(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", show_default="standard output"),
    ] = None,
    force: Force = False,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Print a study file with what to try next, and why."""
    from hpsearch.checkpoints.places import owner
    from hpsearch.cli import show
    from hpsearch.insight import remarks
    from hpsearch.insight.next_study import named, rebased, successor
    from hpsearch.insight.report import Reader
    from hpsearch.spec import write

    ledger = open_ledger(storage)
    snapshot = Reader(ledger, name).snapshot()
    findings = _findings(snapshot)
    if not findings.best and snapshot.diagnosis is None and findings.rate is None:
        raise NotFoundError(
            f"study {name!r} has no trial yet that completed: there is nothing to learn from "
            f"{snapshot.count('PRUNED')} pruned, {snapshot.count('FAIL')} failed"
        )
    studies = ledger.studies()
    taken = {study.name for study in studies}
    spec, notes = successor(snapshot.spec, findings, named(name, taken))
    folder = output.parent if output else Path()
    spec = rebased(spec, Path(snapshot.study.base), folder.resolve())
    if json_:
        print_json(
            {
                "study": spec.filled,
                "why": {".".join(map(str, k)): why for k, why in notes.items()},
            }
        )
        return
    head = "\n".join(visible(line, lines=False) for line in remarks.told(snapshot))
    text = write(spec, head, notes)
    whose = owner(ledger.database, studies, named_checkpoints())
    with files.written(output, whose, force=force) as stream:
        stream.write(text if output else visible(text))
    if output is not None:
        echo(f"written to {output}; {show.call(f'run {output}')} starts it", err=True)
    snapshot.complain()


def _findings(snapshot: Snapshot) -> Findings:
    """What the trials of a study have shown, and the look before the first of them."""
    from hpsearch.insight.diagnosis import Word
    from hpsearch.insight.next_study import Findings

    best = [snapshot.values(trial) for trial in snapshot.searched]
    if snapshot.network is not None:  # of a finish: of the best mean, not of the luckiest trial
        winner = snapshot.values(snapshot.network)
        best = [winner, *(values for values in best if values != winner)]
    ended = [trial for trial in snapshot.trials if trial.state in ("COMPLETE", "PRUNED")]
    diverged = [snapshot.word(trial) is Word.DIVERGED for trial in ended]
    values = [snapshot.values(trial) for trial in ended]
    rate = (snapshot.study.sanity or {}).get("rate")
    return Findings(
        best, snapshot.advised,
        diverged=[v for v, gone in zip(values, diverged, strict=True) if gone],
        trained=[v for v, gone in zip(values, diverged, strict=True) if not gone],
        rate=rate if isinstance(rate, float) else None,
    )  # fmt: skip


@reads
def importance(name: Name, storage: Storage = None, json_: Json = False) -> None:
    """Show which parameters mattered, beside the usual order of importance."""
    from hpsearch.cli import show
    from hpsearch.insight.importance import measure

    found = measure(open_ledger(storage), name, show.note)
    if json_:
        print_json(asdict(found))
    else:
        show.importance(name, found)


@reads
def pictures(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder to write the pictures to.",
            show_default="they are kept beside the checkpoints",
        ),
    ] = None,
    format_: Annotated[
        Literal["png", "svg"], typer.Option("--format", help="Format of the files.")
    ] = "png",
    trial: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Trial to draw.",
            show_default="the best one and those of the finish",
        ),
    ] = None,
    force: Force = False,
    code: Code = None,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Draw a study's pictures: learning curves, errors, boundaries, filters. Pictures that exist
    are not drawn again; see docs/guides/pictures.md."""
    from hpsearch.cli import show
    from hpsearch.insight.words import counted
    from hpsearch.pictures.album import Album

    if output is None and format_ == "svg":
        raise StudyFileError("--format svg is for files of yours: name their folder with -o DIR")
    album = Album(open_ledger(storage), name, checkpoints, code)
    found = (
        album.keep(trial) if output is None else album.write(output, format_, trial, force=force)
    )
    for note in album.notes:
        show.note(note)
    if json_:
        print_json(found)
        return
    if not found:
        raise NotFoundError(
            f"study {name!r} has nothing to show yet: pictures are of trials of two epochs or more"
        )
    echo(f"{counted(len(found), 'picture')} in {output or album.place}:")
    width = max(len(Path(row["file"]).name) for row in found)
    for row in found:
        echo(f"  {Path(row['file']).name:<{width}}  {row['title']}")

"""next, importance, pictures: what a study that has ended shows, and the one to come."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from hpsearch import files
from hpsearch.api.succession import next_study
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
    from hpsearch.spec import write

    ledger = open_ledger(storage)
    following = next_study(ledger, name, output.parent if output else Path())
    spec, notes, snapshot = following.spec, following.notes, following.snapshot
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
    whose = owner(ledger.database, ledger.studies(), named_checkpoints())
    with files.written(output, whose, force=force) as stream:
        stream.write(text if output else visible(text))
    if output is not None:
        echo(f"written to {output}; {show.call(f'run {output}')} starts it", err=True)
    snapshot.complain()


@reads
def importance(name: Name, storage: Storage = None, json_: Json = False) -> None:
    """Show which parameters mattered, beside the usual order of importance."""
    from hpsearch.cli import show
    from hpsearch.insight.importance import measure

    measured = measure(open_ledger(storage), name, show.note)
    if json_:
        print_json(asdict(measured))
    else:
        show.importance(name, measured)


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

    if output is None and format_ == "svg":
        raise StudyFileError("--format svg is for files of yours: name their folder with -o DIR")
    ledger = open_ledger(storage)
    ledger.study(name)  # whether there is one is said before PyTorch is loaded
    from hpsearch.pictures.album import Album

    album = Album(ledger, name, checkpoints, code)
    entries = (
        album.keep(trial) if output is None else album.write(output, format_, trial, force=force)
    )
    for note in album.notes:
        show.note(note)
    if json_:
        print_json(entries)
        return
    if not entries:
        raise NotFoundError(album.why_none(trial))
    echo(f"{counted(len(entries), 'picture')} in {output or album.place}:")
    width = max(len(Path(row["file"]).name) for row in entries)
    for row in entries:
        echo(f"  {Path(row['file']).name:<{width}}  {row['title']}")

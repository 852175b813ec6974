"""init, import, import-trials: the way into hpsearch."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch import files
from hpsearch.cli.options import (
    Force,
    Json,
    Name,
    Storage,
    check_free,
    limit_threads,
    open_ledger,
    owner_of,
    print_json,
    reads,
)
from hpsearch.errors import StudyFileError
from hpsearch.terminal import echo, visible

if TYPE_CHECKING:
    from hpsearch.begin import Draft

__all__ = ["import_", "import_trials", "init"]

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Study file to write; - for standard "
                 "output.", show_default="NAME.yaml here"),
]  # fmt: skip


def init(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help="A table, a folder of images, arrays, or a training "
                       "script.", show_default="what is found in this folder"),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What is to be predicted.")
    ] = None,
    output: Output = None,
    example: Annotated[
        str | None, typer.Option(metavar="NAME", help="Write a study that comes with hpsearch.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List those studies.")] = False,
    untimed: Annotated[
        bool, typer.Option("--untimed", help="Train nothing: a plain budget, without PyTorch.")
    ] = False,
    force: Force = False,
    storage: Storage = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Write a first study file for your data, with the reasons in its comments."""
    if list_ or example is not None:
        if data is not None or target is not None:
            raise StudyFileError("--example and --list take no DATA and no --target")
        _examples(example, output, force=force, storage=storage, as_json=json_)
        return
    data = _only_candidate(output) if data is None else data
    from hpsearch.begin import draft_of
    from hpsearch.cli import console

    folder = _folder_of(output)
    draft = draft_of(data, folder, target)
    file = output or Path(f"{draft.content['name']}.yaml")
    owner = owner_of(file, storage, _data(data))
    check_free(file, owner, force=force)
    took = _budgeted(draft, folder, untimed=untimed)
    if json_:
        why = {".".join(map(str, path)): note for path, note in draft.notes.items()}
        print_json({"file": str(file), "study": draft.spec(folder).filled, "why": why,
                    "about": draft.head})  # fmt: skip
    calls = [
        (
            console.call(f"check {shlex.quote(str(file))}"),
            "what is searched, and how the data is read",
        ),
        (console.call(f"run {shlex.quote(str(file))}"), "search; the same command continues it"),
    ]
    calls = [] if str(file) == "-" else calls
    _write(draft, file, folder, calls, owner, force=force, quiet=json_)
    if str(file) != "-" and not json_:
        _say(draft, file, folder, took, calls)


def _folder_of(output: Path | None) -> Path:
    return Path() if output is None or str(output) == "-" else output.parent


def _only_candidate(output: Path | None) -> Path:
    """What is in this folder, where that is one thing; StudyFileError else, which says how to
    begin."""
    from hpsearch.begin import TAKES, candidates
    from hpsearch.cli import console

    tables = candidates(Path())
    if len(tables) == 1:
        console.note(f"found {tables[0]}")
        return tables[0]
    option = f" -o {shlex.quote(str(output))}" if output else ""
    paths = [shlex.quote(str(path)) for path in tables[:20]]
    lines = [f"  {console.call(f'init {path}{option}')}" for path in paths]
    first = "several things here could be searched; name one:"
    if not tables:
        first = "nothing here looks like data; hpsearch init DATA takes"
        takes = [*TAKES, ("--example NAME", "a study that comes with hpsearch; --list names all")]
        wide = max(len(name) for name, _ in takes)
        lines = [f"  {name:<{wide}}  {does}" for name, does in takes]
    raise StudyFileError("\n".join([first, *lines]))


def _budgeted(draft: Draft, folder: Path, *, untimed: bool) -> str:
    """Give the study of a network its budget; how long it takes, in words, "" where that is not
    known."""
    from hpsearch.begin import budget
    from hpsearch.cli.console import note

    if "train" in draft.content:
        draft.spec(folder)
        return ""
    budget.suited(draft, folder)
    if untimed:
        final = f"hpsearch final {draft.content['name']} has one afterwards"
        draft.note(("budget",), "not timed: hpsearch plan says what this takes",
                   f"no finish, as that takes several trainings more: {final}")  # fmt: skip
        return ""
    from hpsearch.fleet import local_devices, spread

    seats = spread(local_devices(), None, None)
    limit_threads(seats[0].threads)
    note("timing a few steps ...")
    planned = budget.settle(draft, folder, seats)
    if planned is None:
        return ""
    from hpsearch.insight.words import about, counted, duration

    took = f"{about(planned.work_s)} of training, more to start and to draw pictures"
    with_ = counted(planned.workers, "worker")
    untested = f"no finish, to save time: hpsearch final {draft.content['name']} has one afterwards"
    draft.note(
        ("budget",),
        f"{took}, here and with {with_}: one epoch of one trial alone takes "
        f"{duration(planned.epoch_s.expected)}. A third of the trials continue after epoch 1, "
        "a ninth after epoch 3, ...",
        *([] if "final" in draft.content else [untested]),
    )
    if "final" in draft.content:
        draft.note(("final",), "then the best and the default again, from other seeds, and the "
                   "test part once: an honest figure")  # fmt: skip
    return took


def _write(
    draft: Draft, file: Path, folder: Path, calls: list[tuple[str, str]],
    owner: Callable[[Path], str | None], *, force: bool, quiet: bool = False,
) -> None:  # fmt: skip
    from hpsearch.begin import study_text

    if quiet and str(file) == "-":
        return
    text = study_text(draft, folder, calls)
    with files.written(file, owner, force=force) as stream:
        stream.write(visible(text) if str(file) == "-" else text)
    _put_schema(file)


def _put_schema(file: Path) -> None:
    """Beside a study file what an editor completes and checks it by, where there is none yet."""
    from hpsearch.spec import SCHEMA, schema

    place = file.parent / SCHEMA
    is_stream = str(file) == "-" or str(file).startswith("/dev/")
    if not is_stream and not place.exists():
        files.put(place, f"{json.dumps(schema(), indent=2)}\n".encode(), lambda _: None)


def _data(path: Path | None) -> dict[Path, str]:
    """What is read, and so never written over."""
    return {} if path is None else {path: "the data"}


def _say(
    draft: Draft, file: Path, folder: Path, took: str, calls: list[tuple[str, str]]
) -> None:  # fmt: skip
    spec = draft.spec(folder)
    time = f", {took}" if took else ""
    for sentence in draft.head:
        echo(sentence, err=True)
    echo(f"{file} is written: {spec.budget.trials} trials for the best {spec.metric}{time}",
         err=True)  # fmt: skip
    wide = max(len(call) for call, _ in calls)
    for call, does in calls:
        echo(f"  {call:<{wide}}   {does}", err=True)


def _examples(
    name: str | None, output: Path | None, *, force: bool, storage: str | None, as_json: bool
) -> None:
    from hpsearch.begin import examples
    from hpsearch.cli import console

    if name is None:
        names = examples.names()
        if as_json:
            print_json(names)
            return
        wide = max(map(len, names))
        for known_name, about in names.items():
            console.out.print(f"{known_name:<{wide}}  {about}", overflow="ellipsis", no_wrap=True)
        return
    file, *others = examples.files_of(name)
    target = output or Path(file.name)
    folder = _folder_of(target)
    new = [(target, file), *((folder / one.name, one) for one in others)]
    # What is there already and is the same is left alone: studies share a schema and data.
    due = [(place, one) for place, one in new
           if not (place.is_file() and place.read_bytes() == one.read_bytes())]  # fmt: skip
    for place, _ in due:
        check_free(place, owner_of(place, storage), force=force)
    for place, one in due:
        files.put(place, one.read_bytes(), owner_of(place, storage), force=force)
    if as_json:
        print_json([str(place) for place, _ in new])
        return
    echo(f"written: {', '.join(str(place) for place, _ in new)}", err=True)
    echo(f"  {console.call(f'run {shlex.quote(str(target))}')}", err=True)


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A W&B sweep or a Katib experiment (YAML).")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="STUDY.yaml", help="Study file to write.",
                     show_default="standard output"),
    ] = None,
    force: Force = False,
    storage: Storage = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Make a study file of a W&B sweep or a Katib experiment; report what has no counterpart."""
    from hpsearch.cli import console
    from hpsearch.convert import converted, read_foreign, study_text

    study = converted(read_foreign(file), file.stem)
    folder = _folder_of(output)
    text = study_text(study, file.name, folder)
    if json_:
        print_json({"program": study.program, "study": study.content, "lost": study.lost})
    if not json_ or output is not None:
        with files.written(
            output, owner_of(output or file, storage, _data(file)), force=force
        ) as stream:
            stream.write(text if output else visible(text))
    if output is not None:
        _put_schema(output)
    for one in study.lost:
        console.note(f"no counterpart: {one}")
    if output is not None:
        start = console.call(f"run {shlex.quote(str(output))}")
        echo(f"written to {output}; {start} starts it", err=True)


@reads
def import_trials(
    name: Name,
    from_: Annotated[
        str,
        typer.Option("--from", metavar="URL|FILE", help="Database of Optuna, such as "
                     "sqlite:///old.db, or a table with a row a trial."),
    ],
    study: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Study of that database.", show_default="its only one"),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of that table with the metric.",
                     show_default="the metric's name, or value"),
    ] = None,
    storage: Storage = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Let a study's samplers learn from finished trials of elsewhere, outside of its budget.

    They are no trials of the study: never its best, and not in its reports. Importing the same
    again adds nothing.
    """
    from hpsearch.api import steering
    from hpsearch.cli import console

    knowledge = steering.import_trials(open_ledger(storage), name, from_, study, value)
    if json_:
        print_json({"from": knowledge.origin, "fitting": knowledge.fitting, "new": knowledge.new,
                    "left_out": knowledge.left_out})  # fmt: skip
    else:
        echo(str(knowledge))
    for note in knowledge.notes:
        console.note(note)

"""The page of the command line, made from the commands themselves; `docs/make.py` writes it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from hpsearch.cli import app
from hpsearch.errors import EXIT_CODES

HEAD = """\
# Commands

Every command has `--help`, and most have `--json`. Data goes to standard output, everything else to
standard error. This page is made from the code by `docs/make.py`.
"""


DATA = "Folder with the data sets that torchvision downloads, where `data.root` names none."
MLFLOW = "URI of an MLflow server; it overrides `track.mlflow` of studies."
TRIALS = """\
What a trial of your own code finds in its environment is in
[Any command](../guides/any-command.md).
"""


def page() -> str:
    """The page: the commands by their panels, then the exit codes and variables."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield HEAD
    root: Any = get_command(app)
    panels: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        panels.setdefault(command.rich_help_panel, []).append(name)
    context = typer.Context(root, info_name="hpsearch")
    for panel, names in panels.items():
        yield f"## {panel}\n"
        for name in names:
            yield from _command(root.commands[name], name, context)
    yield "## Exit codes\n"
    yield "| code | meaning |\n|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in sorted(EXIT_CODES.items()))
    yield ""
    yield "## Environment variables\n"
    yield "| variable | stands for |\n|---|---|"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in sorted(_variables(root)))
    yield f"\n{TRIALS}"


def _variables(root: Any) -> Iterator[tuple[str, str]]:
    """Each variable that an option can be given by, and those that workers read alone."""
    yield "HPSEARCH_DATA", DATA
    yield "HPSEARCH_MLFLOW", MLFLOW
    pending, seen = [root], set[str]()
    while pending:
        command = pending.pop()
        pending += getattr(command, "commands", {}).values()
        for parameter in command.params:
            variable = getattr(parameter, "envvar", None)
            if variable is not None and variable not in seen:
                seen.add(variable)
                yield variable, f"`{max(parameter.opts, key=len)}`: {_cell(parameter.help)}"


def _command(command: Any, name: str, parent: typer.Context) -> Iterator[str]:
    """A command: how it is called, what it does, its arguments and options."""
    context = typer.Context(command, info_name=name, parent=parent)
    yield f"### {context.command_path}\n"
    yield f"```\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    if rows := [row for p in command.params if (row := _parameter(p, context)) is not None]:
        yield "| option | meaning |\n|---|---|"
        yield from (f"| {option} | {meaning} |" for option, meaning in rows)
        yield ""
    for sub, below in getattr(command, "commands", {}).items():
        yield from _command(below, sub, context)


def _parameter(parameter: Any, context: typer.Context) -> tuple[str, str] | None:
    """Option and meaning of a parameter; None of one that is hidden, and of `--help`."""
    if getattr(parameter, "hidden", False) or parameter.name == "help":
        return None
    names, meaning = parameter.get_help_record(context)
    return f"`{names}`", _cell(meaning)


def _cell(text: str) -> str:
    """A text within a table."""
    return " ".join(text.split()).replace("|", "\\|")

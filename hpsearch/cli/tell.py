"""tell: a report of own training, from a program in any language."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer

from hpsearch.errors import HpsearchError, line

__all__ = ["tell"]


def tell(
    numbers: Annotated[
        list[str], typer.Argument(metavar="NAME=NUMBER", help="Such as accuracy=0.93.")
    ],
    epoch: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="The epoch that has ended.", show_default="the next"),
    ] = None,
) -> None:
    """Report an epoch from within a command that a study runs (train.command)."""
    report: dict[str, float] = {} if epoch is None else {"epoch": epoch}
    for text in numbers:
        name, equals, number = text.partition("=")
        try:
            report[name] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise typer.BadParameter(f"expected NAME=NUMBER, such as accuracy=0.93; got {text}")
    place = os.environ.get("HPSEARCH_REPORT")
    if place is None:
        raise HpsearchError(
            "HPSEARCH_REPORT is not set: hpsearch tell is for commands that a study runs "
            "(train.command)"
        )
    words = json.dumps(report)  # with Python's own word for what is not finite, as the reader is
    try:
        with open(place, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(words + "\n")
    except OSError as error:
        raise HpsearchError(f"cannot report to {place}: {line(error)}") from error

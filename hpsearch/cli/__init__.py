"""The command line: parse, call one function, print, exit code; nothing else."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from hpsearch import passwords
from hpsearch._version import __version__
from hpsearch.cli import (
    checking,
    control,
    handover,
    insight,
    inspect,
    launch,
    logs,
    planning,
    ranging,
    reporting,
    starting,
    system,
    tell,
)
from hpsearch.errors import EXIT_CODES, INTERRUPTED, HpsearchError
from hpsearch.terminal import echo, visible, wrapped

__all__ = ["app", "main"]

_CODES = "\n\n".join(f"{code}: {meaning}" for code, meaning in EXIT_CODES.items())


class _Commands(TyperGroup):
    """Usage errors quote what was typed, which may be a URL with its password."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _hidden_usage_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _hidden_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _hidden_usage_errors() -> Iterator[None]:
    try:
        yield
    except typer.TyperException as error:
        # Before Typer lays it out: a word that is broken over two lines is found no more.
        error.message = visible(passwords.hide(error.message))
        raise


app = typer.Typer(
    name="hpsearch",
    cls=_Commands,
    help="Hyperparameter search for PyTorch networks: one study file, one SQL database, "
    "any number of workers.",
    epilog=f"Exit codes\n\n{_CODES}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

SEARCH, LOOK, STEER, SYSTEM = "Search", "Look", "Steer", "System"

app.command(rich_help_panel=SEARCH)(starting.init)
app.command(rich_help_panel=SEARCH)(launch.run)
app.command(rich_help_panel=SEARCH)(launch.submit)
app.command(rich_help_panel=SEARCH)(launch.worker)
app.command(rich_help_panel=SEARCH)(launch.fleet)
app.command(rich_help_panel=SEARCH)(checking.check)
app.command(rich_help_panel=SEARCH)(planning.plan)
app.command(rich_help_panel=SEARCH)(ranging.lr)
app.command("import", rich_help_panel=SEARCH)(starting.import_)
app.command("import-trials", rich_help_panel=STEER)(starting.import_trials)
app.command(rich_help_panel=LOOK)(inspect.status)
app.command(rich_help_panel=LOOK)(inspect.watch)
app.command(rich_help_panel=LOOK)(inspect.trials)
app.command(rich_help_panel=LOOK)(inspect.best)
app.command(rich_help_panel=LOOK)(logs.logs)
app.command(rich_help_panel=LOOK)(handover.predict)
app.command(rich_help_panel=LOOK)(reporting.report)
app.command(rich_help_panel=LOOK)(reporting.compare)
app.command(rich_help_panel=LOOK)(inspect.export)
app.command("next", rich_help_panel=LOOK)(insight.next_)
app.command(rich_help_panel=LOOK)(insight.importance)
app.command(rich_help_panel=LOOK)(insight.pictures)
app.command(rich_help_panel=LOOK)(inspect.workers)
app.command(rich_help_panel=LOOK)(system.dashboard)
app.command(rich_help_panel=STEER)(control.pause)
app.command(rich_help_panel=STEER)(control.resume)
app.command(rich_help_panel=STEER)(control.stop)
app.command(rich_help_panel=STEER)(control.extend)
app.command(rich_help_panel=STEER)(control.final)
app.command(rich_help_panel=STEER)(control.schedule)
app.command(rich_help_panel=STEER)(control.retry)
app.command(rich_help_panel=STEER)(control.delete)
app.add_typer(system.db, name="db", rich_help_panel=SYSTEM)
app.command(rich_help_panel=SYSTEM)(system.schema)
app.command(rich_help_panel=SYSTEM)(system.doctor)
app.command(rich_help_panel=SYSTEM)(tell.tell)


def _print_version(asked: bool) -> None:
    if asked:
        echo(f"hpsearch {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)


def _interrupt() -> None:
    """Do to the main thread what Ctrl-C does; it may be waiting, for the system or in a library."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        main_thread = threading.main_thread().ident
        assert main_thread is not None
        signal.pthread_kill(main_thread, signal.SIGINT)


_AGAIN_S = 0.1
"""By then the callback is over."""


def _hear_interrupts() -> None:
    """Let no Ctrl-C be lost: Python drops what is raised in the callback of a weak reference, or
    while an object is taken apart. It is raised again, a moment later."""
    hook = sys.unraisablehook

    def again(args: sys.UnraisableHookArgs) -> None:
        if issubclass(args.exc_type, KeyboardInterrupt):
            timer = threading.Timer(_AGAIN_S, _interrupt)
            timer.daemon = True
            timer.start()
        else:
            hook(args)

    sys.unraisablehook = again


def _drop_output() -> None:
    """Python would complain once more when it flushes standard output at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Anyone who started this may have closed its output, which is then None to Python."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # for good
            setattr(sys, name, stream)


def main() -> None:
    """Run the command line; every expected error is one message and a named exit code."""
    try:
        _open_streams()
        settings = (value for name, value in os.environ.items() if name.startswith("HPSEARCH_"))
        passwords.learn(*sys.argv[1:], *settings)
        passwords.install()
        _hear_interrupts()
        # As Ctrl-C does: what a command has begun it ends in order.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # Not app(): that would put Typer's own hook for tracebacks in place of ours.
        try:
            typer.main.get_command(app)(prog_name="hpsearch")
        finally:
            sys.stdout.flush()  # what goes wrong with that can still be said here
    except HpsearchError as error:
        echo(wrapped(visible(f"hpsearch: {passwords.hide(error)}"), sys.stderr), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_output()  # the reader has left, as that of `hpsearch trials | head` does
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        echo(f"hpsearch: cannot write any more: {error.strerror}", err=True)
        sys.exit(1)

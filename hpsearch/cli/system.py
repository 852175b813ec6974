"""dashboard, db, schema, doctor: the surroundings of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.options import Checkpoints, Json, Storage, open_ledger, print_json
from hpsearch.terminal import echo

__all__ = ["check_database", "dashboard", "db", "doctor", "init", "schema", "upgrade"]

db = typer.Typer(help="Prepare and check the database.", no_args_is_help=True)


def dashboard(
    host: Annotated[
        str, typer.Option(help="Address to bind to; one beyond this machine needs a login.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port to listen on; 0: any that is free."),
    ] = 8080,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Refuse whatever changes or deletes.")
    ] = False,
    user: Annotated[
        str | None, typer.Option(envvar="HPSEARCH_DASHBOARD_USER", help="User of the login.")
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            envvar="HPSEARCH_DASHBOARD_PASSWORD_FILE",
            help="File with the password of the login; a newline at its end is ignored.",
        ),
    ] = None,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
) -> None:
    """Serve optuna-dashboard over the database.

    It listens on this machine only, unless there is a login: without one, another host is an error
    (2). The login is sent unencrypted; put a proxy with TLS in front. /healthz needs no login.
    """
    from hpsearch.dashboard import read_login, serve

    login = read_login(user, password_file)

    def ready(address: str) -> None:
        manner = [word for word, is_set in (("read-only", read_only), ("login", login)) if is_set]
        echo(f"dashboard at {address} ({', '.join([*manner, 'Ctrl-C ends it'])})")

    database = open_ledger(storage, make=True).database
    serve(
        database, host, port, ready, login=login, read_only=read_only, checkpoints=checkpoints
    )  # fmt: skip


@db.command()
def init(storage: Storage = None) -> None:
    """Create missing tables."""
    echo(f"{open_ledger(storage, make=True).database.name} is ready")


@db.command()
def upgrade(storage: Storage = None) -> None:
    """Bring a database of an earlier version up to date; a SQLite file is copied first.

    Stop all workers first: while one is signed on, this is refused (5). It can be killed and run
    again.
    """
    from hpsearch.cli.show import note
    from hpsearch.store import upgrades
    from hpsearch.store.engine import Database, storage_url
    from hpsearch.store.ledger import Ledger

    database = Database(storage_url(storage))
    if upgrades.pending(database) is not None and database.file is None:
        note("no copy is made of a server's database; keep a dump of it (pg_dump, mariadb-dump)")
    done = upgrades.upgrade(database)
    Ledger(database).name_metrics()
    if done.before == done.after:
        echo(f"{database.name} is up to date: schema {done.after}")
        return
    copy = f"; as it was: {done.copy}" if done.copy else ""
    echo(f"{database.name} has schema {done.after} now, {done.before} before{copy}")


@db.command("check")
def check_database(storage: Storage = None, json_: Json = False) -> None:
    """Check whether the database can be reached and used; changes nothing."""
    from hpsearch.preflight.doctor import check_database

    facts = check_database(storage)
    if json_:
        print_json(facts)
    else:
        for key, value in facts.items():
            echo(f"{key}: {value}")


def schema() -> None:
    """Print the JSON Schema of study files, so that editors complete and check them."""
    from hpsearch.spec import schema as make

    print_json(make())


def doctor(storage: Storage = None, json_: Json = False) -> None:
    """Check devices, database, data and versions: what works, and how to fix the rest."""
    from hpsearch.cli import show
    from hpsearch.preflight.doctor import examine

    findings = examine(storage)
    if json_:
        print_json([finding.as_dict() for finding in findings])
    else:
        show.findings(findings)
    if any(finding.needed and not finding.works for finding in findings):
        raise typer.Exit(1)

"""What hpsearch 0.1.0 left behind, as `tests/data/v1` has it: put into place for a test."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hpsearch.store.engine import Database

__all__ = ["DATA", "EXPECTED", "put"]

DATA = Path(__file__).parent / "data" / "v1"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text())
"""What the commands of 0.1.0 printed of it."""


def put(url: str, folder: Path) -> None:
    """The database of 0.1.0 at `url`, and in `folder` all that lay beside it, checkpoints included.

    Its three studies are `finished`, with a finish; `table`, of a CSV; and `unfinished`, which was
    stopped in the middle of three trials.
    """
    shutil.copytree(DATA, folder, dirs_exist_ok=True)
    database = Database(url)
    file = database.file or folder / "rows.db"
    file.write_bytes(gzip.decompress((DATA / "hpsearch.db.gz").read_bytes()))
    if database.file is None:
        _copy(Database(f"sqlite:///{file}"), database)
        file.unlink()
    moved = sa.text("UPDATE hpsearch_studies SET base = :base")
    database.write(lambda connection: connection.execute(moved, {"base": str(folder)}))
    database.close()


def _copy(source: Database, target: Database) -> None:
    """The rows of a SQLite file in the tables that 0.1.0 made on a server."""
    name = "postgresql" if target.backend == "postgresql" else "mariadb"
    statements = (DATA / f"{name}.sql").read_text().split(";\n")
    tables, there = sa.MetaData(), sa.MetaData()
    with source.read() as reader:
        tables.reflect(reader)

        def replay(connection: sa.Connection) -> None:
            for statement in filter(str.strip, statements):
                connection.exec_driver_sql(statement)
            there.reflect(connection)
            for table in there.sorted_tables:
                rows = reader.execute(sa.select(tables.tables[table.name])).mappings().all()
                if rows:
                    connection.execute(sa.insert(table), [dict(row) for row in rows])
                if name == "postgresql" and rows:
                    _count_on(connection, table)

        target.write(replay)
    source.close()


def _count_on(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL counts for itself: the next number is one that no row has."""
    for column in table.primary_key:
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        if connection.execute(sa.select(sequence)).scalar():
            most = sa.select(sa.func.max(column)).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(sequence, most)))

"""Makes the files beside it, by hpsearch 0.1.0: see README.md."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import hpsearch
from hpsearch.store.engine import Database
from hpsearch.store.tables import prepare

HERE = Path(__file__).parent
STUDY = Path("/srv/study")
"""Where the studies are run; the tests write another folder in its place."""
ROWS = "length,width,colour\n2.0,1.0,red\n3.1,1.4,blue\n,2.2,white\n4.0,2.0,red\n"
STOP_AT = 7
"""Of `unfinished` the epoch of a stack before which its worker is stopped: three trials have ended,
three are in the middle of their epochs, one has not begun."""


def command(folder: Path, *args: str) -> str:
    """What `hpsearch` prints."""
    words = [sys.executable, __file__, "--", *args]
    done = subprocess.run(words, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def as_hpsearch() -> None:
    """Run the command, as if on a machine called `host`; with STOP set, until it stops itself."""
    from hpsearch.cli import main
    from hpsearch.training.array import Array

    socket.gethostname = lambda: "host"
    epoch, count = Array.epoch, 0

    def counted(array: Array) -> object:
        nonlocal count
        count += 1
        if count == int(os.environ.get("STOP", "0")):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(2)  # until another thread has noticed
        return epoch(array)

    Array.epoch = counted  # type: ignore[method-assign, assignment]
    sys.argv[:] = ["hpsearch", *sys.argv[2:]]
    main()


def search(folder: Path, *names: str, stop: int | None = None) -> None:
    for name in names:
        shutil.copy(HERE / f"{name}.yaml", folder)
        command(folder, "submit", f"{name}.yaml")
        os.environ["STOP"] = str(stop or 0)
        command(folder, "worker", name, "--until-done")
        os.environ.pop("STOP")


def dump() -> None:
    """The tables that hpsearch 0.1.0 makes on servers, as SQL."""
    import sqlalchemy as sa

    for backend in ("postgresql", "mariadb"):
        database = Database(os.environ[f"{backend.upper()}_URL"])
        statements: list[str] = []

        @sa.event.listens_for(database.engine, "before_cursor_execute")
        def note(
            _c: object, _cursor: object, text: str, *_: object, of: object = statements
        ) -> None:
            if text.strip().startswith("CREATE"):
                of.append(text.strip().replace("\t", "") + ";\n")  # type: ignore[attr-defined]

        prepare(database)
        (HERE / f"{backend}.sql").write_text("\n".join(statements))


def packed(name: str, content: bytes) -> None:
    (HERE / name).write_bytes(gzip.compress(content, mtime=0))


def make() -> None:
    assert hpsearch.__version__ == "0.1.0", hpsearch.__version__
    STUDY.mkdir()
    shutil.copy(HERE / "flowers.csv", STUDY)
    (STUDY / "rows.csv").write_text(ROWS)
    search(STUDY, "finished", "table")
    expected = {}
    for name in ("finished", "table"):
        for verb in ("status", "trials", "best"):
            expected[f"{verb} {name}"] = json.loads(command(STUDY, verb, name, "--json"))
        expected[f"export {name}"] = command(STUDY, "export", name)
        command(STUDY, "best", name, "--save", f"{name}-network")
    expected["predict"] = json.loads(
        command(STUDY, "predict", "table-network", "rows.csv", "--json")
    )
    expected["test"] = json.loads(command(STUDY, "predict", "finished-network", "--test", "--json"))
    (STUDY / "whole").mkdir()
    search(STUDY / "whole", "unfinished")
    expected["trials unfinished"] = json.loads(
        command(STUDY / "whole", "trials", "unfinished", "--json")
    )
    search(STUDY, "unfinished", stop=STOP_AT)
    expected["status unfinished"] = json.loads(command(STUDY, "status", "unfinished", "--json"))
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (HERE / "rows.csv").write_text(ROWS)
    file = STUDY / "hpsearch.db"
    with sqlite3.connect(file) as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = DELETE")
    packed("hpsearch.db.gz", file.read_bytes())
    dump()
    for name in ("hpsearch.checkpoints", "finished-network", "table-network"):
        shutil.rmtree(HERE / name.replace("hpsearch.", ""), ignore_errors=True)
        shutil.copytree(STUDY / name, HERE / name.replace("hpsearch.", ""))
    shutil.rmtree(STUDY)


if __name__ == "__main__":
    as_hpsearch() if sys.argv[1:2] == ["--"] else make()

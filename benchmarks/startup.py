"""How long the first answer takes: `hpsearch --help`, and the first epoch of `hpsearch run`.

    python -m benchmarks.startup [--rounds 5]

The floor beside the latter is `python -c "import optuna, torch"`: a search by hand begins there.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.turns import (
    ROOT,
    Case,
    FailedError,
    Goal,
    Side,
    arguments,
    environment,
    in_turn,
    timed,
)

__all__ = ["main"]

_POLL_S = 0.01
_LONGEST_S = 120.0


def main() -> None:
    """Run the cases."""
    cases = [
        Case("help", "hpsearch --help", [Side("hpsearch", _help)], Goal(seconds=0.4)),
        Case(
            "first-epoch", "hpsearch run studies/digits.yaml, to the first epoch in the database",
            [Side("hpsearch", _first_epoch), Side("import optuna, torch", _floor)],
            Goal(seconds=6.0),
        ),
    ]  # fmt: skip
    in_turn("startup", cases, arguments(__doc__))


def _help(folder: Path) -> dict[str, Any]:
    return {"seconds": timed([sys.executable, "-m", "hpsearch", "--help"], folder)}


def _floor(folder: Path) -> dict[str, Any]:
    return {"seconds": timed([sys.executable, "-c", "import optuna, torch"], folder)}


def _first_epoch(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "hpsearch", "run", str(ROOT / "studies" / "digits.yaml"),
               "--storage", "sqlite:///study.db"]  # fmt: skip
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not _reported(folder / "study.db"):
            if process.poll() is not None or time.perf_counter() - begin > _LONGEST_S:
                raise FailedError(f"hpsearch run reported nothing; exit code {process.returncode}")
            time.sleep(_POLL_S)
        return {"seconds": time.perf_counter() - begin}
    finally:
        process.terminate()
        process.wait()


def _reported(database: Path) -> bool:
    """Whether any trial has a value there. To look must not make the file."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT count(*) FROM trial_intermediate_values")
            return bool(found.fetchone()[0])
    except sqlite3.OperationalError:
        return False  # not there yet, or its tables are being made


if __name__ == "__main__":
    main()

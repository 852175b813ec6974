"""The command as a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from benchmarks.turns import ROOT, FailedError, environment

__all__ = ["Subprocess"]

_LINES = 20


class Subprocess:
    """`hpsearch` in an empty folder, with a SQLite database there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        kept = {k: v for k, v in os.environ.items() if k == "HPSEARCH_DATA"}
        self._environment = environment(
            **kept, HPSEARCH_STORAGE=f"sqlite:///{folder / 'hpsearch.db'}",
            HPSEARCH_CHECKPOINTS=str(folder / "checkpoints"),
        )  # fmt: skip

    def run(self, *words: object) -> str:
        """What it printed. FailedError where its exit code is not 0."""
        command = [sys.executable, "-m", "hpsearch", *map(str, words)]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, text=True, capture_output=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-_LINES:])
            raise FailedError(f"{shlex.join(command[2:])} ended with {done.returncode}\n{said}")
        return done.stdout

    def file(self, name: str) -> str:
        """The path of a shipped study."""
        return str(ROOT / "studies" / name)

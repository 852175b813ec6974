"""The real command in real processes, forked from one that has loaded PyTorch: `tests.zygote`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.acceptance.chaos import hooks
from tests.zygote import Job, Process

HPSEARCH = (sys.executable, "-m", "hpsearch")
STUDIES = Path(__file__).parents[2] / "studies"


class Command:
    """`hpsearch` in a folder of its own, against one database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HPSEARCH_")},
            "HPSEARCH_STORAGE": url,
            "HPSEARCH_CHECKPOINTS": str(folder / "checkpoints"),
            "OMP_NUM_THREADS": "1",
            "LOKY_MAX_CPU_COUNT": "1",  # a machine of one core: one worker where none are asked for
            "COLUMNS": "80",
            "HPSEARCH_NO_PICTURES": "1",  # seconds of a core each; their own tests draw
        }
        if "HPSEARCH_DATA" in os.environ:
            self.env["HPSEARCH_DATA"] = os.environ["HPSEARCH_DATA"]
        self.started: list[subprocess.Popen[str]] = []
        self.hooks: list[Callable[[], None]] = []
        """Called in each of its processes but fresh ones, and so in the workers that they fork."""

    def file(self, text: str, name: str = "study.yaml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def run(
        self,
        *args: object,
        code: int = 0,
        timeout: float = 240,
        stdin: str = "",
        fresh: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run to its end; the exit code must be the one expected, and no traceback seen.

        `fresh` starts Python anew, in a second or two: for what is seen of the start alone.
        """
        process = self._begin(args, fresh, stdin=subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(stdin, timeout)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *args: object) -> Any:
        return json.loads(self.run(*args, "--json").stdout)

    def start(self, *args: object, fresh: bool = False) -> subprocess.Popen[str]:
        """Start in a process group of its own, as a shell does."""
        self.started.append(self._begin(args, fresh, stdin=subprocess.DEVNULL))
        return self.started[-1]

    def _begin(self, args: Sequence[object], fresh: bool, stdin: int) -> subprocess.Popen[str]:
        words = list(map(str, args))
        streams: dict[str, Any] = {
            "stdin": stdin,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        if not fresh:
            return Process(Job(words, self.env, self.folder, self.hooks), **streams)
        return subprocess.Popen(
            [*HPSEARCH, *words], cwd=self.folder, env=self.env, text=True, start_new_session=True,
            **streams,
        )  # fmt: skip


def wait_until(
    command: Command, happened: Callable[[Ledger], object], running: subprocess.Popen[str]
) -> None:
    """Until the ledger says so, while that process runs: to ask a command costs a process."""
    ledger, deadline = Ledger(Database(command.url)), time.monotonic() + 60
    while not happened(ledger):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="session", autouse=True)
def _children_heed_ctrl_c() -> None:
    """A shell without job control has background commands, and theirs, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_command(tmp_path: Path) -> Iterator[Callable[[str], Command]]:
    """A command against a database; what it left running is killed afterwards."""
    made: list[Command] = []

    def make(url: str) -> Command:
        made.append(Command(tmp_path, url))
        return made[-1]

    yield make
    for command in made:
        for process in command.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def command(make_command: Callable[[str], Command], bare_sqlite_url: str) -> Command:
    """A command against a SQLite database that is yet to be made."""
    return make_command(bare_sqlite_url)


def unhurried(make_command: Callable[[str], Command]) -> Callable[[str], Command]:
    """Commands whose workers take their time for an epoch without a load, so that what a test does
    to a trial comes in the middle of it. `hurry` lets them all hurry, `hooks.clear()` the ones to
    come."""

    def make(url: str) -> Command:
        command = make_command(url)
        gate = command.folder / _SLOWLY
        gate.touch()
        command.hooks.append(partial(hooks.pace, 0.4, gate))
        return command

    return make


_SLOWLY = "slowly"


def hurry(command: Command) -> None:
    """From now on the workers of an unhurried command hurry, those that run among them."""
    (command.folder / _SLOWLY).unlink()


def digits(
    name: str = "s",
    *,
    parameters: str,
    sampler: str = "random",
    pruner: str = "none",
    budget: str = "{trials: 4, epochs: 2}",
    stack: int | str = "auto",
    extra: Sequence[str] = (),
) -> str:
    """A small study on digits."""
    return "\n".join(
        [
            f"name: {name}",
            "data: {source: digits, limit: 300}",
            "network: {family: mlp}",
            f"parameters: {parameters}",
            f"search: {{sampler: {sampler}, pruner: {pruner}, stack: {stack}}}",
            f"budget: {budget}",
            *extra,
            "",
        ]
    )

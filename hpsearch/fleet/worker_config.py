"""What a worker is told, where it belongs, and what a launcher is."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hpsearch.processes.process import End
from hpsearch.tracking.target import ENVIRONMENT as TRACKING

__all__ = ["DevicePlace", "Launcher", "Process", "WorkerConfig", "new_name"]


@dataclass(frozen=True)
class WorkerConfig:
    """What every worker of a fleet is told."""

    url: str = field(repr=False)
    """The database; may carry a password."""
    studies: tuple[str, ...]
    """Names of the studies to serve; none: every open one."""
    until_done: bool
    """Leave when there is no more work."""
    checkpoints: str | None = field(repr=False)
    """Where they lie, if that is said; a URL may carry a password."""
    lease_s: float
    """Seconds after which a silent worker loses its trial."""
    grace_s: float
    """Seconds that a worker has to leave in order."""
    patience_s: float
    """Seconds for which a worker tolerates an outage of the database."""
    code: str | None = None
    """The folder of code that studies may bring; None: there is none."""
    pictures: bool = False
    """Whether workers draw the pictures of studies that have ended."""
    commands: str | None = None
    """Which commands of studies workers run, as `worker.Options` has it."""

    @property
    def env(self) -> dict[str, str]:
        """Environment variables for what may carry a password: other users cannot read them."""
        env = {"HPSEARCH_STORAGE": self.url}
        if self.checkpoints is not None:
            env["HPSEARCH_CHECKPOINTS"] = self.checkpoints
        if uri := os.environ.get(TRACKING):
            env[TRACKING] = uri
        return env

    def arguments(self, name: str, seat: DevicePlace) -> list[str]:
        """The command line behind `hpsearch`. Other users see it, so it is without URLs."""
        words = ["worker", *self.studies, "--name", name, "--device", seat.device]
        words += ["--lease-s", str(self.lease_s), "--grace", str(self.grace_s)]
        words += ["--patience-s", str(self.patience_s)]
        if self.until_done:
            words += ["--until-done"]
        if seat.threads is not None:
            words += ["--threads", str(seat.threads)]
        if self.code is not None:
            words += ["--code", self.code]
        if not self.pictures:
            words += ["--no-pictures"]
        if self.commands is not None:
            only = ["--allow-command", self.commands] if self.commands != "*" else []
            words += only or ["--allow-commands"]
        return words


@dataclass(frozen=True)
class DevicePlace:
    """Where one worker belongs."""

    key: str
    """No other seat of the launcher has the same."""
    device: str
    """The device's name there: cpu, cuda:0, mps."""
    threads: int | None = None
    """CPU threads; None: PyTorch's choice."""
    where: str = ""
    """In words, behind `the worker starts`."""


class Process(Protocol):
    """A worker's process, here or elsewhere."""

    @property
    def name(self) -> str:
        """How the worker signs on."""

    def poll(self) -> End | None:
        """How it ended; None while it runs."""

    def terminate(self) -> None:
        """Ask it to give back what it holds and to leave."""

    def kill(self) -> None:
        """End it now."""


class Launcher(Protocol):
    """Knows where workers belong, and starts them."""

    def seats(self) -> Sequence[DevicePlace]:
        """Where workers belong now."""

    def warm_up(self) -> None:
        """Begin with what takes long before a worker can start."""

    def launch(self, seat: DevicePlace) -> Process:
        """Start a worker there. Raises nothing: one that could not start is one that has ended."""

    def wait(self, timeout_s: float) -> None:
        """Until a worker may have ended, or so long."""

    def close(self) -> None:
        """Let go of what the launcher itself holds."""


def new_name(host: str | None = None) -> str:
    """A name that no other worker has: host, the process that named it, a few random letters."""
    return f"{(host or socket.gethostname())[:40]}-{os.getpid()}-{secrets.token_hex(3)}"

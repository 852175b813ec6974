"""What of a process own training code may change, so that the next trial there begins as this one
did: what can be put back is, and with anything else the process takes no other trial."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import Any

__all__ = ["Surroundings"]

_LEFT_OPEN = 32
"""Descriptors that a trial may leave open; a process has room for about a thousand."""


class Surroundings:
    """A process as it is now: made once own code has been imported, which changes it for all its
    trials, and before its function is called."""

    def __init__(self) -> None:
        self._folder = _folder()
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._state, self._open = _state(), _open_descriptors()

    def restored(self) -> bool:
        """Put back what can be; whether all is as it was, and nothing of the trial is left."""
        sys.stdin, sys.stdout, sys.stderr = self._streams
        try:
            os.chdir(self._folder)
            return (
                not _has_children()
                and threading.active_count() == 1
                and _state() == self._state
                and _open_descriptors() <= self._open + _LEFT_OPEN
            )
        except Exception:  # whatever it has done to what is looked at here
            return False


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - text, as `chdir` takes it
    except OSError:  # it was removed
        return "/"


def _has_children() -> bool:
    """Whether a process that it has started still runs; those that have ended are let go."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    return False


def _state() -> tuple[Any, ...]:
    """What another trial would meet."""
    import resource

    limits = (
        resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE,
    )  # fmt: skip
    return (
        dict(os.environ), list(sys.path), sys.getrecursionlimit(),
        [signal.getsignal(number) for number in signal.valid_signals()],
        [_file_of(number) for number in (0, 1, 2)],
        [resource.getrlimit(limit) for limit in limits],
        _of_libraries(),
    )  # fmt: skip


def _file_of(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _of_libraries() -> tuple[Any, ...]:
    import numpy as np
    import torch

    cudnn = torch.backends.cudnn
    return (
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(),
        torch.is_anomaly_enabled(), cudnn.benchmark, cudnn.deterministic, np.geterr(),
    )  # fmt: skip


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough

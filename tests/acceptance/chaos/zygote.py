"""Worker processes in a tenth of a second: forked from one that has loaded PyTorch.

Every process here is a real one, with a pid of its own, real signals and the real command line;
only the imports are shared. What a test wants to see or to happen inside it is a hook, called
before the command starts. The fork server is Python's own.
"""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

__all__ = ["Job", "start"]

ROOT = Path(__file__).parents[3]
PRELOAD = [
    "pytest", "torch", "torchmetrics", "torchvision", "optuna", "psycopg",
    "pymysql", "hpsearch.cli", "hpsearch.worker", "hpsearch.training.metrics", __name__,
    __name__.replace("zygote", "hooks"),
]  # fmt: skip
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Job:
    """What one process is to do."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    output: Path
    """Where standard output and standard error go."""
    hooks: Sequence[Callable[[], None]] = ()
    """Called in the process before the command; what can be pickled, such as a partial."""
    body: Callable[[], None] | None = None
    """Called in place of the command line."""


def start(job: Job) -> multiprocessing.process.BaseProcess:
    """A process that does it. The first call starts the fork server, which takes seconds."""
    process = _context().Process(target=_run, args=(job,))
    process.start()
    return process


@functools.cache
def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    # Threads started while modules are loaded would not survive a fork.
    with mock.patch.dict(os.environ, {**_ONE_THREAD, "PYTHONPATH": f"{ROOT}"}):
        forkserver.ensure_running()
    return context


def _run(job: Job) -> None:
    # The fork server ends with the tests, however they end; so do its children.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(job.env)
    os.chdir(job.cwd)
    output = os.open(job.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(output, number)
    for hook in job.hooks:
        hook()
    if job.body is not None:
        job.body()
        return
    from hpsearch.cli import main

    sys.argv = ["hpsearch", *job.argv]
    main()

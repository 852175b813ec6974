"""What needs no fork works where Python has none of what only POSIX has, as on Windows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import zygote
from tests.acceptance.conftest import Command

WITHOUT = """
import os, select, signal, socket, sys

for name in [name for name in sys.modules if name.partition(".")[0] == "hpsearch"]:
    del sys.modules[name]
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
GONE = {
    os: "fork forkpty getgid getuid killpg mkfifo nice register_at_fork setsid waitid",
    select: "epoll poll",
    signal: "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGWINCH SIG_BLOCK alarm"
    " pthread_kill pthread_sigmask setitimer",
    socket: "MSG_DONTWAIT SOCK_SEQPACKET recv_fds send_fds",
}
for module, names in GONE.items():
    for name in names.split():
        delattr(module, name)

from hpsearch import __file__ as package
from hpsearch.cli import main

MAIN = os.path.join(os.path.dirname(package), "__main__.py")

def call(*words):
    sys.argv = [MAIN, *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (words, end.code)
"""

STUDY = """
name: s
data: {source: digits, limit: 300}
network: {family: mlp}
parameters: {lr: {min: 0.001, max: 0.1}, depth: 1, width: 8}
search: {sampler: random, sanity: false}
budget: {trials: 1, epochs: 1}
"""


def run(command: Command, text: str) -> str:
    job = zygote.program(WITHOUT + text, env=command.env)
    job = zygote.Job(job.argv, job.env, command.folder, job.hooks, job.body)
    process = zygote.Process(job, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return stdout


@pytest.mark.skipif(sys.platform == "win32", reason="it is the real one")
def test_a_study_is_made_trained_and_used_without_posix(command: Command, tmp_path: Path) -> None:
    file = command.file(STUDY)
    np.save(tmp_path / "new.npy", np.zeros((2, 8, 8)))
    run(
        command,
        f"""
call("check", {str(file)!r})
call("submit", {str(file)!r})
import hpsearch.api.several, hpsearch.dashboard.server, hpsearch.tracking.courier
hpsearch.api.several.studies(None)[0].check()
call("worker", "s", "--until-done")  # which ends this process
""",
    )
    shown = run(
        command,
        """
call("status", "s")
call("best", "s", "--save", "net")
call("predict", "net", "new.npy")
""",
    )
    assert "1/1" in shown
    assert len(shown.split("prediction", 1)[1].splitlines()) == 3

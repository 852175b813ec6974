"""Any command in the place of a training function: what it is given, how its reports are heard.

It runs in the same child, behind the same `Run`. A report is a line such as
`{"epoch": 3, "accuracy": 0.93}` on its standard output or in the file named by HPSEARCH_REPORT, or
a line of its output that a regular expression of the study fits.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hpsearch.children.run import Run, is_at_its_end, reported
from hpsearch.processes.descendants import end_with
from hpsearch.spec.own_training import PLACEHOLDER
from hpsearch.spec.train import JSON

__all__ = ["CheckpointFolder", "evaluate_command", "run_command"]

_LEAVES_S = 4.0
"""For a command to leave once its trial is over; then it is killed."""
_DRAINED_S = 1.0
"""For what it wrote before it was killed."""
_CHUNK = 1 << 16
_MOST_LINE = 1 << 20
"""Of a line without an end more is not looked at."""


def _filled(command: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The command line with values in the place of their names. KeyError for an unknown name."""
    return [PLACEHOLDER.sub(lambda found: _text(values[found[1]]), word) for word in command]


def _text(value: Any) -> str:
    """A value as a command line has it: true, null and lists as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def run_command(run: Run, command: Sequence[str], metrics: str, metric: str, folder: Path) -> None:
    """Run a command as the training of a trial.

    Args:
        run: The trial.
        command: Its arguments, with placeholders.
        metrics: `json`, or a regular expression with a named group for each number.
        metric: The number that every report has.
        folder: Where it runs.

    Raises RuntimeError where it ends with another exit code than 0 by itself, or cannot be
    started.
    """
    _run(run, command, folder, _Reader(metrics, metric), partial(_report, run))


def evaluate_command(
    run: Run, command: Sequence[str], metrics: str, metric: str, folder: Path
) -> dict[str, Any]:
    """Run a command that tests what another one has trained: the last report that it makes, of
    which the arguments are those of `run_command`.

    Raises RuntimeError where it makes none, and as `run_command` does.
    """
    found: dict[str, Any] = {}

    def hear(numbers: Mapping[str, Any]) -> bool:
        found.clear()
        found.update(numbers)
        return True

    _run(run, command, folder, _Reader(metrics, metric), hear)
    found.pop("epoch", None)
    if not found:
        raise RuntimeError("the command that evaluates made no report")
    return found


_Take = Callable[[Mapping[str, Any]], bool]
"""Takes a report; whether it continues after it."""


def _run(run: Run, command: Sequence[str], folder: Path, reader: _Reader, take: _Take) -> None:
    kept = CheckpointFolder(run.folder / "checkpoint")
    run.save(checkpoint=kept)
    reports = run.folder / "report"
    os.mkfifo(reports)
    # Open for both, so that it never ends and nobody who writes has to wait for us.
    channel = os.open(reports, os.O_RDWR | os.O_NONBLOCK)
    known = {**run.params, "seed": run.seed, "device": run.device}
    words = _filled(command, {"checkpoint": str(kept.path), **known})
    try:
        process = subprocess.Popen(
            words, cwd=folder, env=_environment(run, known, kept.path, reports),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 - no thread runs here
        )  # fmt: skip
    except OSError as error:
        raise RuntimeError(f"cannot start {words[0]}: {error.strerror}") from None
    try:
        goes_on = _follow(process, channel, reader, take)
        if not goes_on:
            _leave(process, at_its_end=is_at_its_end(run))
        elif code := process.wait():
            raise RuntimeError(f"the command ended with exit code {code}")
    finally:
        os.close(channel)
        _end(process)


def _environment(
    run: Run, values: Mapping[str, Any], checkpoint: Path, reports: Path
) -> dict[str, str]:
    params = run.folder / "params.json"
    params.write_text(json.dumps(values), encoding="utf-8")
    return {
        **os.environ, "HPSEARCH_PARAMS": str(params), "HPSEARCH_REPORT": str(reports),
        "HPSEARCH_CHECKPOINT_DIR": str(checkpoint), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip


def _follow(process: subprocess.Popen[bytes], channel: int, reader: _Reader, take: _Take) -> bool:
    """Hand its reports on until it has ended or its trial is over; whether that continues."""
    assert process.stdout is not None
    output, told = _Lines(process.stdout.fileno()), _Lines(channel)
    while True:
        ready = select.select([output.number, channel], [], [])[0]
        lines = []
        if channel in ready:
            lines += [reader.told(line) for line in told.read() or ()]
        if output.number in ready:
            written = output.read()
            lines += [reader.written(line) for line in written or ()]
            for line in written or ():
                print(line)
            if written is None and channel not in select.select([channel], [], [], 0)[0]:
                return all(take(numbers) for numbers in lines if numbers)
        if not all(take(numbers) for numbers in lines if numbers):
            return False


def _report(run: Run, numbers: Mapping[str, Any]) -> bool:
    """Hand a report on; whether the trial continues. What it reports again is no epoch."""
    values = dict(numbers)
    epoch, done = values.pop("epoch", None), reported(run)
    if isinstance(epoch, (int, float)) and epoch <= done:
        return True
    if isinstance(epoch, (int, float)) and epoch > done + 1:
        print(f"hpsearch: epoch {epoch:g} comes after epoch {done}; it counts as {done + 1}")
    return run.report(**values)


class _Reader:
    """Finds reports in lines."""

    def __init__(self, metrics: str, metric: str) -> None:
        self._pattern = None if metrics == JSON else re.compile(metrics)
        self._metric = metric

    def told(self, line: str) -> dict[str, Any] | None:
        """A line of the file for reports, which has nothing else. ValueError for another."""
        if not line.strip():
            return None
        found = _object(line)
        if found is None:
            raise ValueError(f"HPSEARCH_REPORT got a line that is no JSON object: {line[:100]}")
        return found

    def written(self, line: str) -> dict[str, Any] | None:
        """A line of the output, most of which are no reports."""
        if self._pattern is None:
            found = _object(line) if line.lstrip().startswith("{") else None
            return found if found and self._metric in found else None
        match = self._pattern.search(line)
        if match is None:
            return None
        return {name: float(text) for name, text in match.groupdict().items() if text is not None}


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class _Lines:
    """Whole lines of a descriptor."""

    def __init__(self, number: int) -> None:
        self.number, self._rest = number, b""

    def read(self) -> list[str] | None:
        """Those that are there by now; None at its end."""
        try:
            data = os.read(self.number, _CHUNK)
        except BlockingIOError:
            return []
        if not data:
            rest, self._rest = self._rest, b""
            return [rest.decode(errors="replace")] if rest else None
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_MOST_LINE:]
        return [line.decode(errors="replace") for line in lines]


def _leave(process: subprocess.Popen[bytes], *, at_its_end: bool) -> None:
    """Let it come to its end by itself where it has made all epochs; tell it to leave elsewhere."""
    if not at_its_end:
        process.terminate()
    deadline = time.monotonic() + _LEAVES_S
    for line in _rest_of(process, deadline):
        print(line)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(deadline - time.monotonic(), 0.0))


def _rest_of(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    """What it still writes: one that nobody reads could not end."""
    assert process.stdout is not None
    output = _Lines(process.stdout.fileno())
    while (left_s := deadline - time.monotonic()) > 0:
        if select.select([output.number], [], [], left_s)[0]:
            lines = output.read()
            if lines is None:
                return
            yield from lines


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, and what it has started and left."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for other in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                other.kill()
    process.wait()
    for line in _rest_of(process, time.monotonic() + _DRAINED_S):
        print(line)
    assert process.stdout is not None
    process.stdout.close()


class CheckpointFolder:
    """A folder of checkpoints of a command, as an object that `run.save` takes."""

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self.path = path

    def state_dict(self) -> dict[str, Any]:
        """Its files, as one archive."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in sorted(self.path.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    archive.add(path, path.relative_to(self.path), recursive=False)
        return {"archive": torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the files back."""
        buffer = io.BytesIO(state["archive"].numpy().tobytes())
        with tarfile.open(fileobj=buffer) as archive:
            archive.extractall(self.path, filter="data")

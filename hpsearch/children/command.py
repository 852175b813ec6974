"""Any command in the place of a training function: what it is given, how its reports are heard.

It runs in the same child, behind the same `Run`. A report is a line such as
`{"epoch": 3, "accuracy": 0.93}` on its standard output or in the file named by HPSEARCH_REPORT, or
a line of its output that a regular expression of the study fits.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import select
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hpsearch.children.output import Lines, Reader
from hpsearch.children.run import Run, most_epochs, reported
from hpsearch.errors import CheckpointError, CodeError
from hpsearch.processes.descendants import end_with
from hpsearch.processes.process import End
from hpsearch.spec.own_training import PLACEHOLDER

__all__ = ["CheckpointFolder", "evaluate_command", "run_command"]

_LEAVES_S = 4.0
"""For a command to leave once its trial is over; then it is killed."""
_LAST_S = 4.0, 60.0
"""For a command to end by itself once all epochs are reported, at least and at most; between them
it is as long as an epoch took. It may save something, and what it has saved counts."""
_DRAINED_S = 1.0
"""For what it wrote before it ended, where others hold its output open."""
_LOOK_S, _FIRST_LOOK_S = 0.25, 0.001
"""Between two looks at whether it has ended; at first once its output has, with which most end."""
_PAUSES_S = 0.0, 0.0, 0.01, 0.02, 0.04, 0.08
"""Before each look at files that a command may be writing."""


def _filled(command: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The command line with values in the place of their names. KeyError for an unknown name.

    Of a parameter without a value, None, as its condition does not hold, a word `{name}` is left
    out with the option before it, and an option `--name={name}` as a whole; elsewhere it is empty.
    """
    words = list[str]()
    for number, word in enumerate(command):
        names = PLACEHOLDER.findall(word)
        if any(values[name] is None for name in names):
            if word == f"{{{names[0]}}}":
                before = command[number - 1] if number else ""
                if words and before.startswith("-") and "=" not in before and before == words[-1]:
                    words.pop()
                continue
            if word.startswith("-"):
                continue
        words.append(PLACEHOLDER.sub(lambda match: _text(values[match[1]]), word))
    return words


def _text(value: Any) -> str:
    """A value as a command line has it: true and lists as JSON, None as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def run_command(
    run: Run, command: Sequence[str], metrics: str, metric: str, folder: Path,
    threads: int | None = None,
) -> None:  # fmt: skip
    """Run a command as the training of a trial.

    Args:
        run: The trial.
        command: Its arguments, with placeholders.
        metrics: `json`, or a regular expression with a named group for each number.
        metric: The number that every report has.
        folder: Where it runs.
        threads: Of OpenMP, where the study says how many.

    Raises CodeError where it ends with another exit code than 0 by itself, ends without a report,
    or cannot be started.
    """
    reader, saves = Reader(metrics, metric), CheckpointFolder(run.folder / "checkpoint")
    epochs = _Epochs(run, saves)
    _run(run, command, folder, reader, saves, epochs, threads, lambda: epochs.left_s)
    epochs.end()
    if not reported(run):
        raise CodeError(f"the command returned without a report: {reader.silence}")


def evaluate_command(
    run: Run, command: Sequence[str], metrics: str, metric: str, folder: Path,
    threads: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run a command that tests what another one has trained: the last report that it makes, of
    which the arguments are those of `run_command`. Lines of JSON are reports here in any case: the
    expression is that of the training's output.

    Raises CodeError where it makes none, and as `run_command` does.
    """
    reader = Reader(metrics, metric, takes_json=True)
    saves = CheckpointFolder(run.folder / "checkpoint")
    run.save(checkpoint=saves)
    measured: dict[str, Any] = {}

    def hear(numbers: Mapping[str, Any]) -> bool:
        measured.clear()
        measured.update(numbers)
        return True

    _run(run, command, folder, reader, saves, hear, threads)
    measured.pop("epoch", None)
    if not measured:
        raise CodeError(f"the command that evaluates made no report: {reader.silence}")
    return measured


_Take = Callable[[Mapping[str, Any]], bool]
"""Takes a report; whether it continues after it."""


def _run(
    run: Run, command: Sequence[str], folder: Path, reader: Reader, saves: CheckpointFolder,
    take: _Take, threads: int | None, left_s: Callable[[], float | None] = lambda: None,
) -> None:  # fmt: skip
    """Run it to its end, or as long as `take` and `left_s`, seconds that it still has, say."""
    reports, files = run.folder / "report", run.folder / "files"
    files.mkdir()
    os.mkfifo(reports)
    # Open for both, so that it never ends and nobody who writes has to wait for us.
    channel = os.open(reports, os.O_RDWR | os.O_NONBLOCK)
    values = {**run.params, "seed": run.seed, "device": run.device}
    words = _filled(command, {"checkpoint": str(saves.path), "folder": str(files), **values})
    own = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    params = run.folder / "params.json"
    params.write_text(json.dumps(values), encoding="utf-8")
    environment = {
        **os.environ, **own, "HPSEARCH_PARAMS": str(params), "HPSEARCH_REPORT": str(reports),
        "HPSEARCH_CHECKPOINT_DIR": str(saves.path), "HPSEARCH_FOLDER": str(files),
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    try:
        process = subprocess.Popen(
            words, cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 - no thread runs here
        )  # fmt: skip
    except OSError as error:
        raise CodeError(f"cannot start {words[0]}: {error.strerror}") from None
    try:
        if not _follow(process, channel, reader, take, left_s):
            _leave(process)
        elif code := process.returncode:
            raise CodeError(f"the command {End(code, reader.last).how}")
    finally:
        os.close(channel)
        _end(process)


def _follow(
    process: subprocess.Popen[bytes], channel: int, reader: Reader, take: _Take,
    left_s: Callable[[], float | None],
) -> bool:  # fmt: skip
    """Hand its reports on until it has ended, True, or is to leave, False.

    Whether it has ended is looked at, as its output does not tell: that may go elsewhere, and what
    it has started in the background may hold it open. Not by `os.pidfd_open`, which the Python of
    older systems, and that of uv until 2026, is built without.
    """
    assert process.stdout is not None
    output, told = Lines(process.stdout.fileno()), Lines(channel)
    sources, look_s, until = [channel, output.number], _LOOK_S, math.inf
    while True:
        ended = process.poll() is not None  # before the look: what it has written is there by now
        if ended:
            drained_s = _DRAINED_S if output.number in sources else 0.0
            until = min(until, time.monotonic() + drained_s)
        rest_s = max(until - time.monotonic(), 0.0) if ended else left_s()
        if rest_s == 0.0 and not ended:
            return False
        wait_s = look_s if rest_s is None else min(look_s, rest_s)
        ready = select.select(sources, [], [], wait_s)[0]
        look_s = min(2 * look_s, _LOOK_S)
        words = (told.read() or []) if channel in ready else []
        lines = output.read() if output.number in ready else []
        if lines is None:
            sources.remove(output.number)
            lines, look_s = [], _FIRST_LOOK_S
        over = ended and time.monotonic() >= until
        if over:
            lines += output.rest()
        for line in lines:
            print(line)
        reports = [reader.told(line) for line in words] + [reader.written(line) for line in lines]
        began = time.monotonic()
        if not all(take(numbers) for numbers in reports if numbers):
            return False
        if over:
            return True
        until += time.monotonic() - began  # for which the worker had its reports


class _Epochs:
    """Hands reports on, each as the epoch that it is of. What is reported again is no epoch.

    The last one waits until the command has ended, for what it saves after it: its trial is over
    with that report. One that reports again is in an epoch beyond them, and has saved what it will.

    A command names its epochs from 0 or 1, may skip some, or names none. One that names none has
    begun anew where it was given no files to continue from: it counts from 1 again.
    """

    def __init__(self, run: Run, saves: CheckpointFolder) -> None:
        run.save(checkpoint=saves)
        self._run, self._saves = run, saves
        self._count = reported(run) if saves.files() else 0
        """Epochs that a command without names for them has had."""
        if saves.epoch is None and reported(run):
            saves.epoch = reported(run)
        self._last: dict[str, Any] | None = None
        """What it has reported of the last epoch."""
        self._longest_s, self._at, self._reported_at = 0.0, time.monotonic(), math.inf

    @property
    def left_s(self) -> float | None:
        """For how long the command may continue; None: its last report is still to come."""
        if self._last is None:
            return None
        least, most = _LAST_S
        return max(self._at + min(max(least, self._longest_s), most) - time.monotonic(), 0.0)

    def end(self) -> None:
        """Hand on what it has reported of the last epoch: it has ended."""
        self._saves.reported_at = self._reported_at
        if self._last is not None:
            last, self._last = self._last, None
            self._run.report(**last)

    def __call__(self, numbers: Mapping[str, Any]) -> bool:
        """Hand a report on; whether the trial continues."""
        values = dict(numbers)
        epoch, done, last = values.pop("epoch", None), reported(self._run), self._saves.epoch
        if not isinstance(epoch, (int, float)) or not math.isfinite(epoch):
            self._count += 1
            return self._count <= done or self._report(values)
        if last is not None and epoch <= last:
            return True
        if epoch > (1 if last is None else last + 1):
            print(f"hpsearch: epoch {epoch:g} comes after epoch {last or 0:g}; it counts as "
                  f"{done + 1}")  # fmt: skip
        self._saves.epoch = epoch  # before the report: a checkpoint of it is made within
        self._count = done + 1
        return self._report(values)

    def _report(self, values: dict[str, Any]) -> bool:
        if self._last is not None:
            return False
        now, self._reported_at = time.monotonic(), time.time()
        self._longest_s, self._at = max(self._longest_s, now - self._at), now
        if reported(self._run) + 1 < most_epochs(self._run):
            return self._run.report(**values)
        self._last = values
        return True


def _leave(process: subprocess.Popen[bytes]) -> None:
    """Tell it to leave, and let it do so."""
    process.terminate()
    deadline = time.monotonic() + _LEAVES_S
    for line in _rest_of(process, deadline):
        print(line)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(deadline - time.monotonic(), 0.0))


def _rest_of(process: subprocess.Popen[bytes], deadline: float) -> Iterator[str]:
    """What it still writes: one that nobody reads could not end."""
    assert process.stdout is not None
    output = Lines(process.stdout.fileno())
    while (left_s := deadline - time.monotonic()) > 0:
        if process.poll() is not None:
            deadline = min(deadline, time.monotonic() + _DRAINED_S)
        if select.select([output.number], [], [], min(left_s, _LOOK_S))[0]:
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


_File = tuple[int, float, bytes]
"""Its permissions, when it was written, and its content."""


class CheckpointFolder:
    """A folder of checkpoints of a command, as an object that `run.save` takes."""

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self.epoch: float | None = None
        """The last epoch by the command's own name for it; None: it has named none."""
        self.reported_at = math.inf
        """Once the command has ended, when it reported last, by the clock of its files."""

    def files(self) -> list[Path]:
        """Its files, those in folders of it too."""
        # Not `rglob`, which fails where a folder is removed meanwhile.
        paths = [Path(folder, name) for folder, _, names in os.walk(self.path) for name in names]
        return [path for path in sorted(paths) if path.is_file() and not path.is_symlink()]

    def state_dict(self) -> dict[str, Any]:
        """Its files, as one archive. CheckpointError where they do not hold still."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, file in self._steady().items():
                _add(archive, name, file)
        return {"archive": _tensor(buffer), "epoch": self.epoch}

    def with_late(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state of an earlier epoch with the files that it did not have then and that were
        written after the last report: a command that saves at its end has no others to give."""
        if self.reported_at == math.inf:  # it continues
            return {**state, "late": []}
        buffer = io.BytesIO(state["archive"].numpy().tobytes())
        with tarfile.open(fileobj=buffer, mode="a") as archive:
            late = self._steady(self.reported_at)
            new = sorted(late.keys() - {*archive.getnames()})
            for name in new:
                _add(archive, name, late[name])
        return {**state, "archive": _tensor(buffer), "late": new}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the files back."""
        buffer = io.BytesIO(state["archive"].numpy().tobytes())
        with tarfile.open(fileobj=buffer) as archive:
            archive.extractall(self.path, filter="data")
        self.epoch = state.get("epoch")

    def _steady(self, after: float = -math.inf) -> dict[str, _File]:
        """Its files by name, once they are the same twice: the command continues meanwhile, and may
        rename, remove or write them. One that only grows, such as a log, is taken as it is at last.

        It is not stopped for that: within a write it would have half a file all the same.

        Args:
            after: Only files that were written after this time.

        Raises CheckpointError where they do not hold still.
        """
        before: dict[str, _File] | None = None
        grow, why = False, ""
        for pause_s in _PAUSES_S:
            time.sleep(pause_s)
            try:
                paths = [path for path in self.files() if path.stat().st_mtime > after]
                files = {f"{path.relative_to(self.path)}": _read(path) for path in paths}
            except OSError as error:  # it was renamed or removed after it had been found
                grow, why = False, f"cannot be read: {error.strerror}"
                continue
            if files == before:
                return files
            grow = before is not None and _only_grow(before, files)
            before, why = files, "change all the time"
        if before is None or not grow:
            raise CheckpointError(f"the files in {{checkpoint}} {why}")
        return before


def _read(path: Path) -> _File:
    with path.open("rb") as file:
        of = os.fstat(file.fileno())
        return of.st_mode & 0o7777, of.st_mtime, file.read()


def _only_grow(before: Mapping[str, _File], files: Mapping[str, _File]) -> bool:
    """Whether they are the same, each with the same beginning."""
    return before.keys() == files.keys() and all(
        files[name][2].startswith(content) for name, (_, _, content) in before.items()
    )


def _add(archive: tarfile.TarFile, name: str, file: _File) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime, content = file
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _tensor(buffer: io.BytesIO) -> torch.Tensor:
    """Its bytes, which are not copied."""
    return torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)

"""The process in which own training code runs: it takes orders from a worker, one trial at a time.

    worker -> child   {"train": {...}}   {"save": PATH}   {"on": true | false}
    child -> worker   {"epoch": 3, "numbers": {...}}   {"saved": PATH | null}   {"unsaved": WHY}
                      {"returned": 3, "stays": true, "numbers": {...} | null}
                      {"failed": MESSAGE}

An order that names a part of the data is to test what was trained: what the function returns is in
`numbers` then. After a report the child waits: the worker may want a checkpoint of just that epoch,
and decides whether the trial continues. What own code writes goes to the log, the standard output
of the process.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hpsearch.children.run import Run, Start, held, measured_by
from hpsearch.children.surroundings import Surroundings
from hpsearch.children.wire import HangUpError, Wire
from hpsearch.code import Code, Manifest, explained, function, use
from hpsearch.errors import CheckpointError, line
from hpsearch.processes.descendants import adopt

if TYPE_CHECKING:
    from hpsearch.children.own_threads import OwnThreads

__all__ = ["LEAVES_S", "Trial", "main"]

LEAVES_S = 5
"""For own code to come back once its trial is over; then the system ends the process."""


def main(sockets: Sequence[int]) -> None:
    """Do what the worker at the other end of the first socket says, until it hangs up."""
    _settle(sockets[0])
    wire = Wire(socket.socket(fileno=sockets[0]))
    # A copy that own code makes of the process is no part of the conversation, nor does it hold the
    # line that the worker sees closed when this process ends.
    os.register_at_fork(after_in_child=wire.close)
    threads: OwnThreads | None = None
    try:
        while (order := wire.receive()) is not None:
            threads = threads or _own_threads(order["train"])
            if not Trial(wire, order["train"], threads=threads).train():
                return
    except HangUpError:
        return


def _own_threads(order: Mapping[str, Any]) -> OwnThreads | None:
    """What decides how many threads own code computes with; None: the study does, or a GPU works,
    or what is called is a process of its own."""
    if order["cpus"] is not None or order["device"] != "cpu" or order["command"]:
        return None
    from hpsearch.children.own_threads import OwnThreads

    return OwnThreads(order["threads"])


def _settle(line: int) -> None:
    """A process of its own: no input, its words by lines, no file that the worker has open, and
    nothing of its secrets.

    Args:
        line: The descriptor of the line to the worker.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number not in (1, 2, line, nothing):
            # Not closed: whatever Python object it belongs to would close it once more, by when the
            # number may be that of a file of own code.
            with contextlib.suppress(OSError):  # the one that listed them
                os.fstat(number)
                os.dup2(nothing, number, inheritable=number == 0)
    os.close(nothing)
    sys.stdout, sys.stderr = (
        open(number, "w", 1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        for number in (1, 2)
    )
    for name in ("HPSEARCH_STORAGE", "HPSEARCH_PARENT_PIPE"):
        os.environ.pop(name, None)
    adopt()


@contextlib.contextmanager
def _untraced() -> Iterator[None]:
    """Inside, nobody takes the time to read the lines of the stack."""
    vars(sys)["tracebacklimit"] = 0
    try:
        yield
    finally:
        del sys.tracebacklimit


def _theirs(error: BaseException) -> TracebackType | None:
    """The traceback without the frame of this module."""
    frame = error.__traceback__
    return frame.tb_next or frame if frame is not None else None


class Trial:
    """One trial, as the worker has ordered it."""

    def __init__(
        self, wire: Wire, order: Mapping[str, Any],
        guest: Callable[[Run], object] | None = None, threads: OwnThreads | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            wire: The line to the worker.
            order: What it has ordered.
            guest: What is called where this process is somebody else's, in the place of what the
                order names; nothing of the process is changed then.
            threads: What decides how many own code has; None: the order does.
        """
        self._wire, self._order, self._pid = wire, order, os.getpid()
        self._guest, self._threads = guest, threads
        self._metric, self._sign = order["metric"], 1 if order["direction"] == "maximize" else -1
        self._best_value: float | None = order["best_value"]
        self._best_epoch = 0
        self._best: Any = None
        """What `run.save` had after the best epoch."""
        self._run: Run | None = None
        self._reports = False
        """Whether it waits for an answer to a report: its state is that of the epoch."""
        self._broken: BaseException | None = None
        """What a checkpoint failed with."""

    def train(self) -> bool:
        """Call the function; whether another trial can follow in this process."""
        try:
            own, run = self._prepared()
            before = Surroundings() if self._guest is None else None
            with self._threads.called() if self._threads else contextlib.nullcontext():
                returned = own(run)
            if self._broken is not None and not self._is_copy:
                raise self._broken
            numbers = None if self._order["part"] is None else self._measured(returned)
        except HangUpError:
            raise
        except BaseException as error:  # sys.exit() too: it costs this trial and nothing else
            if self._is_copy or (self._guest is not None and isinstance(error, KeyboardInterrupt)):
                raise
            message = explained(error, kind=not self._order["command"])
            with contextlib.suppress(Exception):
                if self._order["command"]:  # no frame of it is the user's
                    print(f"hpsearch: {message}")
                else:
                    traceback.print_exception(error.with_traceback(_theirs(error)))
            self._say_the_end()
            self._wire.send({"failed": message})
            return False
        if self._is_copy:
            return False
        self._say_the_end()
        stays = before is None or (before.restored() and not self._order["fresh"])
        self._wire.send({"returned": run._epoch, "stays": stays, "numbers": numbers})
        self._has_to_leave(False)
        self._obey()
        self._has_to_leave(False)
        return stays

    def leave(self, until: float) -> None:
        """Own code is broken off: let the worker have what it asks for, until it lets go of the
        trial or the time `until` has come."""
        with contextlib.suppress(HangUpError):
            while (left_s := until - time.monotonic()) > 0:
                order = self._wire.receive(left_s)
                if order is None or order.get("on") is False:
                    return
                if "on" in order:  # said before the worker knew
                    continue
                if self._reports:
                    self._save(Path(order["save"]))
                else:
                    self._wire.send({"unsaved": "it was broken off within an epoch"})

    def _has_to_leave(self, does: bool) -> None:
        """Whether the system is to end the process soon, where that is not somebody else's."""
        if self._guest is None:
            signal.alarm(LEAVES_S if does else 0)

    def _say_the_end(self) -> None:
        """Mark in what it writes where the trial's part ends."""
        if self._guest is not None:
            return
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # it may have closed them, or put others there
                stream.flush()
        with contextlib.suppress(OSError):
            os.write(1, self._order["mark"].encode())

    @property
    def _is_copy(self) -> bool:
        """Whether this is a copy of the process that own code has made."""
        return os.getpid() != self._pid

    def _measured(self, returned: object) -> dict[str, float]:
        """What a test has returned, the metric alone or numbers by name, as numbers by name.

        Raises what says to the user which of that is wrong.
        """
        metric = self._metric
        numbers = returned if isinstance(returned, Mapping) else {metric: returned}
        metrics = measured_by("evaluate", numbers)
        if metric not in metrics:
            names = ", ".join(metrics) or "nothing"
            raise LookupError(f"evaluate gives {names}, and not {metric!r}, which is asked for")
        if not math.isfinite(metrics[metric]):
            raise ValueError(
                f"evaluate gives {metric} as {metrics[metric]}, which is no measurement"
            )
        return {name: number for name, number in metrics.items() if math.isfinite(number)}

    def _prepared(self) -> tuple[Callable[[Run], object], Run]:
        order = self._order
        code = Code(Path(order["code"]), Manifest(order["manifest"]))
        if self._guest is not None:
            own = self._guest
        else:
            own = self._command(code) if order["command"] else self._function(code)
        self._seed(order["seed"])
        start = Start()
        if order["saved"] is not None:
            start = self._start(Path(order["saved"]))
        self._run = Run(
            order["params"], seed=order["seed"], device=order["device"],
            folder=Path(order["folder"]), epochs=order["epochs"], answer=self._answer, start=start,
        )  # fmt: skip
        return own, self._run

    def _function(self, code: Code) -> Callable[[Run], object]:
        with self._threads.imported() if self._threads else contextlib.nullcontext():
            use(code)
            own, part = function(self._order["function"]), self._order["part"]
        return own if part is None else lambda run: own(run, part)

    def _command(self, code: Code) -> Callable[[Run], object]:
        from hpsearch.children.command import evaluate_command, run_command

        order = self._order
        code.check()
        run = run_command if order["part"] is None else evaluate_command
        return partial(
            run, command=order["command"], metrics=order["metrics"], metric=self._metric,
            folder=code.folder, threads=order["cpus"],
        )  # fmt: skip

    def _seed(self, seed: int) -> None:
        """Global generators too, so that code which does not look at `run.seed` repeats itself."""
        import numpy as np
        import torch

        random.seed(seed)
        np.random.seed(seed)
        with _untraced():  # for each kind of device PyTorch keeps from where it was called
            torch.manual_seed(seed)
        threads = self._order["cpus"] or self._order["threads"]
        if self._threads is None and threads is not None:
            torch.set_num_threads(threads)

    def _start(self, path: Path) -> Start:
        import torch

        content = torch.load(path, map_location="cpu", weights_only=True)
        if self._order["keep_best"]:
            self._best = content["best"] or content["last"]
        tested = self._order["part"] is not None
        return Start(self._order["epoch"], content["last"], whole=tested)

    def _answer(self, epoch: int, numbers: Mapping[str, float]) -> bool:
        if self._is_copy:
            raise RuntimeError(
                "run.report was called in a copy of the process; report in the one that the "
                "function was called in"
            )
        if self._broken is not None:
            raise self._broken
        value = numbers.get(self._metric)
        if value is None:
            names = ", ".join(numbers) or "nothing"
            what = "a report" if self._order["command"] else "run.report(...)"
            raise LookupError(
                f"{what} lacks {self._metric!r}, which the study improves; it has {names}. A "
                "report is an epoch: where it is measured every few of yours, report then only"
            )
        if self._order["keep_best"] and self._is_better(value):
            self._best_value, self._best_epoch = value, epoch
            self._best = self._copied()
        self._wire.send({"epoch": epoch, "numbers": dict(numbers)})
        self._reports = True
        goes_on = self._obey()
        self._reports = False
        return goes_on

    def _is_better(self, value: float) -> bool:
        best = self._best_value
        return best is None or self._sign * value > self._sign * best

    def _has_saved(self) -> bool:
        """Whether there is anything to keep of this epoch: a command may write its files at its
        end, and then these are what is kept."""
        assert self._run is not None
        return not self._order["command"] or bool(self._run._objects["checkpoint"].files())

    def _copied(self) -> Any:
        """What is kept of this epoch, which training does not change any more; None: nothing."""
        from hpsearch.children.kept import copied

        if not self._has_saved():
            return None
        try:
            return copied(self._held())
        except CheckpointError as error:
            print(f"hpsearch: nothing is kept of the best epoch so far: {line(error)}")
            return None

    def _held(self) -> dict[str, Any] | None:
        """What a checkpoint holds; own code that lets no error pass fails all the same.

        CheckpointError where the files of a command do not hold still, which costs no trial.
        """
        assert self._run is not None
        try:
            return held(self._run)
        except CheckpointError:
            raise
        except BaseException as error:
            self._broken = error
            raise

    def _obey(self) -> bool:
        """Do what the worker says until it lets the trial continue, or not."""
        while True:
            order = self._wire.receive()
            assert order is not None
            if "on" in order:
                if not order["on"]:
                    self._has_to_leave(True)
                return bool(order["on"])
            self._save(Path(order["save"]))

    def _best_beside(self) -> Any:
        """What is kept beside that of the last epoch; None where that is the best one."""
        assert self._run is not None
        best = None if self._best_epoch == self._run._epoch else self._best
        if best is None or not self._order["command"]:
            return best
        return {name: self._run._objects[name].with_late(state) for name, state in best.items()}

    def _save(self, path: Path) -> None:
        import torch

        assert self._run is not None
        try:
            last = self._held()
            best = self._best_beside()
        except BaseException as error:
            self._wire.send({"unsaved": line(error)})
            if isinstance(error, CheckpointError):
                return
            raise
        if last is None:
            self._wire.send({"saved": None})
            return
        try:
            torch.save({"last": last, "best": best}, path)
        except (OSError, RuntimeError, MemoryError) as error:  # of a full disk PyTorch's is one too
            path.unlink(missing_ok=True)
            self._wire.send({"unsaved": line(error)})
        else:
            self._wire.send({"saved": str(path)})

"""Own training code in processes of its own: what it may do, and what becomes of its trial then."""

from __future__ import annotations

import importlib
import io
import itertools
import os
import re
import shutil
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from hpsearch.children.command import CheckpointFolder
from hpsearch.children.log import Log, text_of
from hpsearch.children.process import Nursery
from hpsearch.children.runner import Children, Job
from hpsearch.code import Code
from hpsearch.errors import CheckpointError, CodeError
from hpsearch.forecast.own_runs import sample
from hpsearch.processes import descendants
from hpsearch.runner import Failure, Report, Saved
from hpsearch.runner.candidate import Candidate
from hpsearch.runner.epoch import Keeping
from hpsearch.spec import load

LIMIT_S = 60.0

STUDY = """
name: own
train: {function: "train.py:train"}
metric: {name: score, direction: minimize}
parameters: {width: {values: [2, 4]}}
budget: {trials: 3, epochs: 5}
"""

SIMPLE = """
def train(run):
    for epoch in run.epochs():
        run.report(score=run.width / epoch)
"""

SAVES = """
import torch
from torch import nn

def train(run):
    net = nn.Linear(2, run.width)
    generator = torch.Generator().manual_seed(run.seed % 100)
    history = run.save(net=net, generator=generator, history=[])["history"]
    for epoch in run.epochs():
        inputs = torch.randn(8, 2, generator=generator)
        loss = net(inputs).square().mean()
        gradients = torch.autograd.grad(loss, [*net.parameters()], allow_unused=True)
        with torch.no_grad():
            for weight, gradient in zip(net.parameters(), gradients):
                weight -= 0.1 * gradient
        history.append(epoch)
        print("epochs", history)
        run.report(score=loss)
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """One for all tests: a copy of this process."""
    made = Nursery("cpu")
    yield made
    made.close()


@pytest.fixture
def children(nursery: Nursery, tmp_path: Path) -> Iterator[Callable[..., Children]]:
    made: list[Children] = []

    def of(code: str, *, places: int = 1, keeping: Keeping | None = None, **job: Any) -> Children:
        (tmp_path / "train.py").write_text(code)
        wanted = Job("train.py:train", Code.at(tmp_path), "score", "minimize", **job)
        logs = tmp_path / "logs"
        made.append(Children(wanted, nursery, "cpu", places=places, keeping=keeping, logs=logs))
        return made[-1]

    yield of
    for runner in made:
        runner.close()


def script(children: Callable[..., Children], tmp_path: Path, text: str, **job: Any) -> Children:
    """A runner of a shell script, which is given the parameter `width`."""
    (tmp_path / "script.sh").write_text(text)
    return children("", command=("bash", "script.sh", "{width}"), **job)


def candidate(key: int = 0, epochs: int = 3, **params: Any) -> Candidate:
    return Candidate(key, "train.py:train", {"width": 4, "epochs": epochs, **params}, 1234 + key)


def all_reports(runner: Children) -> list[Report]:
    """Every report until each candidate is at its end."""
    reports, deadline = list[Report](), time.monotonic() + LIMIT_S
    while runner.keys:
        assert time.monotonic() < deadline
        for report in runner.reports(1.0):
            reports.append(report)
            if report.finished or report.failure:
                runner.remove(report.key)
    return reports


def failure(runner: Children, **params: Any) -> Report:
    """The report of the one candidate, which fails."""
    runner.add(candidate(**params))
    report = all_reports(runner)[-1]
    assert report.failure is not None
    return report


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_trial_reports_its_epochs_and_another_follows_in_the_same_process(children) -> None:
    runner = children("import os\n" + SIMPLE.replace("score=", "pid=os.getpid(), score="))
    for key in (1, 2):
        runner.add(candidate(key))
    reports = all_reports(runner)
    for key in (1, 2):
        own = [r for r in reports if r.key == key]
        assert [r.last.epoch for r in own] == [1, 2, 3]
        assert [r.last.value for r in own] == [4, 2, 4 / 3]
        assert [r.finished for r in own] == [False, False, True]
    assert len({r.last.metrics["pid"] for r in reports}) == 1


def test_the_seed_is_one_that_numpy_takes(children) -> None:
    code = "import numpy as np\n" + SIMPLE.replace("for", "np.random.seed(run.seed)\n    for")
    runner = children(code.replace("score=", "seed=run.seed, score="))
    runner.add(replace(candidate(epochs=1), seed=(1 << 63) - 2))
    assert all_reports(runner)[-1].last.metrics["seed"] == (1 << 31) - 2


def test_a_fresh_process_a_trial(children) -> None:
    code = "import os\n" + SIMPLE.replace("score=", "pid=os.getpid(), score=")
    runner = children(code, fresh=True)
    for key in (1, 2):
        runner.add(candidate(key))
    assert len({r.last.metrics["pid"] for r in all_reports(runner)}) == 2


def test_as_many_at_once_as_there_are_places(children) -> None:
    runner = children(SIMPLE, places=3)
    assert runner.stacks
    for key in range(3):
        runner.add(candidate(key))
    assert {r.key for r in all_reports(runner)} == {0, 1, 2}


def test_the_best_epoch_counts_or_the_last(children) -> None:
    code = SIMPLE.replace("run.width / epoch", "abs(epoch - 2)")
    runner = children(code, keeping=Keeping(best=True))
    runner.add(candidate())
    assert [r.kept.epoch for r in all_reports(runner)] == [1, 2, 2]
    runner = children(code, keeping=Keeping(best=True, stop_after=2))
    runner.add(candidate(epochs=9))
    assert [r.finished for r in all_reports(runner)] == [False, False, False, True]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_trial_goes_on_from_its_checkpoint_as_if_nothing_had_been(children, stop: int) -> None:
    runner = children(SAVES, keeping=Keeping(best=True))
    runner.add(candidate(epochs=4))
    whole = [r.last.value for r in all_reports(runner)]
    runner.add(candidate(epochs=4))
    saved = None
    while saved is None:
        for report in runner.reports(1.0):
            if report.last.epoch == stop:
                saved = runner.saved(report.key)
    runner.remove(0)
    again = children(SAVES, keeping=Keeping(best=True))
    again.add(candidate(epochs=4), Saved(dict(saved.state)))
    assert [r.last.value for r in all_reports(again)] == whole[stop:]
    assert saved.state["own"]["last"]["history"] == list(range(1, stop + 1))
    assert list(saved.state["own"]["last"]) == ["net", "generator", "history"]


def test_what_was_saved_is_that_of_the_best_epoch_beside_the_last(children) -> None:
    code = """
def train(run):
    state = run.save(epochs=[])
    for epoch in run.epochs():
        state["epochs"].append(epoch)
        run.report(score=abs(epoch - 2))
"""
    runner = children(code, keeping=Keeping(best=True))
    runner.add(candidate(epochs=3))
    saved = {}
    while runner.keys:
        for report in runner.reports(1.0):
            saved[report.last.epoch] = runner.saved(0)
            if report.finished:
                runner.remove(0)
    own = {epoch: of.state["own"] for epoch, of in saved.items()}
    assert own[2] == {"last": {"epochs": [1, 2]}, "best": None}
    assert own[3] == {"last": {"epochs": [1, 2, 3]}, "best": {"epochs": [1, 2]}}
    assert saved[3].kept_epoch == 2


def test_a_checkpoint_of_the_last_epoch_gives_its_report_again(children) -> None:
    runner = children(SIMPLE)
    runner.add(candidate(epochs=2))
    for _ in range(2):
        (report,) = runner.reports(10.0)
    saved = runner.saved(0)
    runner.remove(0)
    runner.add(candidate(epochs=2), saved)
    (again,) = runner.reports(1.0)
    assert again == report


def test_what_has_no_state_yet_is_saved_once_it_has(children) -> None:
    code = """
import torch

class Best:
    seen = None
    def state_dict(self): return {**self.seen}

def train(run):
    net, best = torch.nn.LazyLinear(1), Best()
    run.save(net=net, best=best)
    for epoch in run.epochs():
        net(torch.ones(1, 2))
        best.seen = {"epoch": epoch}
        run.report(score=1)
"""
    runner = children(code)
    runner.add(candidate(epochs=1))
    (report,) = runner.reports(LIMIT_S)
    assert report.failure is None, report.message
    last = runner.saved(0).state["own"]["last"]
    assert last["net"]["weight"].shape == (1, 2)
    assert last["best"] == {"epoch": 1}
    runner.remove(0)


def test_code_that_saves_nothing_begins_again(children) -> None:
    runner = children(SIMPLE)
    runner.add(candidate(epochs=3))
    list(runner.reports(10.0))
    saved = runner.saved(0)
    runner.remove(0)
    with pytest.raises(CheckpointError, match=r"run\.save"):
        runner.add(candidate(epochs=3), saved)
    with pytest.raises(CheckpointError, match="not of candidate"):
        runner.add(candidate(epochs=3, width=5), saved)


def test_returning_early_is_an_end(children) -> None:
    runner = children("def train(run):\n    run.report(score=1)\n    run.report(score=2)\n")
    runner.add(candidate(epochs=9))
    *_, report = all_reports(runner)
    assert report.finished
    assert report.last.epoch == 2
    assert report.message == "returned after epoch 2"


def test_a_process_that_has_returned_early_takes_the_next_at_once(children) -> None:
    runner = children("import os\ndef train(run):\n    run.report(score=os.getpid())\n")
    for key in (1, 2):
        runner.add(candidate(key))
    pids = {r.last.value for r in all_reports(runner)}
    assert len(pids) == 1


@pytest.mark.parametrize(
    ("body", "limit_s", "expected"),
    [
        ("    for e in run.epochs(): run.report(score=1)", LIMIT_S, "a sample"),
        ("    import time\n    time.sleep(600)", 0.3, None),
        ("    raise KeyError('width')", LIMIT_S, "train.py, line 2: KeyError: 'width'"),
    ],
)
def test_a_sample_for_a_forecast(
    nursery: Nursery, tmp_path: Path, body: str, limit_s: float, expected: str | None
) -> None:
    (tmp_path / "train.py").write_text(f"def train(run):\n{body}\n")
    (tmp_path / "study.yaml").write_text(STUDY)
    spec = load(tmp_path / "study.yaml")
    if expected and "line" in expected:
        with pytest.raises(CodeError, match=re.escape(expected)):
            sample(spec, tmp_path, nursery, "cpu", limit_s)
        return
    found = sample(spec, tmp_path, nursery, "cpu", limit_s)
    assert (found is None) is (expected is None)
    if found is not None:
        assert found.memory_bytes > 0
        assert found.checkpoint_bytes == 0, "it saves nothing"


EVALUATED = """
import os
def train(run):
    state = run.save(seen=[])
    for epoch in run.epochs():
        state["seen"].append(epoch)
        run.report(score=abs(epoch - 2), pid=os.getpid())

def evaluate(run, part):
    assert list(run.epochs()) == []
    print("tested on", part)
    seen = run.save(**{run.asked: []})[run.asked]
    return {"score": len(seen) + run.offset, "pid": os.getpid(), "odd": float("nan")}
"""


def a_trained(runner: Children, **params: Any) -> tuple[Saved, Candidate]:
    """A candidate that is trained, and its last checkpoint."""
    one, saved = candidate(**{"asked": "seen", "offset": 0, **params}), None
    runner.add(one)
    while runner.keys:
        for report in runner.reports(1.0):
            saved = runner.saved(0)
            if report.finished:
                runner.remove(0)
    assert saved is not None
    return Saved(dict(saved.state)), one


def test_its_own_code_tests_what_it_had_after_the_epoch_that_counts(children, tmp_path) -> None:
    keeping = Keeping(best=True)
    runner = children(EVALUATED, keeping=keeping, evaluate="train.py:evaluate")
    assert runner.tests
    saved, one = a_trained(runner)
    found = [runner.test(one, saved, "test") for _ in range(2)]
    assert found[0] == {"score": 2, "pid": found[0]["pid"]}, "2 epochs, of 3; no number is left out"
    assert found[1] == found[0], "in the same process"
    assert runner.keys == ()
    assert text_of(tmp_path / "logs", 0) == 2 * "tested on test\n"
    with pytest.raises(CheckpointError, match="not of candidate"):
        runner.test(candidate(width=5), saved, "test")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"asked": "net"}, "run.save: training saved no 'net'; it saved seen"),
        ({"offset": float("inf")}, "evaluate gives score as inf, which is no measurement"),
        ({"offset": "a"}, "train.py, line 13: TypeError"),
    ],
)
def test_a_test_that_fails_says_why(children, params: dict[str, Any], message: str) -> None:
    runner = children(EVALUATED, evaluate="train.py:evaluate")
    saved, one = a_trained(runner, **params)
    with pytest.raises(CodeError, match=re.escape(message)):
        runner.test(one, saved, "test")
    assert runner.keys == ()


def test_a_test_ends_where_the_worker_is_to_leave_and_with_its_process(children) -> None:
    hangs = EVALUATED.replace("    print(", "    while run.asked: pass\n    print(")
    runner = children(hangs, evaluate="train.py:evaluate", seconds=0.6)
    saved, one = a_trained(runner)
    with pytest.raises(CodeError, match=r"took longer than 0\.01 minutes"):
        runner.test(one, saved, "test")
    runner = children(hangs, evaluate="train.py:evaluate")
    runner._interrupted = iter([False, True]).__next__
    assert runner.test(one, saved, "test") is None
    dies = EVALUATED.replace("    print(", "    os._exit(3)\n    print(")
    with pytest.raises(CodeError, match="its process ended with exit code 3"):
        children(dies, evaluate="train.py:evaluate").test(one, saved, "test")


def test_reports_beyond_the_last_epoch_are_ignored_with_one_line(children, tmp_path) -> None:
    code = "def train(run):\n    for n in range(9):\n        run.report(score=n)\n"
    runner = children(code)
    runner.add(candidate(epochs=2))
    assert len(all_reports(runner)) == 2
    said = "run.report is ignored: the trial is over, as it has reported its 2 epochs"
    while said not in (text_of(tmp_path / "logs", 0) or ""):
        time.sleep(0.01)  # its function continues after its last report counted
    assert text_of(tmp_path / "logs", 0).count("run.report is ignored") == 1


def test_a_report_after_the_trial_was_pruned_says_so(children, tmp_path) -> None:
    runner = children("def train(run):\n    run.report(score=1)\n    run.report(score=2)\n")
    runner.add(candidate(epochs=9))
    next(iter(runner.reports(LIMIT_S)))
    runner.remove(0)
    said = "the trial is over, as it was pruned, stopped or paused after 1 epoch\n"
    deadline = time.monotonic() + LIMIT_S
    while said not in (text_of(tmp_path / "logs", 0) or "") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert said in text_of(tmp_path / "logs", 0)


def test_an_attempt_begins_a_line_of_the_log(children, tmp_path: Path) -> None:
    code = "def train(run):\n    print('begun', end='', flush=True)\n    run.report(score=1)\n"
    runner = children(code)
    for _ in range(2):
        runner.add(candidate(epochs=1))
        all_reports(runner)
    runner.close()
    assert text_of(tmp_path / "logs", 0) == "begun\nbegun"


EVERY_LINE = (
    "    import os\n    for number in [int(name) for name in os.listdir('/proc/self/fd')]:\n"
    "        if number < 3: continue\n"
)
"""A loop over all that a process has open, however many its worker had."""

MISBEHAVES = {
    "raises": ("    raise KeyError('width')", "train.py, line 3: KeyError: 'width'"),
    "a file that is not there": (
        "    open('data/config.yaml')",
        "train.py, line 3: FileNotFoundError: No such file or directory: 'data/config.yaml'",
    ),
    "sys.exit": ("    import sys\n    sys.exit(3)", "train.py, line 4: SystemExit: 3"),
    "os._exit": ("    import os\n    os._exit(3)", "its process ended with exit code 3"),
    "segfault": (
        "    import ctypes\n    ctypes.string_at(0)",
        "its process was killed by signal 11 (SIGSEGV)",
    ),
    "abort": ("    import os\n    os.abort()", "its process was killed by signal 6 (SIGABRT)"),
    "closes everything": (
        "    import os\n    os.closerange(0, 256)\n    run.report(score=1)", "its process"
    ),
    "interrupts itself": ("    raise KeyboardInterrupt", "train.py, line 3: KeyboardInterrupt"),
    "recursion": (
        "    f = lambda: f()\n    f()", "train.py, line 3: RecursionError: maximum recursion depth"
    ),
    "no report": ("    return 3", "train returned without a report by run.report(score=...)"),
    "no metric": ("    run.report(loss=1)", "lacks 'score', which the study improves; it has loss"),
    "a text": ("    run.report(score='0.9')", "score is a text, '0.9'; expected a number"),
    "a list": ("    run.report(score=[1])", "score is a list, and no single number"),
    "a tensor": (
        "    import torch\n    run.report(score=torch.ones(2))", "score is a Tensor, and no single"
    ),
    "an epoch without a report": (
        "    for epoch in run.epochs():\n        pass", "epoch 1 ended without run.report(...)"
    ),
    "no such parameter": (
        "    run.depth", "the study has no parameter 'depth'; it has bad, epochs, width"
    ),
    "changes a parameter": ("    run.width = 5", "the parameter width cannot be changed"),
    "changes params": ("    run.params['width'] = 5", "does not support item assignment"),
    "saves a lambda": (
        "    run.save(f=lambda: 1)\n    run.report(score=1)",
        "train.py, line 3: TypeError: run.save: f is a function, which a checkpoint cannot hold",
    ),
    "saves a lambda inside": (
        "    run.save(f={'a': [object()]})\n    run.report(score=1)",
        "train.py, line 3: TypeError: run.save: f['a'][0] is a object",
    ),
    "saves what becomes a lambda": (
        "    f = run.save(f=[])['f']\n    f.append(lambda: 1)\n    run.report(score=1)",
        "train.py, line 5: TypeError: run.save: f[0] is a function",
    ),
    "imports what is not there": ("    import nowhere", "No module named 'nowhere'"),
    "a number that is too large": ("    run.report(score=10 ** 400)", "is a int, and no single"),
    "a million numbers": (
        "    run.report(score=1, **{f'n{i}': i for i in range(1_000_000)})",
        "run.report: 1,000,001 numbers; at most 200 are kept of an epoch",
    ),
    "a name without an end": (
        "    run.report(score=1, **{'n' * 100_000: 1})", "has 100,000 letters; at most 100"
    ),
    "forgets the metric later": (
        "    run.report(score=1)\n    run.report(loss=1)", "lacks 'score'"
    ),
    "saves what cannot be asked": (
        "    class Net:\n        def state_dict(self): raise KeyError('gone')\n"
        "    run.save(net=Net())\n    run.report(score=1)", "KeyError: 'gone'",
    ),
    "lets no error pass": (
        "    f = run.save(f=[])['f']\n    f.append(lambda: 1)\n    for _ in range(9):\n"
        "        try: run.report(score=1)\n        except TypeError: pass",
        "run.save: f[0] is a function",
    ),
    "memory without an end": ("    bytearray(1 << 60)", "train.py, line 3: MemoryError"),
    "an error that cannot be printed": (
        "    class Odd(Exception):\n        def __str__(self): raise ValueError\n    raise Odd",
        "train.py, line 5: Odd",
    ),
    "an error of a million lines": (
        "    raise ValueError('first\\n' * 1_000_000)", "train.py, line 3: ValueError: first"
    ),
    "an error that is no text": (
        "    raise ValueError(b'\\xff'.decode(errors='surrogateescape'))", "line 3: ValueError: "
    ),
    "writes into the line to the worker": (
        f"{EVERY_LINE}        try: os.write(number, b'{{}}\\n')\n"
        "        except OSError: pass\n    run.report(score=1)",
        "its process wrote to the worker what is no report",
    ),
    "talks nonsense to the worker": (
        f"{EVERY_LINE}        try: os.write(number, b'hi\\n')\n"
        "        except OSError: pass\n    import time\n    time.sleep(600)",
        "its process wrote to the worker what is no report",
    ),
    "kills its group": ("    import os\n    os.killpg(0, 9)", "was killed by signal 9 (SIGKILL)"),
    "opens files without an end": (
        "    import resource\n    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "    held = [open('/dev/null') for _ in range(99)]", "OSError: Too many open files",
    ),
}  # fmt: skip


def two(
    children: Callable[..., Children], body: str, limit_s: float = LIMIT_S
) -> tuple[list[Report], list[Report]]:
    """The reports of a candidate whose code is that, and of a well-behaved one after it."""
    broken = f"def train(run):\n    print('it began', flush=True)\n{body}\n"
    simple = SIMPLE.replace("score=", "pid=os.getpid(), score=")
    code = f"{broken}\nbroken = train\n{simple}\nwell = train\n"
    code += "def train(run):\n    (broken if run.params['bad'] else well)(run)\nimport os\n"
    runner = children(code, keeping=Keeping(best=True))
    runner.add(candidate(7, bad=True))
    runner.add(candidate(8, bad=False))
    reports, deadline = list[Report](), time.monotonic() + limit_s
    while runner.keys:
        assert time.monotonic() < deadline
        for report in runner.reports(1.0):
            reports.append(report)
            if not report.failure:
                runner.saved(report.key)
            if report.finished or report.failure:
                runner.remove(report.key)
    assert [r.last.epoch for r in reports if r.key == 8] == [1, 2, 3], "the next one is unharmed"
    assert [r.last.value for r in reports if r.key == 8] == [4, 2, 4 / 3]
    return [r for r in reports if r.key == 7], [r for r in reports if r.key == 8]


@pytest.mark.parametrize("way", MISBEHAVES)
def test_what_goes_wrong_costs_one_trial(children, tmp_path: Path, way: str) -> None:
    body, message = MISBEHAVES[way]
    (*_, failed), _ = two(children, body)
    assert failed.failure is Failure.ERROR
    assert message in failed.message
    assert "\n" not in failed.message
    assert len(failed.message) < 1000
    assert failed.log
    assert "it began" in text_of(tmp_path / "logs", 7)


REPORTS = """
    for epoch in run.epochs():
        run.report(score=run.width / epoch, pid=os.getpid())
"""
HARMLESS = {
    "closes what it prints to": "    import sys\n    sys.stdout.close()\n    sys.stderr = None\n",
    "prints elsewhere": "    import os\n    os.dup2(os.open('/dev/null', 1), 1)\n",
    "prints what is no text": "    print('\\x00\\x1b[2J\\udcff', flush=True)\n",
    "changes the folder": "    import os\n    os.chdir('/')\n",
    "removes its folder": "    import shutil\n    shutil.rmtree(run.folder)\n",
    "removes the folder of all": "    import shutil\n    shutil.rmtree(run.folder.parent)\n",
    "forgets the environment": "    import os\n    os.environ.clear()\n",
    "replaces the handlers of signals":
        "    import signal\n    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):\n"
        "        signal.signal(number, signal.SIG_IGN)\n",
    "turns gradients off": "    import torch\n    torch.set_grad_enabled(False)\n",
    "computes in double precision":
        "    import torch\n    torch.set_default_dtype(torch.float64)\n",
    "leaves a thread":
        "    import threading, time\n    threading.Thread(target=time.sleep, args=[600]).start()\n",
    "leaves files open": "    global held\n    held = [open('/dev/null') for _ in range(99)]\n",
    "a copy that leaves":
        "    import os, sys\n    if (pid := os.fork()) == 0:\n        sys.exit(3)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3\n",
    "a copy that fails":
        "    import os\n    if (pid := os.fork()) == 0:\n        raise KeyError('in the copy')\n"
        "    os.waitpid(pid, 0)\n",
    "a copy that reports":
        "    import os\n    if (pid := os.fork()) == 0:\n        run.report(score=-1)\n"
        "    os.waitpid(pid, 0)\n",
    "a copy that goes on": "    import os\n    os.fork()\n",
    "a copy that stays":
        "    import os, time\n    if os.fork() == 0:\n        os.setsid()\n"
        "        time.sleep(600)\n",
}  # fmt: skip
"""What comes before a trial's reports and changes nothing of them, nor of the next one."""
ANOTHER = ("prints elsewhere", "forgets the environment", "replaces the handlers of signals",
           "turns gradients off", "computes in double precision", "leaves a thread",
           "leaves files open", "a copy that stays")  # fmt: skip
"""The process is not what it was: the next trial is in another one."""


@pytest.mark.parametrize("way", HARMLESS)
def test_what_it_does_to_its_process_harms_no_trial(children, way: str) -> None:
    reports, others = two(children, HARMLESS[way] + REPORTS)
    assert [r.failure for r in reports] == [None] * 3, reports[-1].message
    assert [r.last.epoch for r in reports] == [1, 2, 3]
    if way != "a copy that goes on":  # which may have ended by itself before the next one begins
        pids = {r.last.metrics["pid"] for r in [*reports, *others]}
        assert len(pids) == (2 if way in ANOTHER else 1)


def test_what_is_left_in_a_session_of_its_own_ends_too(children, nursery: Nursery) -> None:
    """A daemon, and what has lost its parent: neither is in the group of the process any more."""
    code = """
import os, time
def train(run):
    ends, begins = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            os.write(begins, b"%d" % os.getpid())
            time.sleep(600)
        os._exit(0)
    pid = int(os.read(ends, 99))
    if run.bad:
        os.write(2, b"%d" % pid)
        os.abort()
    run.report(score=1, pid=pid)
"""
    runner = children(code)
    for key, bad in enumerate([False, True]):
        runner.add(candidate(key, epochs=1, bad=bad))
    well, aborted = all_reports(runner)
    pids = [int(well.last.metrics["pid"]), int(aborted.log.split()[0])]
    deadline = time.monotonic() + LIMIT_S
    while not all(map(gone, pids)):
        list(runner.reports(0.01))
        runner._processes._welcome(0.01)
        nursery._server.poll()
        assert time.monotonic() < deadline


def test_a_checkpoint_that_does_not_come(children, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker does not wait for it forever, and says which."""
    code = """
import time
class Net:
    def state_dict(self):
        time.sleep(600)
    def load_state_dict(self, state):
        pass
def train(run):
    run.save(net=Net())
    for epoch in run.epochs():
        run.report(score=1)
"""
    monkeypatch.setattr("hpsearch.children.runner._SAVE_S", 0.3)
    runner = children(code)
    runner.add(candidate())
    (report,) = runner.reports(LIMIT_S)
    assert runner.saved(report.key) is None
    (failed,) = runner.reports(LIMIT_S)
    assert "what run.save holds did not come within 0.005 minutes" in failed.message
    runner.remove(0)


def test_a_checkpoint_that_is_too_large_is_told_and_costs_nothing(
    children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = ":\n    run.save(w=torch.zeros(9999))\n    for"
    code = "import torch\n" + SIMPLE.replace(":\n    for", saves)
    room = type("Room", (), {"available": 20_000})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: room)
    runner = children(code)
    runner.add(candidate(epochs=2))
    assert len(list(runner.reports(LIMIT_S))) == 1
    assert runner.saved(0) is None
    assert [r.last.epoch for r in all_reports(runner)] == [2]
    assert "hpsearch: no checkpoint of epoch 1: it takes" in text_of(tmp_path / "logs", 0)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_gigabyte_is_printed_and_five_are_saved(children, tmp_path: Path) -> None:
    body = """
    import sys, torch
    for _ in range(1 << 10):
        sys.stdout.write("x" * (1 << 20) + chr(10))
    run.save(weights=torch.zeros(5 << 30, dtype=torch.uint8))
    for epoch in run.epochs():
        run.report(score=run.width / epoch)
"""
    reports, _ = two(children, body, 10 * LIMIT_S)
    assert [r.failure for r in reports] == [None] * 3, reports[-1].message
    assert sum(file.stat().st_size for file in (tmp_path / "logs").iterdir()) < 21 << 20


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, whose processes are limited")
def test_processes_without_an_end_as_another_user() -> None:
    """A fork bomb: it ends for want of more, the reason is given, the next trial is unharmed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        (Path(folder) / "train.py").write_text(
            "import os, time\n"
            "def train(run):\n"
            "    while run.bad:\n"
            "        os.fork()\n"
            "    run.report(score=1)\n"
        )
        ends, told = os.pipe()
        if (pid := os.fork()) == 0:
            _bomb(Path(folder), told)
        os.close(told)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with os.fdopen(ends) as words:
            said = words.read()
    assert code == 0, said
    first, second = said.splitlines()
    assert "BlockingIOError: Resource temporarily unavailable" in first
    assert second == "True"
    assert not [p for p in psutil.process_iter(["uids"]) if p.info["uids"].real == 1000]


def _bomb(folder: Path, told: int) -> None:
    """A worker of user 1000 that runs it, and says what has become of its two trials."""
    code = 1
    try:
        for name in ("setproctitle", "hpsearch.children.kept", "numpy.random", "encodings.ascii"):
            importlib.import_module(name)  # which that user may not be able to read
        os.setgroups([])
        os.setgid(1000)
        os.setuid(1000)
        tempfile.tempdir = str(folder)
        descendants.ROOM = 40
        job = Job("train.py:train", Code.at(folder), "score", "minimize")
        nursery = Nursery("cpu")
        runner = Children(job, nursery, "cpu")
        runner.add(candidate(0, bad=True))
        runner.add(candidate(1, epochs=1, bad=False))
        failed, done = all_reports(runner)
        os.write(told, f"{failed.message}\n{done.message}{done.finished}\n".encode())
        runner.close()
        nursery.close()
        code = 0
    except BaseException as error:
        os.write(told, repr(error).encode())
    finally:
        os._exit(code)


def test_values_that_are_not_finite(children) -> None:
    code = "def train(run):\n    run.report(score=1, more=float('nan'))\n"
    runner = children(code + "    run.report(score=float('nan'))\n")
    report = failure(runner)
    assert report.failure is Failure.DIVERGED
    assert report.message == "score became nan in epoch 2"
    assert report.last.metrics == {"score": 1.0}, "what is not finite beside it is left out"


def test_an_import_of_code_that_the_study_does_not_have(children, tmp_path: Path) -> None:
    runner = children("import later\n" + SIMPLE)
    (tmp_path / "later.py").write_text("print('it ran')\n")
    report = failure(runner)
    assert "later.py" in report.message
    assert "is not part of the study's own code" in report.message
    assert "it ran" not in report.log


def test_a_trial_that_takes_too_long_or_too_much(children) -> None:
    runner = children("import time\ndef train(run):\n    time.sleep(600)\n", seconds=0.6)
    report = failure(runner)
    assert report.message == "it took longer than 0.01 minutes (resources.minutes)"
    busy = "def train(run):\n    for epoch in run.epochs():\n        run.report(score=1)\n"
    report = failure(children(busy, seconds=0.6), epochs=100_000)
    assert report.message == "it took longer than 0.01 minutes (resources.minutes)"
    code = "def train(run):\n    held = bytearray(600_000_000)\n    run.report(score=1)\n" \
           "    import time\n    time.sleep(600)\n"  # fmt: skip
    report = failure(children(code, memory_bytes=500_000_000))
    assert report.failure is Failure.OUT_OF_MEMORY
    assert "of memory, and may take 500 MB (resources.memory)" in report.message


def test_no_process_is_left_alive(children, nursery: Nursery) -> None:
    """Not one that is removed while it computes, nor what it has started."""
    code = """
import os, subprocess, time
def train(run):
    other = subprocess.Popen(["sleep", "600"])
    run.report(score=1, pid=os.getpid(), other=other.pid)
    time.sleep(600)
"""
    runner = children(code)
    runner.add(candidate())
    (report,) = runner.reports(LIMIT_S)
    list(runner.reports(0.1))  # it sleeps by now
    runner.remove(0)
    pids = [int(report.last.metrics[name]) for name in ("pid", "other")]
    deadline = time.monotonic() + LIMIT_S
    while not all(map(gone, pids)):
        nursery._server.poll()
        assert time.monotonic() < deadline


def test_a_process_in_which_something_is_left_is_not_used_again(children) -> None:
    code = """
import os, threading
def train(run):
    if run.params["odd"]:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    run.report(score=1, pid=os.getpid())
"""
    runner = children(code)
    for key, odd in enumerate([False, True, False]):
        runner.add(candidate(key, epochs=1, odd=odd))
    first, second, third = (r.last.metrics["pid"] for r in all_reports(runner))
    assert first == second
    assert third != first


def test_what_it_writes_is_kept_by_trial_in_bounds(children, tmp_path: Path) -> None:
    code = """
import sys
def train(run):
    print("first of", run.own)
    for _ in range(run.lines):
        sys.stdout.write("x" * 99_999 + "\\n")
    sys.stdout.write("last of %d" % run.own)
    run.report(score=1)
"""
    runner = children(code)
    for key, lines in ((1, 0), (2, 400), (3, 0)):
        runner.add(candidate(key, epochs=1, own=key, lines=lines))
    all_reports(runner)
    runner.close()
    logs = tmp_path / "logs"
    for key in (1, 3):
        assert text_of(logs, key) == f"first of {key}\nlast of {key}"
    long = text_of(logs, 2)
    assert long.startswith("first of 2\n")
    assert long.endswith("last of 2")
    assert "what came between is not kept" in long
    assert sum(file.stat().st_size for file in logs.iterdir()) < 21 << 20


def test_a_log_makes_no_folder_that_was_removed(tmp_path: Path) -> None:
    """`delete` removes it while own code may still be writing."""
    folder = tmp_path / "study" / "checkpoints"
    first = Log(folder, 1)
    first.write(b"made")
    assert text_of(folder, 1) == "made"
    second = Log(folder, 2)
    shutil.rmtree(tmp_path / "study")
    for log in (first, second):
        log.write(b"late")
        assert not (tmp_path / "study").exists()
        assert log.end().endswith("late")


def test_a_worker_that_is_killed_takes_its_children_with_it(tmp_path: Path) -> None:
    """Even where the children's own line is held by others."""
    (tmp_path / "train.py").write_text(
        "import os, time\ndef train(run):\n    open('pid', 'w').write(str(os.getpid()))\n"
        "    os.rename('pid', 'there')\n    time.sleep(600)\n"
    )
    pid = os.fork()
    if pid == 0:
        os.chdir(tmp_path)
        job = Job("train.py:train", Code.at(tmp_path), "score", "minimize")
        runner = Children(job, Nursery("cpu"), "cpu")
        runner.add(candidate())
        while True:
            list(runner.reports(1.0))
    there, deadline = tmp_path / "there", time.monotonic() + LIMIT_S
    while not there.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child = int(there.read_text())
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- commands ---------------------------------------------------------------------------------


SCRIPT = r"""
cd "$HPSEARCH_CHECKPOINT_DIR"
done=$(cat epoch 2>/dev/null || echo 0)
for epoch in $(seq $((done + 1)) 4); do
  echo $epoch > epoch
  echo "{\"epoch\": $epoch, \"score\": $1$epoch, \"begun\": $done}" >> "$HPSEARCH_REPORT"
  echo "epoch $epoch"
done
"""


def test_a_command_reports_by_a_file(children, tmp_path: Path) -> None:
    runner = script(children, tmp_path, SCRIPT)
    for key in (1, 2):
        runner.add(candidate(key, epochs=4))
    reports = all_reports(runner)
    runner.close()
    for key in (1, 2):
        own = [r.last for r in reports if r.key == key]
        assert [(e.epoch, e.value) for e in own] == [(1, 41), (2, 42), (3, 43), (4, 44)]
        assert text_of(tmp_path / "logs", key).startswith("epoch 1\n")


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ("json", '{\\"score\\": 0.5}'),
        (r"epoch (?P<epoch>\d+): score (?P<score>[0-9.]+)", "epoch 1: score 0.5, more 3"),
    ],
)
def test_a_command_reports_on_its_output(children, tmp_path, metrics: str, line: str) -> None:
    text = f"echo no report; echo '{{not json'; echo \"{line}\"; printf 'the end'"
    runner = script(children, tmp_path, text, metrics=metrics)
    runner.add(candidate(epochs=2))
    *_, report = all_reports(runner)
    assert report.message == "returned after epoch 1"
    assert report.last.metrics == {"score": 0.5}


def test_a_command_tests_what_another_has_saved(children, tmp_path: Path) -> None:
    text = "echo 7 > $HPSEARCH_CHECKPOINT_DIR/n; echo '{\"score\": 1}'"
    report = """echo '{"score": 9}'; echo "{\\"score\\": $(cat $0/n), \\"more\\": $1}" """
    runner = script(
        children, tmp_path, text, evaluate=("bash", "-c", report, "{checkpoint}", "{width}")
    )
    runner.add(candidate(epochs=1))
    (first,) = runner.reports(LIMIT_S)
    saved = runner.saved(0)
    runner.remove(0)
    assert first.finished
    assert runner.test(candidate(epochs=1), saved, "test") == {"score": 7, "more": 4}
    other = script(
        children, tmp_path, "echo score 1", metrics=r"score (?P<score>\d+)",
        evaluate=("echo", '{"score": 5}'),
    )  # fmt: skip
    assert other.test(candidate(epochs=1), saved, "test") == {"score": 5}, "JSON, in any case"
    left = script(
        children, tmp_path, text, evaluate=("bash", "-c", "sleep 600 & echo '{\"score\": 5}'")
    )
    assert left.test(candidate(epochs=1), saved, "test") == {"score": 5}
    silent = script(children, tmp_path, text, evaluate=("true",))
    with pytest.raises(CodeError, match="the command that evaluates made no report"):
        silent.test(candidate(epochs=1), saved, "test")


def test_a_command_goes_on_from_its_folder(children, tmp_path: Path) -> None:
    """No epoch is there twice, whatever it reports again."""
    # It does not wait for what is made of its report, so one that is too fast loses epochs.
    go, waits = tmp_path / "go", "while [ ! -e GO ] && [ $epoch = 2 ]; do sleep 0.02; done"
    waits = waits.replace("GO", str(go))
    waiting = SCRIPT.replace("  echo $epoch >", f"  {waits}\n  echo $epoch >")
    runner = script(children, tmp_path, waiting)
    runner.add(candidate(epochs=4))
    saved = None
    while saved is None:
        for report in runner.reports(1.0):
            saved = runner.saved(report.key)
    runner.remove(0)
    go.touch()
    again = script(children, tmp_path, waiting)
    again.add(candidate(epochs=4), saved)
    reports = all_reports(again)
    assert [r.last.epoch for r in reports] == [2, 3, 4]
    assert {r.last.metrics["begun"] for r in reports} == {1.0}


ANEW = """
FILES
for epoch in NUMBERS; do
  while [ $epoch = WAITS ] && [ ! -e GO ]; do sleep 0.02; done
  echo "EPOCH score $epoch"
done
"""
"""Trains from its start, whatever it is given. It waits as no epoch is to be lost with it."""


@pytest.mark.parametrize(
    ("numbers", "epoch", "files", "curve"),
    [
        ("1 2 3 4", "", "", [1, 2, 3, 4]),
        ("1 2 3 4", "", 'echo > "$HPSEARCH_CHECKPOINT_DIR/net"', [1, 2, 1, 2]),
        ("1 2 3 4", "epoch $epoch", "", [1, 2, 3, 4]),
        ("0 1 2 3", "epoch $epoch", 'echo > "$HPSEARCH_CHECKPOINT_DIR/net"', [0, 1, 2, 3]),
        ("10 20 30 40", "epoch $epoch", "", [10, 20, 30, 40]),
    ],
)
def test_a_command_that_begins_anew_has_no_epoch_twice(
    children, tmp_path: Path, numbers: str, epoch: str, files: str, curve: list[float]
) -> None:
    """But for one that names no epochs and had files to continue from: it is taken at its word."""
    go = tmp_path / "go"
    text = ANEW.replace("FILES", files).replace("NUMBERS", numbers).replace("EPOCH", epoch)
    text = text.replace("WAITS", numbers.split()[2]).replace("GO", str(go))
    metrics = r"(?:epoch (?P<epoch>\d+))? score (?P<score>\d+)"
    runner = script(children, tmp_path, text, metrics=metrics)
    runner.add(candidate(epochs=4))
    values, saved, deadline = dict[int, float](), None, time.monotonic() + LIMIT_S
    while saved is None:
        assert time.monotonic() < deadline
        for report in runner.reports(1.0):
            values[report.last.epoch] = report.last.value
            saved = runner.saved(0) if report.last.epoch == 2 else None
    runner.remove(0)
    go.touch()
    again = script(children, tmp_path, text, metrics=metrics)
    again.add(candidate(epochs=4), Saved(dict(saved.state)))
    reports = all_reports(again)
    assert [report.last.epoch for report in reports] == [3, 4]
    values.update((report.last.epoch, report.last.value) for report in reports)
    assert [*values.values()] == curve


@pytest.mark.parametrize("budget", [2, 3], ids=["all epochs", "fewer"])
@pytest.mark.parametrize("best", [True, False], ids=["the best", "the last"])
def test_what_a_command_saves_after_its_last_report_is_kept(
    children, tmp_path: Path, budget: int, best: bool
) -> None:
    """Also where an epoch counts after which it had saved nothing."""
    text = """
for score in 1 2; do echo "{\\"score\\": $score}"; sleep 0.1; done
sleep 0.2; echo weights > "$HPSEARCH_CHECKPOINT_DIR/net"
"""
    runner = script(children, tmp_path, text, keeping=Keeping(best=best))
    runner.add(candidate(epochs=budget))
    saved, last = None, None
    while last is None or not last.finished:
        for report in runner.reports(LIMIT_S):
            last, saved = report, runner.saved(0)
    runner.remove(0)
    assert last.last.epoch == 2
    count = """echo "{\\"score\\": 1$(wc -l < $0/net)}" """
    again = script(children, tmp_path, "", evaluate=("bash", "-c", count, "{checkpoint}"))
    assert again.test(candidate(epochs=budget), saved, "test") == {"score": 11}


def test_a_command_may_remove_its_folder_of_checkpoints(children, tmp_path: Path) -> None:
    text = "rm -r $HPSEARCH_CHECKPOINT_DIR; echo '{\"score\": 1}'"
    runner = script(children, tmp_path, text, keeping=Keeping(best=True))
    runner.add(candidate(epochs=1))
    (report,) = all_reports(runner)
    assert report.finished
    assert report.failure is None


def test_a_command_that_trains_beyond_its_epochs_is_ended(children, tmp_path: Path) -> None:
    text = "while true; do echo '{\"score\": 1}'; echo again >> epochs; sleep 0.1; done"
    runner = script(children, tmp_path, text)
    runner.add(candidate(epochs=2))
    reports = all_reports(runner)
    assert [report.last.epoch for report in reports] == [1, 2]
    assert reports[-1].finished
    assert len((tmp_path / "epochs").read_text().splitlines()) <= 4


@pytest.mark.parametrize(
    ("epochs", "text", "message"),
    [
        (2, "", "returned after epoch 1"),
        (3, "printf '{\"score\": 2}'", "returned after epoch 2"),
        (2, "exit 3", "the command ended with exit code 3"),
        (2, "echo '{\"score\": 2}'; exit 3", "the command ended with exit code 3"),
        (2, "kill -9 $$", "the command was killed by signal 9 (SIGKILL)"),
    ],
)
def test_a_command_ends_by_itself_whatever_it_leaves_in_the_background(
    children, tmp_path: Path, epochs: int, text: str, message: str
) -> None:
    """Which holds its output open, and ends with it."""
    started = r'sleep 600 & echo "{\"score\": 1, \"pid\": $!}"'
    runner = script(children, tmp_path, f"{started}\n{text}")
    runner.add(candidate(epochs=epochs))
    reports, deadline = all_reports(runner), time.monotonic() + LIMIT_S
    assert message in reports[-1].message
    while not gone(int(reports[0].last.metrics["pid"])):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_command_that_writes_its_output_elsewhere_is_heard(children, tmp_path: Path) -> None:
    text = """
exec > log 2>&1
for epoch in 1 2 3; do
  sleep 0.2; echo "epoch $epoch"; echo "{\\"score\\": $epoch}" >> "$HPSEARCH_REPORT"
done
exit $CODE
"""
    runner = script(children, tmp_path, text.replace("$CODE", "0"))
    runner.add(candidate(epochs=9))
    reports = all_reports(runner)
    assert [report.last.value for report in reports] == [1, 2, 3, 3]
    assert reports[-1].message == "returned after epoch 3"
    assert (tmp_path / "log").read_text().endswith("epoch 3\n")
    failed = failure(script(children, tmp_path, text.replace("$CODE", "3")), epochs=9)
    assert "the command ended with exit code 3" in failed.message


@contextmanager
def renaming(folder: Path) -> Iterator[None]:
    """Fifty files, each renamed again and again."""
    over = threading.Event()

    def rename() -> None:
        for count in itertools.count():
            turn, number = divmod(count, 50)
            if over.is_set():
                return
            (folder / f"{number}.{turn}").rename(folder / f"{number}.{turn + 1}")

    for number in range(50):
        (folder / f"{number}.0").touch()
    thread = threading.Thread(target=rename)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_files_that_a_command_renames_all_the_time_cost_no_trial(children, tmp_path: Path) -> None:
    text = """
echo "$HPSEARCH_CHECKPOINT_DIR" > where.new; mv where.new where
until [ -e go ]; do sleep 0.02; done
echo '{"score": 1}'
until [ -e end ]; do sleep 0.02; done
"""
    runner = script(children, tmp_path, text, keeping=Keeping(best=True))
    runner.add(candidate(epochs=2))
    where, deadline = tmp_path / "where", time.monotonic() + LIMIT_S
    while not where.exists():
        assert time.monotonic() < deadline
        assert not [*runner.reports(0.1)]
    with renaming(Path(where.read_text().strip())):
        (tmp_path / "go").touch()
        (report,) = runner.reports(LIMIT_S)
        assert report.failure is None
        runner.saved(0)
    (tmp_path / "end").touch()
    (report,) = runner.reports(LIMIT_S)
    assert report.message == "returned after epoch 1"
    assert runner.saved(0) is not None, "its files hold still"


class Busy(CheckpointFolder):
    """Its command does something each time once its files have been found."""

    def __init__(self, path: Path, *steps: Callable[[], object]) -> None:
        super().__init__(path)
        self.steps = [*steps]

    def files(self) -> list[Path]:
        paths = super().files()
        if self.steps:
            self.steps.pop(0)()
        return paths

    def archived(self) -> dict[str, bytes]:
        buffer = io.BytesIO(self.state_dict()["archive"].numpy().tobytes())
        with tarfile.open(fileobj=buffer) as archive:
            return {name: archive.extractfile(name).read() for name in archive.getnames()}


def test_files_of_a_command_are_kept_once_they_hold_still(tmp_path: Path) -> None:
    net, part, old = tmp_path / "net", tmp_path / "part", tmp_path / "old"
    part.write_bytes(b"second")
    assert Busy(tmp_path, lambda: part.rename(net)).archived() == {"net": b"second"}
    old.write_bytes(b"zeroth")
    assert Busy(tmp_path, old.unlink).archived() == {"net": b"second"}
    torn = Busy(
        tmp_path, lambda: net.write_bytes(b"thi"), lambda: net.write_bytes(b"third"),
        lambda: net.write_bytes(b"other"),
    )  # fmt: skip
    assert torn.archived() == {"net": b"other"}
    with pytest.raises(CheckpointError, match=r"the files in \{checkpoint\} change all the time"):
        Busy(tmp_path, *(partial(net.write_bytes, b"%d" % n) for n in range(99))).state_dict()


def test_a_log_that_a_command_writes_all_the_time_is_kept_as_far_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"0")
    more = [partial(log.write_bytes, b"0" * n) for n in range(2, 99)]
    assert set(Busy(tmp_path, *more).archived()["log"]) == set(b"0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exit 3", "the command ended with exit code 3: it began"),
        ("echo usage; echo error: no --lr; echo; echo ---; exit 2", "code 2: error: no --lr"),
        ("echo '{\"score\": 1}'; echo no room; exit 1", "ended with exit code 1: no room"),
        ("kill -9 $$", "the command was killed by signal 9 (SIGKILL)"),
        ("echo nothing", "the command returned without a report: no line of its output is a JSON "
         'object with "score" (2 lines, the last: nothing)'),
        ("echo score > $HPSEARCH_REPORT; sleep 60", "HPSEARCH_REPORT got a line that is no JSON"),
        ("echo '{\"loss\": 1}' > $HPSEARCH_REPORT; sleep 60", "a report lacks 'score'"),
    ],
)  # fmt: skip
def test_a_command_that_goes_wrong(children, tmp_path: Path, text: str, message: str) -> None:
    report = failure(script(children, tmp_path, f"echo it began; {text}"))
    assert message in report.message
    assert "it began" in report.log
    assert report.log.endswith(f"hpsearch: {report.message}"), "no traceback: none is theirs"


@pytest.mark.parametrize(
    ("text", "silence"),
    [
        ("true", "it printed nothing"),
        ("printf 'half\\rscore: 1'", "no line of its output fits train.metrics, "
         "score=(?P<score>[0-9]+) (1 line: score: 1)"),
    ],
)  # fmt: skip
def test_what_a_command_printed_that_is_no_report(
    children, tmp_path: Path, text: str, silence: str
) -> None:
    runner = script(children, tmp_path, text, metrics="score=(?P<score>[0-9]+)")
    expected = f"the command returned without a report: {silence}"
    assert failure(runner).message == expected


def test_two_commands_at_once_have_a_folder_each_that_is_removed(children, tmp_path) -> None:
    """A fixed file in the folder of the study would be the other one's."""
    text = """
[ -z "$(ls -A "$2")" ] && [ "$2" = "$HPSEARCH_FOLDER" ] || exit 3
echo $1 > "$2/result.txt"; echo "$2" >> folders
while [ $(wc -l < folders) -lt 2 ]; do sleep 0.02; done
echo "{\\"score\\": $(cat "$2/result.txt")}"
"""
    (tmp_path / "script.sh").write_text(text)
    words = ("bash", "script.sh", "{width}", "{folder}")
    runner = children("", command=words, places=2)
    for key in (1, 2):
        runner.add(candidate(key, epochs=1, width=key))
    assert {report.key: report.last.value for report in all_reports(runner)} == {1: 1, 2: 2}
    folders = {Path(line) for line in (tmp_path / "folders").read_text().splitlines()}
    assert len(folders) == 2
    assert not any(folder.exists() for folder in folders)


def test_a_command_that_is_no_program(children, tmp_path: Path) -> None:
    report = failure(children("", command=("./nowhere",)))
    assert "cannot start ./nowhere: No such file or directory" in report.message


def test_a_command_is_told_to_leave_when_its_trial_is_pruned(children, tmp_path: Path) -> None:
    """By SIGTERM; what does not leave is killed, and what it has started."""
    text = r"""
trap 'touch "$OUT"; exit 0' TERM
sleep 600 & echo "{\"score\": 1, \"pid\": $!}"
wait
"""
    out = tmp_path / "told"
    runner = script(children, tmp_path, text.replace("$OUT", str(out)))
    runner.add(candidate(epochs=9))
    (report,) = runner.reports(LIMIT_S)
    runner.remove(0)
    deadline = time.monotonic() + LIMIT_S
    while not (out.exists() and gone(int(report.last.metrics["pid"]))):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    runner.add(candidate(1, epochs=1))
    assert all_reports(runner)[-1].finished, "the same process takes the next"


def test_what_a_command_is_given(children, tmp_path: Path) -> None:
    code = (
        "import json, os, sys\n"
        "params = json.load(open(os.environ['HPSEARCH_PARAMS']))\n"
        "print(json.dumps({'score': 1, 'same': float(params['width'] == 4 and sys.argv[1:] == "
        "['--width=4', 'true', '[1, 2]', '2147483646', 'cpu', '{}'] and "
        "params['seed'] == 2147483646)}))\n"
    )
    (tmp_path / "given.py").write_text(code)
    words = ("--width={width}", "{flag}", "{sizes}", "{seed}", "{device}", "{}")
    runner = children("", command=(sys.executable, "given.py", *words))
    runner.add(replace(candidate(epochs=1, flag=True, sizes=(1, 2)), seed=(1 << 63) - 2))
    assert all_reports(runner)[-1].last.metrics["same"] == 1.0


def test_a_command_is_not_given_what_does_not_apply(children, tmp_path: Path) -> None:
    code = """if True:
        import json, os, sys
        params = json.load(open(os.environ['HPSEARCH_PARAMS']))
        print(sys.argv[1:])
        print(json.dumps({'score': 1, 'same': float(params['momentum'] is None and sys.argv[1:] ==
              ['--lr', '4', 'MOMENTUM=', '--quiet', '--fast', '--beta=0.5', '0.5'])}))
    """
    (tmp_path / "given.py").write_text(code)
    words = ("--lr", "{width}", "--momentum", "{momentum}", "--momentum={momentum}", "{momentum}",
             "MOMENTUM={momentum}", "--quiet", "--fast", "-m", "{momentum}", "--beta={beta}",
             "{momentum}", "{beta}")  # fmt: skip
    runner = children("", command=(sys.executable, "given.py", *words))
    runner.add(candidate(epochs=1, momentum=None, beta=0.5))
    assert all_reports(runner)[-1].last.metrics["same"] == 1.0


NETWORK = """
import torch
from torch import nn
{imported}

def train(run):
    {called}
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(run.width, run.width), nn.ReLU(), nn.Linear(run.width, 4))
        rows = torch.zeros(256, run.width)
    for epoch in run.epochs():
        {epoch}
        net(rows).sum().backward()
        run.report(score=torch.get_num_threads())
"""
"""The way forward of width 1,024 is 0.54 GFLOP, so that a step pays for 1.3 threads; of 2,048 for
5.4. Nothing is computed: the process that these are copies of may have had threads that they lack.
"""


def values(reports: list[Report]) -> list[float]:
    return [report.last.value for report in reports if report.last is not None]


def threads_of(
    children: Callable[..., Children], widths: list[int], *, imported: str = "", called: str = "",
    epoch: str = "", **job: Any,
) -> list[float]:  # fmt: skip
    """What each trial of one process computes with after its first step."""
    code = NETWORK.format(imported=imported, called=called, epoch=epoch)
    runner = children(code, **{"threads": 4, **job})
    counts = []
    for key, width in enumerate(widths):
        runner.add(candidate(key, width=width))
        reports = all_reports(runner)
        assert not any(report.failure for report in reports), reports
        counts.append(values(reports)[0])
    return counts


def test_own_code_has_as_many_threads_as_its_networks_pay_for(children) -> None:
    assert threads_of(children, [8, 1024, 2048, 8]) == [1, 1, 4, 1]


def test_a_network_that_is_seen_later_counts(children) -> None:
    second = 'if epoch == 1: nn.Linear(run.width, 4096, device="meta")(rows)'
    assert threads_of(children, [1024], epoch=second) == [4]


@pytest.mark.parametrize("setting", ["imported", "called"])
def test_threads_that_own_code_sets_are_as_it_wants_them(children, setting: str) -> None:
    three = {setting: "torch.set_num_threads(3)"}
    assert threads_of(children, [8, 2048, 8], **three) == [3, 3, 3]


def test_one_thread_that_own_code_asks_for_as_it_is_imported_is_one(children) -> None:
    assert threads_of(children, [2048], imported="torch.set_num_threads(1)") == [1]


def test_a_study_that_says_how_many_threads_has_them(children) -> None:
    assert threads_of(children, [8, 2048], cpus=2) == [2, 2]


@pytest.mark.parametrize(
    "epoch",
    [
        "nn.Identity()((None, {}))",
        "nn.Bilinear(2, 2, 2)(torch.zeros(3, 2), torch.zeros(3, 2))",
        'with torch.no_grad(): nn.Linear(8, 1 << 24, device="meta")(rows)',
    ],
)
def test_modules_of_any_kind_are_looked_at(children, epoch: str) -> None:
    assert threads_of(children, [8], epoch=epoch) == [1]


def test_a_module_that_is_compiled_has_all(children) -> None:
    compiled = 'torch.compile(nn.Linear(2, 2), backend="eager")(torch.zeros(1, 2))'
    assert threads_of(children, [8], epoch=compiled) == [4]


def test_a_command_is_told_how_many_threads_it_has(children, tmp_path: Path) -> None:
    says = 'echo "{\\"epoch\\": 1, \\"score\\": ${OMP_NUM_THREADS:-0}}"'
    runner = script(children, tmp_path, says, cpus=3)
    runner.add(candidate(epochs=1))
    assert values(all_reports(runner)) == [3]

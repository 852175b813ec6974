"""`hp.Study` in real interpreters: searches, results, Ctrl-C, what becomes of workers behind."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests import zygote
from tests.acceptance.conftest import Command

TRAIN = """
import os, time
from pathlib import Path

def train(run):
    seen = run.save(seen=[])["seen"]
    for epoch in run.epochs():
        while Path("wait").exists() and epoch > 2:
            Path(f"pid-{os.getpid()}").write_text("")
            time.sleep(0.01)
        seen.append(epoch)
        print(f"trained with {run.lr}" if epoch == 1 else "", end="")
        run.report(error=abs(run.lr - 0.1) + 1 / epoch, seen=len(seen))
"""

STUDY = """
import hpsearch as hp
{0}

study = hp.Study(
    train, name="own", metric="error", direction="minimize", trials=6, epochs=4, pruner="none",
    sampler="random", parameters={{"lr": hp.log(0.001, 1.0), "kind": hp.choice("plain", "other")}},
)
"""
OF_A_FILE, OF_A_SESSION = STUDY.format("from train import train"), STUDY.format(TRAIN)


class Python:
    """Interpreters in a folder of their own, as if they had just been started."""

    def __init__(self, command: Command) -> None:
        self.command, self.folder = command, command.folder
        (self.folder / "train.py").write_text(TRAIN)

    def start(self, text: str) -> zygote.Process:
        job = dataclasses.replace(
            zygote.program(text, env=self.command.env), cwd=self.folder,
            hooks=(zygote.have_a_fork_server_ready,),
        )  # fmt: skip
        process = zygote.Process(job, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.command.started.append(process)
        return process

    def run(self, text: str, code: int = 0) -> tuple[str, str]:
        process = self.start(text)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == code, stdout + stderr
        return stdout, stderr

    def whole(self, trials: int = 6, failed: int = 0) -> list[dict]:
        """Its trials but those that failed, each with all its epochs once."""
        every = self.command.json("trials", "own")
        rows = [row for row in every if row["state"] != "FAIL"]
        assert len(every) - len(rows) == failed
        assert [(row["state"], [*row["curve"]]) for row in rows] == [
            ("COMPLETE", ["1", "2", "3", "4"])
        ] * trials
        assert all(row["metrics"]["seen"] == 4 for row in rows)
        return rows

    def waiting(self, count: int = 1) -> set[int]:
        """The processes in which so many trials wait in their third epoch, once they do."""

        def found() -> set[int]:
            return {int(path.name[4:]) for path in self.folder.glob("pid-*")}

        awaited(lambda: len(found()) >= count)
        return found()

    def go(self) -> None:
        """Let trials go on."""
        (self.folder / "wait").unlink(missing_ok=True)


@pytest.fixture
def python(command: Command) -> Python:
    return Python(command)


def awaited(happened: Callable[[], object], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def below(pid: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(pid).children(recursive=True) if is_alive(p)]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_function_of_a_file_is_searched_by_workers(
    backend: str, servers, tmp_path: Path, make_command: Callable[[str], Command]
) -> None:
    python = Python(make_command(servers.new_database(backend, tmp_path)))
    stdout, stderr = python.run(
        OF_A_FILE
        + """
from pathlib import Path
print(study.check().summary())
assert study.submit(priority=3) is study and study.snapshot().study.priority == 3
Path("old.csv").write_text("lr,kind,error\\n0.1,plain,1.0\\n0.2,other,2.0\\n0.3,none,2.0\\n")
print(study.import_trials("old.csv").summary())
study.run(workers=2)
best = study.best
print(best)
assert (study.status()["known"], study.status()["state"]) == (2, "done") and not study.workers
print(study.logs(0))
assert [one.name for one in hp.studies()] == ["own"]
assert best.value == min(t.value for t in study.trials) == study.optuna.best_value
assert best.params == {name: study.optuna.best_params[name] for name in best.params}
assert best.state() == {"seen": [1, 2, 3, 4]}
frame = study.trials_dataframe()
assert list(frame["value"]) == [t.value for t in study.optuna.trials]
assert {"params.lr", "metrics.error", "state"} <= set(frame.columns)
assert frame["ended"].dt.tz is None
curves = study.curves()
assert all([*curve] == [1, 2, 3, 4] for curve in curves.values()) and len(curves) == 6
try:
    best.network()
except hp.HpsearchError as error:
    print(error)
study.run()
assert len(study.trials) == 6
following = study.next()
assert str(following) == "study own-2: not in the database yet; run() makes it"
assert len(following.run(workers=1, progress=False).trials) == 6
try:
    hp.Study.load("own").next()
except hp.HpsearchError as error:
    print(error)
study.extend(trials=2).run(workers=1)
assert len(hp.Study.load("own").trials) == 8
"""
        + ("print(study.plan(workers=2).summary())" if backend == "sqlite" else "")
    )
    assert backend != "sqlite" or "with 2 workers on cpu: about" in stdout
    assert "own: train.py:train, minimize error" in stdout
    assert "the samplers of own know 2 trials of old.csv" in stdout
    assert "left out: 1 trial with a kind that is not searched" in stdout
    assert "warning: none of the samplers of this study learns from other trials" in stdout
    assert "trained with " in stdout, "its log"
    assert "the study trains by its own code" in stdout
    assert "study 'own' has its own code, which the next one needs too: load it with" in stdout
    assert "study own is done: 6 of 6 trials, best error" in stderr
    assert "nothing is left to train" in stderr
    python.whole(8)


def test_a_table_of_memory_and_the_network_that_it_gives(python: Python) -> None:
    stdout, _ = python.run("""
import numpy as np, pandas as pd
import hpsearch as hp

rng = np.random.default_rng(0)
frame = pd.DataFrame({"a": rng.normal(size=200), "b": rng.normal(size=200)}, index=range(7, 207))
frame["kind"] = np.where(frame["a"] + frame["b"] > 0, 0, 1)
parameters = {"lr": hp.log(1e-3, 1e-1), "width": hp.choice(8, 16), "depth": 1}
study = hp.Study(name="table", data=frame, target="kind", metric="accuracy", trials=3, epochs=8,
                 parameters=parameters)
assert not study.check().notes
study.run(workers=1, progress=False)
network = study.best.network()
assert not network.training
predicted = study.best.predictor().predict(frame.drop(columns="kind"))
share = (np.array(predicted.values) == frame["kind"]).mean()
assert share > 0.9, share
print(study.finish(top=1, seeds=2, workers=1, progress=False).summary())
try:
    study.finish()
except hp.HpsearchError as error:
    print(error)
folder = study.save("net")
assert hp.load(folder).config["metrics"]["test"]
assert study.verdict.verdict["use"] == 1
again = hp.Study(name="table", data=frame.copy(), target="kind", metric="accuracy", trials=3,
                 epochs=8, parameters=parameters)
again.run(workers=1, progress=False)
assert len(again.trials) == len(study.trials)
study.delete()
try:
    study.best
except hp.HpsearchError as error:
    print(error)
""")
    assert "Test accuracy" in stdout
    assert "has been used once" in stdout
    assert "no study" in stdout
    (table,) = (python.folder / "study.tables").iterdir()
    assert table.suffix == ".parquet"


def test_a_function_of_the_session_runs_here_and_goes_on_after_ctrl_c(python: Python) -> None:
    (python.folder / "wait").touch()
    process = python.start(OF_A_SESSION + "study.run()\n")
    assert python.waiting() == {process.pid}
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "train is a function of this session: it runs in this process" in stderr
    assert "interrupted: 0 of 6 trials have ended; run() continues from here" in stderr
    (row,) = python.command.json("trials", "own")
    assert row["state"] == "RUNNING"

    python.go()
    python.run(
        OF_A_SESSION
        + """
import threading, torch
before = torch.get_num_threads(), threading.active_count()
study.run(progress=False)
assert (torch.get_num_threads(), threading.active_count()) == before
try:
    study.run(workers=2)
except hp.HpsearchError as error:
    assert "one trial at a time" in str(error)
"""
    )
    rows = python.whole()
    assert rows[0]["attempts"] == 2
    assert len({row["code"] for row in rows if row["code"]}) == 1  # as of a function of a file

    _, stderr = python.run(OF_A_SESSION.replace("1 / epoch", "2 / epoch") + "study.run()\n", code=1)
    assert "CodeError: the code of study 'own' is not what it was when the study began" in stderr


def test_ctrl_c_before_the_first_trial_costs_nothing(python: Python) -> None:
    """It comes while the worker, which has signed on, prepares the study."""
    python.run(
        OF_A_SESSION
        + """
import os, signal, threading, time

def interrupt():
    while not study.workers:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

study.submit()
before = threading.active_count()
threading.Thread(target=interrupt).start()
try:
    study.run(progress=False)
except KeyboardInterrupt:
    now = study.snapshot().study
assert (now.state, now.ended) == ("open", 0), now
assert not study.is_running and threading.active_count() == before, threading.enumerate()
study.run(progress=False)
"""
    )
    assert [row["attempts"] for row in python.whole()][1:] == [1] * 5


EVALUATED = OF_A_SESSION.replace(
    "import hpsearch as hp",
    """import hpsearch as hp

def evaluate(run, part):
    seen = run.save(seen=[])["seen"]
    return {"error": run.lr, "part": len(part), "seen": len(seen)}
""",
).replace("train, name", "train, evaluate=evaluate, name")


def test_a_function_of_the_session_tests_what_it_has_trained(python: Python) -> None:
    """A test that fails is mended in the session, and nothing is trained again."""
    broken = EVALUATED.replace("run.lr, ", "run.rate, ")
    _, stderr = python.run(
        broken + "study.run(progress=False)\nstudy.finish(top=1, seeds=2, progress=False)\n", code=1
    )
    assert "the finish of study 'own' waits for its test: " in stderr
    assert "the study has no parameter 'rate'" in stderr
    assert "study.run(accept_code=True), or with workers study.finish(accept_code=True)" in stderr
    _, stderr = python.run(EVALUATED + "study.run(progress=False)\n", code=1)
    assert "not what it was when the study began: session-evaluate.py differs" in stderr
    trained = len(python.command.json("trials", "own"))
    python.run(
        EVALUATED
        + """
found = study.finish(progress=False, accept_code=True).verdict
assert found["part"] == "test" and found["use"] == 1
best, handed = study.best, study.best.handed
assert best.number == study.optuna.best_trial.number != handed.number
assert found["network"] == {"error": handed.params["lr"], "part": 4, "seen": 4}, found
assert handed.state() == {"seen": [1, 2, 3, 4]}
import dataclasses
assert dataclasses.replace(best, params=handed.params).state() == handed.state()
for stale, why in (
    (dataclasses.replace(best, params={**handed.params, "lr": 0.5}), "network handed over"),
    (dataclasses.replace(handed, number=best.number), "take study.best again"),
):
    try:
        stale.state()
    except hp.HpsearchError as error:
        assert why in str(error), error
    else:
        raise AssertionError(why)
assert str(best).endswith(f"; the network handed over is that of trial {handed.number}")
"""
    )
    assert len(python.command.json("trials", "own")) == trained


def test_what_goes_wrong_in_a_session(python: Python) -> None:
    python.run(
        OF_A_SESSION.replace("run.lr", "run.rate")
        + """
try:
    study.run(progress=False)
except hp.HpsearchError as error:
    said = str(error)
assert "the study has no parameter 'rate'" in said, said
assert "logs" not in said, said  # what it prints is seen there
assert not study.is_running
"""
    )
    (row,) = python.command.json("status")
    assert row["state"] == "stopped"


def test_ctrl_c_leaves_no_process_and_the_study_goes_on(python: Python) -> None:
    (python.folder / "wait").touch()
    process = python.start(OF_A_FILE + "study.run(workers=2)\n")
    python.waiting(2)
    workers = below(process.pid)
    assert len(workers) >= 5  # what they are forked from, two workers, a child of each
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert "run() continues from here" in stderr
    awaited(lambda: not any(map(is_alive, workers)), 15)
    python.go()
    python.run(OF_A_FILE + "study.run(workers=2, progress=False)\n")
    python.whole()


@pytest.mark.parametrize("end", ["exit", "killed"])
def test_workers_behind_end_with_the_interpreter(python: Python, end: str) -> None:
    (python.folder / "wait").touch()
    process = python.start(
        OF_A_FILE
        + """
study.run(workers=1, background=True)
assert study.is_running
import time
from pathlib import Path
while not Path("leave").exists():
    time.sleep(0.02)
"""
    )
    python.waiting()
    workers = below(process.pid)
    if end == "killed":
        process.kill()
    else:
        (python.folder / "leave").touch()
    assert process.wait(60) == (-signal.SIGKILL if end == "killed" else 0)
    awaited(lambda: not any(map(is_alive, workers)), 30)
    python.go()
    python.run(
        OF_A_FILE
        + """
study.run(workers=1, background=True)
study.watch()
assert study.snapshot().study.state == "done" and not study.is_running
"""
    )
    python.whole()


def test_a_study_that_is_stopped_while_it_runs_behind(python: Python) -> None:
    (python.folder / "wait").touch()
    process = python.start(
        OF_A_FILE
        + """
from pathlib import Path
import time
study.run(workers=1, background=True)
while not list(Path().glob("pid-*")):
    time.sleep(0.02)
try:
    study.run()
except hp.HpsearchError as error:
    print(error)
try:
    hp.Study.load("own").delete()
except hp.HpsearchError as error:
    print(error)
study.pause()
assert not study.is_running and study.snapshot().study.state == "paused"
Path("wait").unlink()
study.run(workers=1, progress=False)
study.extend(trials=4)
study.stop()
"""
    )
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "study 'own' runs already" in stdout
    assert "study 'own' is being trained, 1 trial now: call stop() first" in stdout
    assert stderr.count("deleted") == 0
    assert python.command.json("status", "own")["state"] == "stopped"
    python.whole()


def test_a_script_that_runs_its_study_when_it_is_imported(python: Python) -> None:
    file = python.folder / "script.py"
    file.write_text(TRAIN + STUDY.format("") + "study.run(workers=1, progress=False)\n")
    script = "import runpy; runpy.run_path('script.py', run_name='__main__')"
    _, stderr = python.run(script, code=1)
    assert 'put that below if __name__ == "__main__":' in stderr.splitlines()[-1]
    file.write_text(
        TRAIN
        + STUDY.format("")
        + """
if __name__ == "__main__":
    study.run(workers=1, progress=False)
"""
    )
    python.run(script)
    python.whole(failed=1)

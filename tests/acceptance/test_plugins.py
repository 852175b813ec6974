"""What installed packages add is searched, handed over and used as ours is."""

from __future__ import annotations

import csv
import io
import site
from functools import partial

import numpy as np
import optuna
import pytest

from tests.acceptance.conftest import Command, digits
from tests.acceptance.test_handover import table
from tests.plugins import install, write_info

STUDY = """
name: s
data: {source: csv, path: t.csv, target: price}
network: {family: toy}
metric: rmse
parameters:
  depth: {values: [shallow, deep]}
  units: {values: [1, 8]}
  noise: {values: [0.0, 0.25]}
  around: {values: [false, true], when: {units: 8}}
search: {sampler: grid, pruner: none, stack: 4}
budget: {epochs: 2}
"""


@pytest.fixture
def installed(command: Command) -> Command:
    """`hpsearch` where the packages are installed."""
    folder = command.folder / "site"
    install("toy_family", folder)
    install("toy_source", folder)
    install("toy_task", folder)
    command.hooks.append(partial(site.addsitedir, str(folder)))
    table(command.folder / "t.csv")
    return command


def test_a_search_of_a_family_of_another_package(installed: Command) -> None:
    command = installed
    command.run("run", command.file(STUDY))
    trials = command.json("trials", "s")
    assert len(trials) == 12
    by = {(t["params"]["depth"], t["params"]["units"], t["params"].get("around")): t
          for t in trials}  # fmt: skip
    failed = by["deep", 1, None]
    assert failed["state"] == "FAIL"
    assert "toy: a deep network needs 2 units or more" in failed["reason"]
    assert [t["state"] for t in trials].count("FAIL") == 2
    assert by["deep", 8, True]["state"] == by["shallow", 8, False]["state"] == "COMPLETE"
    ways = {
        (t.params["depth"], t.params["units"], t.params.get("around")): t.user_attrs["stack"]
        for t in optuna.load_study(study_name="s", storage=command.url).get_trials()
        if t.state.name == "COMPLETE"
    }
    assert "up to 4 at once: as the study says" in ways["shallow", 8, False]
    assert "up to 4 at once: as the study says" in ways["deep", 8, True]
    command.run("best", "s", "--save", "net")
    rows = list(csv.DictReader(io.StringIO(command.run("predict", "net", "t.csv").stdout)))
    assert len(rows) == 120
    command.hooks.clear()
    missing = command.run("predict", "net", "t.csv", code=8).stderr
    assert missing.count("\n") == 1
    assert "no family 'toy' here: install the package that has it" in missing
    _reads_without_the_package(command, "s", "family 'toy'")


def _reads_without_the_package(command: Command, study: str, what: str) -> None:
    """Every verb that reads the study says in one line what is missing; others are unharmed."""
    missing = f"study {study}: there is no {what} here: install the package that has it"
    command.run("submit", command.file(digits("other", parameters="{lr: 0.1}"), "other.yaml"))
    for verb in ("status", "best", "trials", "watch", "report", "export", "next", "importance"):
        refused = command.run(verb, study, code=1).stderr
        assert refused.count("\n") == 1, refused
        assert missing in refused
    refused = command.run("compare", study, "other", code=1).stderr
    assert missing in refused
    every = command.run("status")
    assert every.stderr.startswith(missing)
    rows = [line.split()[:2] for line in every.stdout.splitlines() if line]
    assert [study, "done"] in rows
    assert ["other", "open"] in rows
    other, unread = command.json("status")
    assert (other["name"], unread["name"], unread["state"]) == ("other", study, "done")
    assert f"study {study}: {unread['error']}".startswith(missing)
    command.run("delete", study, "--yes")


GRADES = """
name: g
data: {source: csv, path: g.csv, target: grade, task: grades}
network: {family: mlp}
metric: {name: distance, direction: minimize}
parameters:
  pull: {values: [0.0, 0.05]}
  lr: {values: [0.01, 0.03]}
  width: 16
search: {sampler: grid, pruner: none, stack: 4}
budget: {epochs: 8}
"""


def _grades(command: Command) -> list[str]:
    """Writes `g.csv`; its rows."""
    rows = [(at % 31, at % 7) for at in range(150)]
    lines = [f"{a},{b},{1 + (a > 9) + (a + b > 22)}" for a, b in rows]
    (command.folder / "g.csv").write_text("\n".join(["a,b,grade", *lines]) + "\n")
    return lines


def test_a_search_of_a_task_of_another_package(installed: Command) -> None:
    command = installed
    lines = _grades(command)
    file = command.file(GRADES)
    other = 'metric.direction: expected minimize, as distance is better so; got "maximize"'
    said = command.run("check", file, "--set", "metric.direction=maximize", code=2).stderr
    assert other in said
    command.run("run", file)
    best = command.json("best", "g")
    baseline = command.json("status", "g")["baseline"]
    assert baseline["name"].startswith("always grade ")
    assert best["value"] < baseline["value"], "it has learnt"
    assert {*best["metrics"]} == {"train_loss", "loss", "distance", "near"}
    assert sum(best["off"]) == 22, "the rows of the validation part"
    assert "how far off, trial " in command.run("best", "g", "--save", "net").stdout
    predicted = command.run("predict", "net", "g.csv").stdout
    found = list(csv.DictReader(io.StringIO(predicted)))
    assert {row["prediction"] for row in found} <= {"1", "2", "3"}
    right = sum(
        row["prediction"] == line.rpartition(",")[2] for row, line in zip(found, lines, strict=True)
    )
    assert right > 100
    command.hooks.clear()
    missing = command.run("predict", "net", "g.csv", code=8).stderr
    assert missing.count("\n") == 1
    assert "no task 'grades' here: install the package that has it" in missing
    _reads_without_the_package(command, "g", "task 'grades'")


@pytest.mark.parametrize(
    ("module", "good", "bad", "words"),
    [
        ("learning", '"near": (off', '"nearly": (off',
         "measure gives no near, which the task declares"),
        ("learning", "def predictions", "def predict", "toy_task.learning has no predictions"),
        ("__init__", "outputs=lambda classes: classes - 1", "outputs=lambda classes: 1 / 0",
         "ZeroDivisionError: division by zero"),
        ("__init__", "lambda classes: classes - 1", "lambda n: n - 1, guess=lambda n: n.of",
         "AttributeError: 'int' object has no attribute 'of'"),
    ],
)  # fmt: skip
def test_a_task_of_a_package_that_fails_is_one_line(
    installed: Command, module: str, good: str, bad: str, words: str
) -> None:
    command = installed
    _grades(command)
    file = command.folder / "site" / "toy_task" / f"{module}.py"
    file.write_text(file.read_text().replace(good, bad))
    said = command.run("run", command.file(GRADES), code=9).stderr
    (line,) = [line for line in said.splitlines() if line.startswith("hpsearch: ")]
    assert "task grades of toy-task 1.0: " in line
    assert line.partition("; fix that")[0].endswith(words)
    if "lambda" not in bad and "def" not in bad:
        assert "toy_task/learning.py, line " in line


BROKEN_INPUTS = """from hpsearch.sources.inputs import RowInputs
class Inputs(RowInputs):
    def of_files(self, files):
        return list(files).nothing
"""


def test_a_package_that_fails_on_new_rows_is_one_line(installed: Command) -> None:
    command = installed
    _grades(command)
    command.run("run", command.file(GRADES))
    command.run("best", "g", "--save", "net")
    file = command.folder / "site" / "toy_task" / "learning.py"
    text = file.read_text()
    at = text[text.index("def predictions") :]
    file.write_text(text.replace(at, at.replace("return ", "return 1 / 0 + ")))
    said = command.run("predict", "net", "g.csv", code=9).stderr
    assert said.count("\n") == 1
    assert "task grades of toy-task 1.0: toy_task/learning.py, line " in said
    command.run("run", command.file(WAVES, "w.yaml"))
    command.run("best", "w", "--save", "waves")
    source = command.folder / "site" / "toy_source"
    (source / "broken.py").write_text(BROKEN_INPUTS)
    init = source / "__init__.py"
    init.write_text(
        init.read_text().replace("hpsearch.sources.inputs:RowInputs", "toy_source.broken:Inputs")
    )
    said = command.run("predict", "waves", "g.csv", code=9).stderr
    assert said == (
        "hpsearch: source waves of toy-source 1.0: toy_source/broken.py, line 4: AttributeError: "
        "'list' object has no attribute 'nothing'\n"
    )


WAVES = """
name: w
data: {source: waves, count: 120}
network: {family: mlp}
parameters: {lr: {values: [0.01, 0.03]}, width: 16}
search: {sampler: grid, pruner: none}
budget: {epochs: 8}
"""


def test_a_search_of_a_source_of_another_package(installed: Command) -> None:
    command = installed
    file = command.file(WAVES)
    said = command.run("check", file, "--set", "data.path=x.csv", code=2).stderr
    assert 'data.path: expected no path, as the source is waves; got "x.csv"' in said
    said = command.run("check", file, "--set", "data.shape=sinus", code=2).stderr
    assert "data.shape: expected one of sine, square" in said
    assert "9 waves are too few" in command.run("run", file, "--set", "data.count=9", code=4).stderr
    command.run("delete", "w", "--yes")
    assert "  84 waves to learn from" in command.run("run", file).stdout
    assert command.json("best", "w")["value"] > 0.9
    assert "  waves around " in command.run("status", "w").stdout
    command.run("best", "w", "--save", "net")
    rows_ND = np.sin(np.linspace(0, 6, 24) * np.array([[1], [2]]))
    np.save(command.folder / "two.npy", rows_ND)
    predicted = command.run("predict", "net", "two.npy").stdout
    assert [row["prediction"] for row in csv.DictReader(io.StringIO(predicted))] == [
        "long",
        "short",
    ]
    command.hooks.clear()
    missing = command.run("predict", "net", "two.npy", code=8).stderr
    assert missing.count("\n") == 1
    assert "no source 'waves' here: install the package that has it" in missing
    _reads_without_the_package(command, "w", "source 'waves'")


@pytest.mark.parametrize("memory", ["auto", "0 MB"])
@pytest.mark.parametrize(
    ("take", "code", "words"),
    [
        ("rows_ND", 9,
         "source waves of toy-source 1.0: ValueError: take gives 120 rows, and 84 were asked for"),
        ("rows_ND[rows], baselines=lambda train, validation: train.of", 9,
         "source waves of toy-source 1.0: toy_source/waves.py, line 36: AttributeError: "
         "'numpy.ndarray' object has no attribute 'of'"),
        ("np.where(rows[:, None] == 7, np.nan, rows_ND[rows])", 4,
         "waves: row 7, counted from 0, has NaN, which is no number"),
    ],
)  # fmt: skip
def test_a_source_that_gives_other_rows_is_to_blame(
    installed: Command, take: str, code: int, words: str, memory: str
) -> None:
    command = installed
    module = command.folder / "site" / "toy_source" / "waves.py"
    text = module.read_text()
    module.write_text(text.replace("take=lambda rows: rows_ND[rows]", f"take=lambda rows: {take}"))
    file = command.file(WAVES)
    said = command.run("run", file, "--set", f"data.memory={memory}", code=code).stderr
    assert f"hpsearch: {words}\n" in said


BROKEN = """
import numpy as np
from torch import nn

from hpsearch.families import Family, Rule, Setting
from hpsearch.sources import DataSpec, Source
from hpsearch.sources.inputs import fit_rows
from hpsearch.sources.raw import Raw

UNITS = Setting("units", "int", 4, "Units.", low=1)

def build_raising(problem, units):
    return Raising()

class Raising(nn.Linear):
    def __init__(self):
        super().__init__(64, 10)
    def forward(self, x):
        return x.nothing()

def build_late(problem, units):
    return nn.Sequential(nn.Flatten(), Late(64, 10))

class Late(nn.Linear):
    def forward(self, x):
        if len(x) > 8:
            raise RuntimeError("too many rows")
        return super().forward(x)

def build_narrow(problem, units):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))

def unbuilt(problem, units):
    return problem.nothing

def breach(settings, task, classes):
    return settings["nothing"]

def read(section, base, decided=None):
    if section.limit == 30:
        return None
    rows = np.zeros((100, 3, 4))
    return Raw("classification", np.arange(100) % 2, ("a", "b"), lambda some: rows[some],
               lambda train: (fit_rows(rows[train]) if section.limit == 20 else some(), ()), "hash")

def family(name, build, *rules):
    return Family(name, "A kind.", frozenset({"images"}), (UNITS,), f"broken:{build}", rules=rules)

raising, narrow = family("raising", "build_raising"), family("narrow", "build_narrow")
late = family("late", "build_late")
built, ruled = (family("built", "unbuilt"),
                family("ruled", "build_narrow", Rule({"units": "others"}, breach)))
SOURCE = Source("broken", "broken rows", DataSpec, "broken:read",
                "hpsearch.sources.inputs:RowInputs", "rows", "classes")
"""


def _at(code: str) -> str:
    """Where that code of the broken package stands, as messages say it."""
    (number,) = (n for n, line in enumerate(BROKEN.splitlines(), 1) if code in line)
    return f"broken.py, line {number}"


def test_code_of_a_package_that_fails_is_one_line_with_its_place(command: Command) -> None:
    folder = command.folder / "site"
    folder.mkdir()
    (folder / "broken.py").write_text(BROKEN)
    families = {name: f"broken:{name}" for name in ("raising", "narrow", "late", "built", "ruled")}
    entries = {"hpsearch.families": families, "hpsearch.sources": {"broken": "broken:SOURCE"}}
    write_info(folder, "broken-nets", "2.0", entries)
    command.hooks.append(partial(site.addsitedir, str(folder)))
    file = command.file(digits(parameters="{units: {values: [4, 8]}}"))

    def fails(verb: str, *settings: str) -> str:
        sets = [word for setting in settings for word in ("--set", setting)]
        said = command.run(verb, file, *sets, code=9).stderr
        (line,) = [line for line in said.splitlines() if line.startswith("hpsearch: ")]
        return line

    assert "ruled of broken-nets 2.0: broken.py, line " in fails("check", "network.family=ruled")
    stopped = "study 's' is stopped before its first trial: family {} of broken-nets 2.0: {}"
    said = (
        f"{_at('return x.nothing()')}: AttributeError: 'Tensor' object has no attribute 'nothing'"
    )
    assert stopped.format("raising", said) in fails("run", "network.family=raising")
    assert command.json("trials", "s") == []
    line = fails("run", "network.family=narrow", "name=n")
    assert "narrow of broken-nets 2.0: the network gives (8, 2) for 8 rows" in line
    line = fails("run", "network.family=late", "name=l", "budget.trials=9")
    again = "trials of study 'l' fail here one after another, with the same error: "
    assert f"{again}{_at('too many rows')}: RuntimeError: too many rows" in line
    assert len(command.json("trials", "l")) < 9
    assert f"{_at('return problem.nothing')}: AttributeError: " in fails(
        "run", "network.family=built", "name=b"
    )
    for limit, words in (
        (10, f"{_at('else some()')}: NameError: name 'some' is not defined"),
        (30, "TypeError: read has to give a Raw, and gave a NoneType"),
    ):
        file = command.file(
            f"name: w{limit}\ndata: {{source: broken, limit: {limit}}}\nparameters: {{lr: 0.1}}\n"
            "network: {family: mlp}\nbudget: {trials: 1, epochs: 1}\n"
        )
        assert f"source broken of broken-nets 2.0: {words}" in fails("run")
    file.write_text(file.read_text().replace("limit: 30", "limit: 20"))
    said = command.run("run", file, "--set", "name=w20", code=4).stderr
    assert "(16, 3, 4); expected rows of numbers (N, D)" in said
    write_info(folder, "other-nets", "1.0", {"hpsearch.families": {"gone": "broken:gone"}})
    found = {one["subject"]: one for one in command.json("doctor")}
    assert (found["family ruled"]["works"], found["family ruled"]["said"]) == (
        True, "broken-nets 2.0")  # fmt: skip
    assert found["source broken"]["said"] == "broken-nets 2.0"
    assert not found["family gone"]["works"]
    assert "family gone of other-nets 1.0 cannot be loaded: " in found["family gone"]["said"]

"""Networks in folders of their own, and what comes of damaged ones."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import hpsearch
from hpsearch.cli.handover import _rows
from hpsearch.errors import CheckpointError, ConflictError, DataError
from hpsearch.handover import folder, own
from hpsearch.handover.labels import labels_of
from hpsearch.handover.trained import Trained
from hpsearch.runner.candidate import Candidate
from hpsearch.sources import dataset as data
from hpsearch.sources.dataset import Dataset, DataSettings, Prepared, load
from hpsearch.spec.family import FAMILIES
from hpsearch.training.array import Array
from tests.zygote import Process, program

CPU = torch.device("cpu")
ROWS = 80


def made(
    dataset: Dataset, settings: DataSettings, metric: str, **chosen: Any
) -> tuple[folder.Config, dict[str, torch.Tensor]]:
    """A network trained for two epochs, and all that is said of it."""
    family = "cnn" if len(dataset.input_shape) == 3 else "mlp"
    found = {**FAMILIES[family].vocabulary().defaults, "epochs": 2, "batch_norm": True, **chosen}
    array = Array(dataset, metric, CPU)
    array.add(Candidate(0, family, found, 1))
    for _ in range(2):
        (report,) = array.reports()
    weights = dict(array.saved(0).state["model"])
    problem = Prepared(**{name: getattr(dataset, name) for name in Prepared.__dataclass_fields__})
    trained = Trained(family, found, weights, problem)
    part, _ = data.test_part(settings, problem, dataset.record, CPU)
    metrics = folder.Metrics(
        metric, dict(report.last.metrics),
        trained.score(trained.outputs(part), part.targets, metric), None,
    )  # fmt: skip
    record = dataset.record
    return folder.Config(
        folder.Network(family, found), problem, metrics,
        folder.Data(
            settings, record["fingerprint"], record["split"], dict(record["rows"]),
            labels=labels_of(settings, problem.task, problem.classes),
        ),
        folder.Provenance("s", "u", "d", 0, 0, 1, {}, None, "now"),
    ), weights  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], DataSettings]:
    """A table with gaps and texts; the target is the column named."""

    def write(target: str) -> DataSettings:
        rng = np.random.default_rng(0)
        lines = ["a,kind,price,yes"]
        for row in range(ROWS):
            gap = "" if row % 9 == 0 else f"{rng.normal():.3f}"
            kind = ["x", "y", "NA", "z"][row % 4]
            lines.append(f"{gap},{kind},{rng.normal() * 50:.2f},{'no' if row % 3 else 'yes'}")
        path = tmp_path / "t.csv"
        path.write_text("\n".join(lines) + "\n")
        ignored = "yes" if target == "price" else "price"
        return DataSettings.of("table", path=path, target=target, ignore=[ignored])

    return write


@pytest.mark.parametrize(
    ("target", "metric", "chosen"),
    [
        ("yes", "auroc", {"widths": (8, 4)}),
        ("yes", "f1", {"loss": "cross_entropy"}),
        ("price", "rmse", {"init": "orthogonal"}),
    ],
)
def test_a_table_s_network_predicts_what_training_measured(
    table, tmp_path: Path, target: str, metric: str, chosen: dict[str, Any]
) -> None:
    settings = table(target)
    dataset = load(settings, CPU)
    config, weights = made(dataset, settings, metric, **chosen)
    folder.write(tmp_path / "net", config, weights)
    state = torch.get_rng_state()
    found = hpsearch.load(tmp_path / "net")
    assert torch.equal(state, torch.get_rng_state())
    assert not found.network.training
    assert found.config == json.loads((tmp_path / "net/config.json").read_text())
    assert found.test() == config.metrics.test
    everything = found.predict_files([(tmp_path / "t.csv")])
    assert everything.scored == ROWS
    assert any("with the rows that it learned from" in note for note in everything.notes)
    lines = (line.split(",") for line in (tmp_path / "t.csv").read_text().splitlines())
    head, *rows = lines
    dicts = [dict(zip(head, row, strict=True)) for row in rows]
    assert found.predict(dicts).score == everything.score
    assert not any("learned from" in note for note in found.predict(dicts).notes)
    trained = Trained(config.network.family, config.network.settings, weights, dataset)
    validation = trained.score(
        trained.outputs(dataset.validation.inputs), dataset.validation.targets, metric
    )
    for name, value in validation.items():  # training measured in single precision
        assert value == pytest.approx(config.metrics.validation[name], rel=1e-4)
    numbers = [{k: float(v) if k in ("a", "price") and v else v or None for k, v in row.items()}
               for row in dicts]  # fmt: skip
    assert found.predict(numbers).values == everything.values
    texts = pd.DataFrame(dicts, dtype="string").replace("", pd.NA)
    for frame in (texts, pd.DataFrame(numbers)):
        assert found.predict(frame).values == everything.values
    if found.classes:
        assert np.allclose(everything.probabilities.sum(axis=1), 1)
        top = everything.probabilities.argmax(axis=1)
        assert everything.values == tuple(found.classes[at] for at in top)
    # A row at a time gives what all together do.
    alone = [found.predict([row]).values[0] for row in dicts[:5]]
    same = alone == pytest.approx(everything.values[:5], rel=1e-12) if target == "price" else (
        tuple(alone) == everything.values[:5]
    )  # fmt: skip
    assert same


@pytest.mark.parametrize(
    ("target", "suffix", "kind"),
    [
        ([0, 1], "parquet", int),
        ([0, 1], "csv", int),
        ([-1.0, 1.0], "parquet", int),
        (pd.Categorical([3, 7]), "parquet", int),
        ([False, True], "parquet", bool),
        ([False, True], "csv", bool),
        (["0", "1"], "parquet", str),
        (["no", "yes"], "csv", str),
        ([0, 1], "npz", int),
        ([False, True], "npz", bool),
        (["0", "1"], "npz", str),
    ],
)
def test_classes_are_as_the_target_has_them(
    tmp_path: Path, target: Any, suffix: str, kind: type
) -> None:
    two = pd.Series(target)
    frame = pd.DataFrame({"a": [0.0, 1.0] * 40, "t": pd.concat([two] * 40, ignore_index=True)})
    path = tmp_path / f"t.{suffix}"
    settings = DataSettings.of("table", path=path, target="t", task="classification")
    rows: Any = frame[["a"]]
    if suffix == "npz":
        rows = frame[["a"]].to_numpy()
        y = frame["t"].to_numpy(str if kind is str else None)
        np.savez(path, X=rows, y=y)
        settings = DataSettings.of("arrays", path=path)
    else:
        getattr(frame, f"to_{suffix}")(path, index=False)
    config, weights = made(load(settings, CPU), settings, "accuracy", lr=0.1)
    folder.write(tmp_path / "net", config, weights)
    found = hpsearch.load(tmp_path / "net")
    assert found.classes == tuple(two)
    assert [*map(type, found.classes)] == [kind] * 2
    values = found.predict(rows).values
    assert {type(value) for value in values} == {kind}
    assert (np.array(values) == frame["t"]).mean() == 1.0
    assert found.config["problem"]["classes"] == [*config.problem.classes]
    (printed,) = _rows(found, found.predict(rows[:1]))
    assert printed["prediction"] == config.problem.classes[0], "a command prints names"
    assert [*printed["probabilities"]] == [*config.problem.classes]


def test_images(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    settings = DataSettings.of("digits", limit=200)
    config, weights = made(load(settings, CPU), settings, "accuracy", blocks=1, channels=4)
    folder.write(tmp_path / "net", config, weights)
    found = hpsearch.load(tmp_path / "net")
    assert found.test() == config.metrics.test
    np.save(tmp_path / "d.npy", load_digits().images[:7])
    values = found.predict(load_digits().images[:7]).values
    assert found.predict_files([tmp_path / "d.npy"]).values == values
    with pytest.raises(DataError, match="one table or array at a time"):
        found.predict_files([tmp_path / "d.npy"] * 2)


@pytest.fixture
def net(table, tmp_path: Path) -> Path:
    settings = table("yes")
    config, weights = made(load(settings, CPU), settings, "accuracy")
    folder.write(tmp_path / "net", config, weights)
    return tmp_path / "net"


def test_rows_that_do_not_suit_are_told(net: Path, tmp_path: Path) -> None:
    found = hpsearch.load(net)
    notes = found.predict([{"a": 1, "kind": "new"}, {"a": 1, "kind": "x"}]).notes
    assert notes == (
        "column `kind`: 1 of 2 values are new to the network, such as `new`; they count as none of "
        "its values",
    )
    assert found.predict([{"a": 1, "kind": "x", "yes": "perhaps"}]).notes == (
        "not scored: column `yes`, line 1: `perhaps` is none of the classes, which are no, yes",
    )
    refused: list[tuple[Any, str]] = [
        ([{"kind": "x"}], "the table lacks the column `a`"),
        ([{"a": "old", "kind": "x"}], "column `a`, line 1: `old` is no number"),
        ([], "has no rows"),
        ([[1, "x"]], "each a mapping"),
        ([{"a": 1e100, "kind": "x"}], "too large"),
    ]
    for rows, words in refused:
        with pytest.raises(DataError, match=words):
            found.predict(rows)


def test_each_row_of_a_file_has_its_prediction_be_it_empty(net: Path, tmp_path: Path) -> None:
    rows = ["a,kind", "1,x", ",", "", "-1,y", " , "]  # a blank line is no row of two columns
    (tmp_path / "gaps.csv").write_text("\n".join(rows) + "\n")
    found, nothing = hpsearch.load(net), dict[str, object](a=None, kind=None)
    there: list[dict[str, object]] = [
        {"a": 1, "kind": "x"}, nothing, {"a": -1, "kind": "y"}, nothing,
    ]  # fmt: skip
    predicted = found.predict_files([tmp_path / "gaps.csv"])
    assert np.array_equal(predicted.probabilities, found.predict(there).probabilities)


def test_the_test_part_is_that_of_the_same_data_and_only_after_a_finish(
    net: Path, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    moved = path.rename(tmp_path / "moved.csv")
    with pytest.raises(DataError, match="cannot read"):
        hpsearch.load(net).test()
    assert hpsearch.load(net).test(moved)
    path.write_text(moved.read_text() + "1,x,2,yes\n")
    with pytest.raises(DataError, match="its fingerprint differs; put the same data back"):
        hpsearch.load(net).test()
    change(net, lambda said: said["metrics"].update(test=None))
    with pytest.raises(ConflictError, match="no finish has used the test part"):
        hpsearch.load(net).test(moved)


def change(net: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    said = json.loads((net / "config.json").read_text())
    how(said)
    (net / "config.json").write_text(json.dumps(said))


def inputs(said: dict[str, Any]) -> dict[str, Any]:
    return said["problem"]["preprocessing"]


def number(said: dict[str, Any]) -> dict[str, Any]:
    return said["problem"]["preprocessing"]["encoder"]["encodings"][0]


def kind(said: dict[str, Any]) -> dict[str, Any]:
    return said["problem"]["preprocessing"]["encoder"]["encodings"][1]


def settings(said: dict[str, Any]) -> dict[str, Any]:
    return said["data"]["settings"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda said: said.update(version=2), "is of version 2, this program reads version 1"),
        (lambda said: said.update(format="x"), "is of another program"),
        (lambda said: said.pop("data"), "data: Field required"),
        (lambda said: said["network"].update(family="none"), "no family 'none' here"),
        (lambda said: said["network"]["settings"].pop("lr"), "settings: lr is missing"),
        (lambda said: said["network"]["settings"].update(depth=99), "at most 64"),
        (lambda said: said["network"]["settings"].update(width=9), r"do not fit .*\(9, "),
        (lambda said: said["metrics"].update(metric="rmse"), "no metric 'rmse'"),
        (lambda said: said["problem"].update(input_shape=[9]), "input_shape: expected"),
        (lambda said: said.update(weights_sha256="0"), "its hash differs"),
        (lambda said: said["problem"].update(classes=["no", "no"]), "classes: 'no' is there twice"),
        (lambda said: said["problem"].update(classes=[]), "classes: expected two or more"),
        (lambda said: said["problem"].update(target_std=0.0), "target_std: .* greater than 0"),
        (lambda said: number(said)["scale"].update(median=math.nan), "median: .* finite"),
        (lambda said: number(said)["scale"].update(deviation=0.0), "deviation: .* greater than 0"),
        (
            lambda said: number(said)["column"].update(name="kind"),
            "the column 'kind' is there twice",
        ),
        (
            lambda said: kind(said)["values"].__setitem__(1, kind(said)["values"][0]),
            "a value of .*'kind' is .* twice",
        ),
        (lambda said: kind(said).update(kind="word"), "expected tags"),
        (lambda said: inputs(said).update(kind="sound"), "kind: Input should be 'rows'"),
        (lambda said: said["metrics"].update(test={}), "metrics.test: expected accuracy"),
        (lambda said: settings(said).update(source="tape"), "no source 'tape'"),
        (lambda said: settings(said).pop("source"), "data.settings: .*no source ''"),
        (lambda said: said["data"].update(settings=3), "data.settings: .*keys with values"),
        (lambda said: said["problem"].update(preprocessing=[]), "problem.preprocessing"),
        (
            lambda said: settings(said).update(path=None),
            "settings: .*path: Field required",
        ),
        (lambda said: settings(said).update(validation=math.nan), "settings: .*validation: "),
        (lambda said: settings(said).update(validation=0.9), "below 1 in all"),
        (lambda said: settings(said).update(test=-0.1), "settings: .*test: "),
        (lambda said: settings(said).update(limit=-3), "settings: .*limit: "),
    ],
)
def test_a_config_that_is_not_whole_is_one_line(net: Path, how, words: str) -> None:
    change(net, how)
    with pytest.raises(CheckpointError, match=words) as error:
        hpsearch.load(net)
    assert "\n" not in str(error.value)


def test_damaged_files_are_one_line(net: Path) -> None:
    weights, config = net / "model.safetensors", net / "config.json"
    whole = weights.read_bytes()
    for damaged, words in ((whole[:300], "is damaged"), (whole[:-1], "is damaged"),
                           (whole[:-1] + b"\1", "its hash differs")):  # fmt: skip
        weights.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=words):
            hpsearch.load(net)
    weights.unlink()
    with pytest.raises(CheckpointError, match="cannot read the weights"):
        hpsearch.load(net)
    for text in ("{", "[" * 100_000):
        config.write_text(text)
        with pytest.raises(CheckpointError, match="is no JSON"):
            hpsearch.load(net)
    config.unlink()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        hpsearch.load(net)
    with pytest.raises(CheckpointError, match=r"no folder .*none: study\.save"):
        hpsearch.load(net / "none")


def test_only_what_it_has_written_is_replaced(net: Path, tmp_path: Path) -> None:
    config, weights = folder.read(net)
    empty = tmp_path / "below" / "empty"
    empty.mkdir(parents=True)
    folder.write(empty, config, weights)
    with pytest.raises(ConflictError, match=r"a network in it already.*--force"):
        folder.write(empty, config, weights)
    folder.write(empty, config, weights, force=True)
    assert folder.read(empty)[0] == folder.read(net)[0]
    assert [path.name for path in empty.parent.iterdir()] == ["empty"]
    (net / "notes.txt").write_text("mine")
    (tmp_path / "file").touch()
    for place in (net, tmp_path / "file"):
        with pytest.raises(ConflictError):
            folder.write(place, config, weights, force=True)
    assert (net / "notes.txt").read_text() == "mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_names_of_ours_that_are_no_files_are_not_replaced(net: Path, name: str, kind: str) -> None:
    """What is in a folder of that name would be deleted with it."""
    config, weights = folder.read(net)
    (net / name).rename(there := net.parent / "moved")
    if kind == "folder":
        (net / name).mkdir()
        (net / name / "notes.txt").write_text("mine")
    elif kind == "link":
        (net / name).symlink_to(there)
    else:
        os.mkfifo(net / name)
    with pytest.raises(ConflictError, match="other things in it"):
        folder.write(net, config, weights, force=True)
    assert os.path.lexists(net / name)
    assert kind != "folder" or (net / name / "notes.txt").read_text() == "mine"


DIES = """
import os, sys
from pathlib import Path
from hpsearch.handover.folder import read, write

config, weights = read(Path(sys.argv[1]))
left = 0

def counted(call):
    def wrapped(*args, **kwargs):
        global left
        if not left:
            os._exit(9)
        left -= 1
        return call(*args, **kwargs)
    return wrapped

for name in ("mkdir", "write_bytes", "write_text", "rename"):
    setattr(Path, name, counted(getattr(Path, name)))
for left, folder in enumerate(sys.argv[1:]):
    if not os.fork():
        write(Path(folder), config, weights, force=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 9
"""


def test_a_killed_save_leaves_no_half_folder(net: Path, tmp_path: Path) -> None:
    """Killed before each of its steps: two folders, two files, two renames."""
    before = folder.read(net)[0]
    nets = [tmp_path / str(step) / "net" for step in range(6)]
    for place in nets:
        shutil.copytree(net, place)
    assert Process(program(DIES, *nets)).wait() == 0
    *earlier, between = nets
    for place in earlier:
        assert folder.read(place)[0] == before
    assert not between.exists()
    (beside,) = between.parent.iterdir()
    assert beside.name.startswith(".net.")
    for whole in ("old", "new"):
        assert folder.read(beside / whole)[0] == before
    folder.write(between, *folder.read(net), force=True)
    assert folder.read(between)[0] == before
    assert [path.name for path in beside.iterdir()] == ["new"], "the old one was put back first"


def test_two_saves_to_one_folder_at_a_time(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one comes between the two renames of the first."""
    config, weights = folder.read(net)
    other = replace(config, provenance=replace(config.provenance, study="other"))
    rename, crossed = Path.rename, list[Path]()

    def crossing(self: Path, target: Path) -> Path:
        if self.name == "new" and not crossed:
            crossed.append(self)
            folder.write(net, other, weights, force=True)
            assert folder.read(net)[0].provenance.study == "other"
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", crossing)
    folder.write(net, config, weights, force=True)
    assert crossed
    assert folder.read(net)[0] == config
    assert not [path for path in net.parent.iterdir() if path.name.startswith(".")]


def test_the_current_folder_takes_a_network(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, weights = folder.read(net)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder.write(Path(), config, weights)
    assert folder.read(tmp_path / "here")[0] == config


def test_a_save_that_is_broken_off_puts_back_what_was_there(
    net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, weights = folder.read(net)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.write(net, config, weights, force=True)
    assert folder.read(net)[0] == config
    assert not [path for path in net.parent.iterdir() if path.name.startswith(".")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What own training code saved in its trial 1."""
    place = tmp_path / "run"
    own.write(place, run_of(1), {"weights": torch.ones(1)}, force=False)
    return place


def run_of(trial: int) -> dict[str, Any]:
    return {"format": "hpsearch run", "function": "train.py:train", "trial": trial}


def test_a_run_that_cannot_be_replaced_is_put_back(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, broken = Path.rename, list[Path]()

    def interrupted(self: Path, target: Path) -> Path:
        if target == run and not broken:
            broken.append(self)
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        own.write(run, run_of(2), {"weights": torch.zeros(1)}, force=True)
    assert json.loads((run / "run.json").read_text())["trial"] == 1
    own.write(run, run_of(2), {"weights": torch.zeros(1)}, force=True)
    assert json.loads((run / "run.json").read_text())["trial"] == 2
    assert not [path for path in run.parent.iterdir() if path.name.startswith(".")]


def test_a_run_json_of_another_program_is_not_replaced(run: Path) -> None:
    (run / "run.json").write_text('{"name": "mine"}')
    with pytest.raises(ConflictError, match="other things in it than a run"):
        own.write(run, run_of(2), {}, force=True)
    assert "mine" in (run / "run.json").read_text()


def test_importing_hpsearch_does_not_import_torch() -> None:
    code = "import hpsearch, sys; hpsearch.load; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

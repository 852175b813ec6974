"""First weights from files: whatever wrote them, all but the last layer is taken from there."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.errors import DataError
from hpsearch.spec import StudySpec
from hpsearch.spec.checks import check
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.document import read
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.faults import Faults, StudyFaultsError
from hpsearch.spec.problem import Problem
from hpsearch.store.values import needed
from hpsearch.training.networks import build
from hpsearch.weights import missing, weighed
from hpsearch.weights.begin import begin
from hpsearch.weights.files import _known
from tests.later import Later

models = Later("torchvision.models")
timm = Later("timm")


def network(family: str, classes: int = 3, shape: tuple[int, ...] = (1, 12, 12), **own: Any):
    """A network and all settings of it."""
    problem = Problem("classification", "images", shape, classes, tuple("abcdefgh"[:classes]))
    settings = {**FAMILIES[family].vocabulary().defaults, **own}
    return build(family, problem, settings), settings


def begun(family: str, path: Path, **own: Any) -> nn.Module:
    """A network that begins with the weights of a file."""
    net, settings = network(family, **own)
    begin(net, family, {**settings, "weights": _known(path)})
    return net


def test_all_but_the_last_layer_of_our_own_families_comes_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cnn.pt"
    source, _ = network("cnn", classes=5, batch_norm=True)
    torch.save({"epoch": 3, "state_dict": source.state_dict()}, file)
    torch.manual_seed(1)
    net = begun("cnn", file, batch_norm=True)
    torch.manual_seed(1)
    drawn, _ = network("cnn", batch_norm=True)
    last = list(net.state_dict())[-1].partition(".")[0]
    for name, tensor in net.state_dict().items():
        expected = drawn if name.startswith(f"{last}.") else source
        assert torch.equal(tensor, expected.state_dict()[name])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_model_of_torchvision_begins_with_a_file_of_its_own(tmp_path: Path, suffix: str) -> None:
    source = models.get_model("shufflenet_v2_x0_5", weights=None)
    file = tmp_path / f"file{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(source.state_dict(), file)
    net: Any = begun("torchvision", file, model="shufflenet_v2_x0_5", shape=(3, 32, 32)).eval()
    source.fc = nn.Identity()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(net.features(images), source.eval()(images))


@pytest.mark.parametrize(("model", "size"), [("test_resnet", 64), ("test_vit", 160)])
def test_a_model_of_timm_begins_with_a_file_of_its_own(
    tmp_path: Path, model: str, size: int
) -> None:
    source, file = timm.create_model(model, num_classes=7), tmp_path / "file.safetensors"
    save_file(source.state_dict(), file)
    net: Any = begun("timm", file, model=model, size=size, shape=(3, size, size)).eval()
    source.reset_classifier(0)
    images = torch.randn(2, 3, size, size)
    assert torch.equal(net.features(images), source.eval()(images))


def test_positions_are_brought_to_another_size_by_timm(tmp_path: Path) -> None:
    file = tmp_path / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), file)
    net: Any = begun("timm", file, model="test_vit", size=64)
    assert net.body.pos_embed.shape[1] == 1 + 16


def test_a_network_of_ours_begins_with_what_another_of_ours_was(tmp_path: Path) -> None:
    source, _ = network("timm", classes=5, model="test_resnet")
    save_file(source.state_dict(), tmp_path / "file.safetensors")
    net: Any = begun("timm", tmp_path / "file.safetensors", model="test_resnet")
    assert torch.equal(net.body.conv1[0].weight, source.get_parameter("body.conv1.0.weight"))


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("here"),))


FAULTS: dict[str, tuple[Any, str]] = {
    "another network": (
        {"0.weight": torch.zeros(2, 2)}, r"do not fit the network: 0.weight is of shape \(2, 2\)"),
    "code": (Evil(), "is no file of weights"),
    "no tensors": ({"a": 1}, "it is no state dict of tensors"),
    "a list": ([1], "it is no state dict of tensors"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_is_refused_in_a_line(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, why = FAULTS[name]
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(SettingsError, match=why) as error:
        begun("cnn", tmp_path / "file.pt")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "here").exists()


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "file.pt"
    net, settings = network("cnn")
    torch.save(net.state_dict(), file)
    digest = _known(file)
    torch.save(network("cnn")[0].state_dict(), file)
    with pytest.raises(DataError, match="have changed since the study began"):
        begin(net, "cnn", {**settings, "weights": digest})


# --- studies ----------------------------------------------------------------------------------


def study(weights: str, family: str = "timm", model: object = None) -> StudySpec:
    model = "" if model is None else f"model: {model}, "
    text = f"""
name: s
data: {{source: digits}}
network: {{family: {family}, weights: {weights}}}
parameters: {{{model}lr: {{min: 1e-3, max: 1e-1}}}}
budget: {{trials: 2}}
"""
    faults = Faults()
    return check(read(text, faults), faults, "study.yaml", code=Path())


def test_a_study_knows_its_weights_by_their_hash(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    spec = weighed(study("w.pt", model="test_resnet"), tmp_path)
    assert spec.document["network"] == {
        "family": "timm", "weights": "w.pt", "hashes": {"w.pt": digest},
    }  # fmt: skip
    again = StudySpec.from_document(spec.document)
    assert again == spec
    assert again.digest == spec.digest
    assert again.settings({"lr": 1.0})["weights"] == digest
    assert again.weights.needs == (f"weights w.pt {digest}",)
    assert needed(again.weights.needs) == "the weights w.pt"
    assert missing(again, tmp_path) == ""
    (tmp_path / "w.pt").write_bytes(b"other weights")
    assert missing(again, tmp_path).endswith("its hash differs")
    assert weighed(spec, tmp_path).digest != spec.digest
    (tmp_path / "w.pt").unlink()
    assert missing(again, tmp_path) == f"network.weights: there is no file {tmp_path / 'w.pt'}"


def test_a_study_without_weights_is_what_it_was() -> None:
    spec = study("none", "cnn")
    assert spec.document["network"] == {"family": "cnn"}
    assert spec.filled["network"] == {"family": "cnn"}
    assert spec.settings({})["weights"] == "none"


def test_a_folder_means_the_network_in_it(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.safetensors").write_bytes(b"weights")
    spec = weighed(study("net", "cnn"), tmp_path)
    assert spec.weights.hashes == {"net": hashlib.sha256(b"weights").hexdigest()}


@pytest.mark.parametrize(
    ("family", "model", "file"),
    [
        ("torchvision", "resnet18", "resnet18-f37072fd.pth"),
        ("timm", "resnet18.a1_in1k", "resnet18.a1_in1k.safetensors"),
    ],
)
def test_published_weights_are_looked_for_and_never_fetched(
    family: str, model: str, file: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "hub" / "checkpoints" / file
    spec = study("pretrained", family, model)
    with pytest.raises(DataError) as error:
        weighed(spec, tmp_path)
    message = str(error.value)
    assert message.startswith(f"the weights of {model} are not here, and hpsearch downloads none:")
    assert f"put {file}" in message
    assert f"into {place.parent}" in message
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    assert weighed(spec, tmp_path).weights.hashes == {model: hashlib.sha256(b"weights").hexdigest()}


def test_every_model_that_is_searched_has_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name in ("resnet18-f37072fd.pth", "alexnet-owt-7be5be79.pth"):
        (folder / name).write_bytes(name.encode())
    spec = study("pretrained", "torchvision", "{values: [resnet18, alexnet]}")
    spec = weighed(spec, tmp_path)
    assert [*spec.weights.hashes] == ["resnet18", "alexnet"]
    assert spec.settings({"model": "alexnet"})["weights"] == spec.weights.hashes["alexnet"]


@pytest.mark.parametrize(
    ("network", "parameters", "expected"),
    [
        ("family: cnn, weights: pretrained", "", "are published for timm and torchvision"),
        ("family: cnn, weights: 3", "", "network.weights: expected text"),
        ("family: cnn, hashes: {a: b}", "", "network.hashes"),
        ("family: cnn", "weights: none, ", "network: {weights: ...} says it"),
        ("family: torchvision", "model: resnet81, ", "expected the name of a model in torchvision"),
    ],
)  # fmt: skip
def test_faults_are_reported_with_their_place(network: str, parameters: str, expected: str) -> None:
    text = f"""
name: s
data: {{source: digits}}
network: {{{network}}}
parameters: {{{parameters}lr: {{min: 1e-3, max: 1e-1}}}}
budget: {{trials: 2}}
"""
    faults = Faults()
    with pytest.raises(StudyFaultsError, match=re.escape(expected)):
        check(read(text, faults), faults, "study.yaml", code=Path())


def test_a_study_is_checked_where_published_weights_are_not_here_yet(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "study.yaml"
    text = (
        "name: s\ndata: {source: digits}\nnetwork: {family: torchvision, weights: WEIGHTS}\n"
        "parameters: {model: resnet18, lr: 0.1}\nbudget: {trials: 1, epochs: 1}\n"
    )
    for weights, code, said in (
        ("pretrained", 0, "warning: the weights of resnet18 are not here"),
        ("net.pt", 4, "network.weights: there is no file"),
    ):
        file.write_text(text.replace("WEIGHTS", weights))
        done = CliRunner().invoke(app, ["check", str(file)])
        found = done.exception.exit_code if isinstance(done.exception, DataError) else 0
        assert (found, said in f"{done.stderr}{done.exception}") == (code, True)

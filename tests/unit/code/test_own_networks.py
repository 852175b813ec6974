"""What own code gives is looked at before anything is trained by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.code import Code, arguments, use
from hpsearch.code.signature import written
from hpsearch.errors import CodeError, DataError
from hpsearch.handover.trained import Trained
from hpsearch.preflight.max_batch_size import _fits
from hpsearch.preflight.own_code import check_own_code
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES
from hpsearch.tasks.losses import constant_loss, loss_function
from hpsearch.training.array import Array
from hpsearch.training.networks import build
from hpsearch.training.trial_progress import TrialProgress

HEAD = "import torch\nfrom torch import nn\n"
GOOD = """
class Net(nn.Module):
    def __init__(self, problem, width: int = 8):
        super().__init__()
        self.first, self.second = nn.Linear(64, width), nn.Linear(width, problem.outputs)
    def forward(self, x):
        return self.second(self.first(x.flatten(1)).relu())
"""
LINEAR = "def build(problem, width=8): return nn.Sequential(nn.Flatten(), nn.Linear(64, {}))"

KEEPER = """
class build(nn.Module):
    def __init__(self, problem):
        super().__init__()
        self.kept, self.last = {kept}, nn.Linear(64, problem.outputs)

    def forward(self, x):
        x = x.flatten(1)
        return self.last({used})
"""


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load(DataSettings.of("digits", limit=100), torch.device("cpu"))


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    use(None)


def candidate(folder: Path, source: str, name: str = "build", **settings: object) -> Candidate:
    (folder / "nets.py").write_text(HEAD + source)
    use(Code.at(folder))
    family = f"nets.py:{name}{written(arguments(folder, f'nets.py:{name}'))}"
    defaults = {**FAMILIES[family].vocabulary().defaults, "epochs": 2, **settings}
    return Candidate(0, family, defaults, 1)  # type: ignore[arg-type]


def test_a_class_is_built_and_trained_like_any_family(tmp_path: Path, dataset: Dataset) -> None:
    one = candidate(tmp_path, GOOD, "Net", width=4)
    check_own_code(one, dataset, torch.device("cpu"))
    array = Array(dataset, "accuracy", torch.device("cpu"))
    array.add(one)
    (report,) = array.reports()
    assert report.failure is None
    assert array.saved(0).network["first.weight"].shape == (4, 64)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def build(problem):\n    raise KeyError('x')", "nets.py:build: nets.py, line 4: KeyErr"),
        ("import sys\ndef build(problem): sys.exit(0)", "nets.py, line 4: SystemExit: 0"),
        (GOOD.replace("return", "raise SystemExit(0)\n        return").replace("Net", "build"),
         "nets.py, line 9: SystemExit: 0"),
        (GOOD.replace("x.flatten(1)", "x.flatten(1) * self.random").replace(
            "super().__init__()", "super().__init__(); self.random = torch.rand(64)").replace(
            "Net", "build"), "built again, .* what it draws or learns beside them has to be a"),
        ("def build(problem): return 3", "has to give an nn.Module, and gave a int"),
        ("def build(problem): return nn.Flatten()", "a network without parameters"),
        (LINEAR.format(3), r"the network gives \(8, 3\) for 8 rows, and has to give \(8, 10\)"),
        (GOOD.replace("return self.second", "return self.third").replace("Net", "build"),
         "nets.py:build: nets.py, line 9: AttributeError: 'build' object has no attribute"),
        (GOOD.replace("relu())", "relu()), 1").replace("Net", "build"),
         r"gives a tuple, and has to give a tensor \(N, 10\)"),
        (GOOD.replace("relu())", "relu()).double()").replace("Net", "build"), "gives torch.float6"),
        (GOOD.replace("relu())", "relu()).detach()").replace("Net", "build"), "has no gradient"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(
    tmp_path: Path, dataset: Dataset, source: str, line: str
) -> None:
    with pytest.raises(CodeError, match=line) as caught:
        check_own_code(candidate(tmp_path, source), dataset, torch.device("cpu"))
    assert "\n" not in str(caught.value)


def test_settings_that_make_no_network_fail_their_trial_alone(
    tmp_path: Path, dataset: Dataset
) -> None:
    one = candidate(tmp_path, "def build(problem):\n    raise ValueError('too wide')")
    check_own_code(one, dataset, torch.device("cpu"))
    with pytest.raises(SettingsError, match=r"nets.py:build: nets.py, line 4: too wide"):
        build(one.family, dataset.problem("cross_entropy"), one.settings)


def test_another_shape_in_some_trial_fails_it(tmp_path: Path, dataset: Dataset) -> None:
    """A loss takes more outputs than there are classes; nobody would see it."""
    array = Array(dataset, "accuracy", torch.device("cpu"))
    array.add(candidate(tmp_path, LINEAR.format("12"), width=8))
    (report,) = array.reports()
    assert report.message == "the network gives (N, 12), and has to give (N, 10)"


def test_the_place_in_own_code_is_in_the_reason(tmp_path: Path, dataset: Dataset) -> None:
    source = GOOD.replace("return self", "x = x.view(3, -1)\n        return self")
    array = Array(dataset, "accuracy", torch.device("cpu"))
    array.add(candidate(tmp_path, source, "Net"))
    (report,) = array.reports()
    assert report.message.startswith("nets.py, line 9: RuntimeError: shape '[3, -1]' is invalid")


def test_what_would_end_the_process_fails_its_trial(tmp_path: Path, dataset: Dataset) -> None:
    array = Array(dataset, "accuracy", torch.device("cpu"))
    array.add(
        candidate(
            tmp_path, GOOD.replace("return self", "raise SystemExit(0)\n        return self"), "Net"
        )
    )
    (report,) = array.reports()
    assert report.message == "nets.py, line 9: SystemExit: 0"


@pytest.mark.parametrize(
    ("kept", "used"),
    [
        ("torch.full((64,), 2.0)", "x * self.kept"),
        ("nn.Buffer(torch.full((64,), 2.0), persistent=False)", "x * self.kept"),
        ("int(torch.tensor(2).item())", "x.float() * self.kept"),
        ("2", "x @ (self.kept * torch.eye(64))"),
    ],
)
def test_what_is_no_weight_is_there_after_the_search(
    tmp_path: Path, dataset: Dataset, kept: str, used: str
) -> None:
    """In an attribute or a hidden buffer, and in single precision."""
    one = candidate(tmp_path, KEEPER.format(kept=kept, used=used))
    check_own_code(one, dataset, torch.device("cpu"))
    network = TrialProgress(one, dataset).network().eval()
    weights = {name: value.detach() for name, value in network.state_dict().items()}
    inputs, state = dataset.validation.inputs, torch.get_rng_state()
    outputs = Trained(one.family, one.settings, weights, dataset).outputs(inputs)
    assert torch.equal(torch.get_rng_state(), state)
    assert outputs.dtype == torch.float64
    assert torch.allclose(outputs.float(), network(inputs), atol=1e-5)


def test_what_has_no_memory_is_left_to_the_trials(tmp_path: Path, dataset: Dataset) -> None:
    one = candidate(tmp_path, "def build(problem): return torch.empty(10**15)")
    check_own_code(one, dataset, torch.device("cpu"))


def test_a_batch_size_is_not_tried_for_what_fails_anyway(tmp_path: Path, dataset: Dataset) -> None:
    one = candidate(tmp_path, GOOD.replace("return self.second", "return self.third"), "Net")
    with pytest.raises(CodeError, match=r"nets.py:Net: nets.py, line 9: AttributeError"):
        _fits(one, dataset, torch.device("cpu"), 8)


LOSSES = """
from torch.nn import functional as F
def mean(outputs, targets): return F.cross_entropy(outputs, targets)
def rows(outputs, targets): return F.cross_entropy(outputs, targets, reduction="none")
def elements(outputs, targets): return (outputs - 1) ** 2
def number(outputs, targets): return 1.0
def counts(outputs, targets): return (outputs.argmax(1) == targets).sum()
"""


def own_loss(folder: Path, dataset: Dataset, name: str):
    (folder / "losses.py").write_text(LOSSES)
    use(Code.at(folder))
    return loss_function("classification", name, [{}], dataset.train.targets, dataset.problem())


@pytest.mark.parametrize("name", ["mean", "rows"])
def test_a_loss_is_one_number_or_one_a_row_of_each_slot(
    tmp_path: Path, dataset: Dataset, name: str
) -> None:
    loss = own_loss(tmp_path, dataset, f"losses.py:{name}")
    outputs_KNC, targets_N = torch.randn(3, 7, 10), torch.arange(7)
    targets_KN = torch.stack([targets_N, targets_N.flip(0), targets_N])
    for targets, of_slot in (
        (targets_N, lambda _: targets_N),
        (targets_KN, lambda k: targets_KN[k]),
    ):
        expected = [torch.nn.functional.cross_entropy(o, of_slot(k))
                    for k, o in enumerate(outputs_KNC)]  # fmt: skip
        assert torch.allclose(loss(outputs_KNC, targets), torch.stack(expected))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("elements", r"one for each of 7 rows, and gave the shape \(7, 10\)"),
        ("number", "has to give a tensor, and gave a float"),
        ("counts", "has to give floating-point numbers, and gave torch.int64"),
    ],
)
def test_a_loss_that_is_none(tmp_path: Path, dataset: Dataset, name: str, line: str) -> None:
    loss = own_loss(tmp_path, dataset, f"losses.py:{name}")
    with pytest.raises(CodeError, match=line):
        loss(torch.randn(1, 7, 10), torch.arange(7))


def test_the_best_constant_of_an_own_loss_is_found(tmp_path: Path, dataset: Dataset) -> None:
    own_loss(tmp_path, dataset, "losses.py:mean")
    targets = torch.tensor([0] * 6 + [1] * 2)
    ours, theirs = (
        constant_loss("classification", name, {"label_smoothing": 0.0}, targets, dataset.problem())
        for name in ("losses.py:mean", "cross_entropy")
    )
    assert ours == pytest.approx(theirs, rel=0.02)


class TestData:
    """`data: {module: ...}`."""

    def load(self, folder: Path, body: str, **keys: Any) -> Dataset:
        (folder / "data.py").write_text(f"import numpy as np\ndef load(part, seed):\n    {body}\n")
        use(Code.at(folder))
        return load(DataSettings.of("module", module="data.py:load", **keys), torch.device("cpu"))

    def test_parts_of_its_own_stay_apart(self, tmp_path: Path) -> None:
        body = """n = {"train": 40, "validation": 10, "test": 6}[part]
    return np.full((n, 3), float(n)), np.arange(n) % 2"""
        found = self.load(tmp_path, body)
        assert found.record["rows"] == {"train": 40, "validation": 10, "test": 6}
        assert not found.train.inputs.any(), "scaled by the training rows"
        assert (found.validation.inputs == -30).all()

    def test_the_others_are_split_from_the_training_rows(self, tmp_path: Path) -> None:
        body = """n = {"train": 40, "validation": 10}.get(part)
    return n and (np.arange(3.0 * n).reshape(n, 3), np.arange(n) * 1.0)"""
        found = self.load(tmp_path, body, test=0.25)
        assert found.task == "regression"
        assert found.record["rows"] == {"train": 28, "validation": 10, "test": 12}
        body = "return part == 'train' and (np.eye(40), np.arange(40) % 2) or None"
        assert self.load(tmp_path, body).record["rows"] == {"train": 28, "validation": 6, "test": 6}

    def test_a_data_set_is_read_pair_by_pair(self, tmp_path: Path) -> None:
        body = """import torch
    from torch.utils.data import TensorDataset
    if part != "train": return None
    return TensorDataset(torch.rand(40, 3, 8, 8), torch.arange(40) % 4)"""
        found = self.load(tmp_path, body)
        assert (found.kind, found.input_shape, len(found.classes)) == ("images", (3, 8, 8), 4)

    @pytest.mark.parametrize(
        ("body", "error", "line"),
        [
            ("return 1 / 0", CodeError, r'"train": data.py, line 3: ZeroDivisionError'),
            ("raise SystemExit(0)", CodeError, r'"train": data.py, line 3: SystemExit: 0'),
            ("return None", DataError, r'gives None for "train"'),
            ("return 3", DataError, "is a int; expected arrays"),
            ("return np.zeros((9, 2)), np.zeros(8)", DataError, "X has 9 rows, and y has the"),
            ("return np.full((9, 2), np.nan), np.zeros(9)", DataError, "18 values that are NaN"),
            ("return np.array([None] * 9), np.zeros(9)", DataError, "is of object"),
            ("return [(np.zeros(2), 0), (np.zeros(3), 1)]", DataError, "row 1 .* has the shapes"),
            ("return [3]", DataError, r"row 0 .* is a int; expected a pair"),
            ("return []", DataError, "has no rows"),
            ("return np.zeros((9, len(part))), np.arange(9) % 2", DataError, "differ in more than"),
        ],
    )  # fmt: skip
    def test_what_is_no_data_is_one_line(
        self, tmp_path: Path, body: str, error: type[Exception], line: str
    ) -> None:
        with pytest.raises(error, match=line) as caught:
            self.load(tmp_path, body)
        assert "\n" not in str(caught.value)

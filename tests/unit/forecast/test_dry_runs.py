"""Dry runs of what a study draws."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpsearch.errors import HpsearchError
from hpsearch.forecast.dry_runs import draws, time_shapes
from hpsearch.forecast.pace import Pace
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import DataSettings
from hpsearch.sources.dataset import load as load_data
from hpsearch.spec import StudySpec, load
from hpsearch.training import devices
from hpsearch.training.stacking.slots import Cost
from hpsearch.training.stacking.stand_in import CannotStackError

CPU = torch.device("cpu")


@pytest.fixture
def study(tmp_path: Path):
    def make(
        parameters: str, search: str = "{sampler: random, pruner: none}", start: str = "[]"
    ) -> StudySpec:
        file = tmp_path / "s.yaml"
        file.write_text(
            "name: s\ndata: {source: digits, limit: 300}\nnetwork: {family: mlp}\n"
            f"parameters: {parameters}\nstart: {start}\nsearch: {search}\n"
            "budget: {trials: 40, epochs: 3}\n"
        )
        return load(file)

    return make


def timed(spec: StudySpec, limit_s: float = 20.0) -> Pace:
    dataset = load_data(DataSettings.of("digits", limit=300), CPU)
    return time_shapes(spec, dataset, CPU, devices_=1, seats=2, workers=1, limit_s=limit_s)


SHAPES = "{architecture: {width: {values: [8, 64]}}, learning_rate: {lr: {min: 0.01, max: 1}}}"


def test_shapes_are_timed_alone_and_together_and_weighed_by_how_often_they_are_drawn(study) -> None:
    pace = timed(study(SHAPES))
    assert pace.shaping == ("width",)
    assert pace.possible == 2
    assert len(pace.draws) == 501, "once timed, a shape costs nothing"
    small, large = sorted(pace.shapes, key=lambda shape: shape.words, reverse=True)
    assert (small.words, large.words) == ("width=8", "width=64")
    assert 150 < pace.draws.count(pace.shapes.index(small)) < 350
    for shape in pace.shapes:
        (one, alone_s), (count, _) = shape.epochs_s
        assert (one, count) == (1, 21), "of forty trials about half"
        assert 0 < shape.shared_s <= alone_s < 5
        assert shape.stack_bytes >= shape.candidate_bytes > 0
    assert large.checkpoint_bytes > 4 * small.checkpoint_bytes


def test_without_time_there_is_the_default_and_the_largest(study) -> None:
    widths = "{architecture: {width: {values: [8, 16, 64], default: 16}}}"
    pace = timed(study(widths), limit_s=0.0)
    assert [shape.words for shape in pace.shapes] == ["width=16", "width=64"]
    assert pace.draws == (0,)


def test_what_cannot_be_trained_is_noted(study) -> None:
    # Constant, both are a fault of the file; searched, some of what is drawn is.
    norms = "architecture: {batch_norm: {values: [true, false]}}"
    pace = timed(study(f"{{{norms}, batch_size: {{batch_size: {{values: [1, 32]}}}}}}"))
    (fault,) = pace.faults
    assert "batch_norm needs" in fault
    assert len(pace.shapes) == 3
    assert not any(fault.startswith(shape.words) for shape in pace.shapes)
    with pytest.raises(HpsearchError, match="nothing that the study draws"):
        timed(study("{optimizer: {loss: bce}}"))


def test_conditions_are_kept_and_the_default_and_starting_points_come_first(study) -> None:
    spec = study(
        "{architecture: {batch_norm: {values: [false, true], default: false}, "
        "width: {values: [8, 512], default: 512, when: {batch_norm: false}}}, "
        "learning_rate: {lr: {min: 0.01, max: 1}}}",
        start="[{batch_norm: true}, {lr: 0.5}]",
    )
    found = list(draws(spec, 50))
    assert len(found) == 53
    assert all(("width" in values) != values["batch_norm"] for values in found)
    default, normed, started, *_ = found
    assert (default["batch_norm"], default["width"]) == (False, 512)
    assert normed.keys() == {"batch_norm", "lr"}
    assert started == {"batch_norm": False, "width": 512, "lr": 0.5}
    assert len({values["lr"] for values in found}) == 53, "what has no default is drawn"


WIDTHS = (
    "{architecture: {width: {values: [8, 16, 32, 64], default: 8}}, "
    "learning_rate: {lr: {min: 0.01, max: 1}}}"
)


def cost(candidate: Candidate, *args: object) -> Cost:
    """One width has no stacked form, and of one a stack has no memory."""
    width, slots = int(str(candidate.settings["width"])), int(str(args[-1]))
    if slots > 1 and width == 32:
        raise CannotStackError("no stacked form")
    if slots > 1 and width == 64:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return Cost(slots, 0.1 * slots**0.5, 1000 * slots)


@pytest.mark.parametrize(("stack", "free_bytes", "count"), [
    ("auto", 1 << 30, 11), ("3", 1 << 30, 3), ("off", 1 << 30, 1), ("auto", 2 * 1000 * 9, 5),
])  # fmt: skip
def test_stacks_are_timed_where_they_pay_and_as_large_as_they_may_be(
    study, monkeypatch: pytest.MonkeyPatch, stack: str, free_bytes: int, count: int
) -> None:
    monkeypatch.setattr("hpsearch.forecast.dry_runs.cost", cost)
    monkeypatch.setattr(devices, "free_memory", lambda _: free_bytes)
    pace = timed(study(WIDTHS, f"{{sampler: random, stack: {stack}}}"))
    most = {shape.words: shape.epochs_s[-1][0] for shape in pace.shapes}
    assert most == {"width=8": count, "width=16": count, "width=32": 1, "width=64": 1}
    assert not pace.faults

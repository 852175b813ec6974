"""Dry runs of what a study draws."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.errors import HpsearchError
from hpsearch.extrapolation import STACK, speedup
from hpsearch.forecast import forecast
from hpsearch.rehearsal import draws, rehearse
from hpsearch.runner import Fit
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import DataSettings
from hpsearch.sources.dataset import load as load_data
from hpsearch.spec import StudySpec, load
from hpsearch.training import devices
from hpsearch.training.array import Array
from hpsearch.training.stacking.layers import CannotStackError
from hpsearch.training.stacking.slots import Cost

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


def rehearsed(spec: StudySpec, limit_s: float = 20.0):
    dataset = load_data(DataSettings("digits", limit=300), CPU)
    since = time.time() - 100
    return rehearse(spec, dataset, CPU, devices_=1, seats=2, since=since, limit_s=limit_s)


SHAPES = "{architecture: {width: {values: [8, 64]}}, learning_rate: {lr: {min: 0.01, max: 1}}}"


def test_shapes_are_timed_and_weighed_by_how_often_they_are_drawn(study) -> None:
    spec = study(SHAPES)
    timings = rehearsed(spec)
    assert timings.shaping == ("width",)
    assert sorted(shape.words for shape in timings.shapes) == [
        "width=64", "width=8",
    ]  # fmt: skip
    assert all(150 < count < 350 for count in Counter(timings.draws).values())
    for shape in timings.shapes:
        assert shape.epochs_s[0][0] == 1
        assert 0 < shape.epoch_s(1) < 5
        assert shape.stack_bytes >= shape.candidate_bytes > 0
    small, large = (next(s for s in timings.shapes if s.words == f"width={n}") for n in (8, 64))
    assert large.checkpoint_bytes > 4 * small.checkpoint_bytes
    assert forecast(spec, timings).epochs.expected == 120


def test_the_start_of_a_worker_is_without_the_search_for_the_largest_batch(
    study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study("{batch_size: {batch_size: {min: 16, max: auto}}, learning_rate: {lr: 0.1}}")
    clock, leap, started = time.time, [0], []

    def sized(_ledger, spec: StudySpec, *_):
        leap[0] = 1000
        (parameter,) = spec.space
        numbered = replace(parameter, domain=replace(parameter.domain, high=64, auto=False))
        return replace(spec, space=replace(spec.space, parameters=(numbered,)))

    def rehearsed(*_, since: float, **__):
        started.append(time.time() - since)
        raise HpsearchError("that is all")

    monkeypatch.setattr(time, "time", lambda: clock() + leap[0])
    monkeypatch.setattr("hpsearch.preflight.sizing.sized", sized)
    monkeypatch.setattr("hpsearch.rehearsal.rehearse", rehearsed)
    storage = ["--storage", f"sqlite:///{tmp_path}/s.db", "--device", "cpu"]
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "s.yaml"), *storage])
    assert str(done.exception) == "that is all"
    age = clock() - psutil.Process().create_time()
    assert started[0] == pytest.approx(age, abs=100)


def test_without_time_one_shape_stands_for_all(study) -> None:
    timings = rehearsed(study(SHAPES), limit_s=0.0)
    assert timings.timed == 1
    known, other = timings.shapes
    assert {known.words, other.words} == {"width=8", "width=64"}
    assert dict(other.epochs_s) == pytest.approx(dict(known.epochs_s))
    assert set(timings.draws) == {0, 1}
    assert 100 <= timings.start_s < 110


def test_what_cannot_be_trained_is_noted(study) -> None:
    # Constant, both are a fault of the file; searched, some of what is drawn is.
    norms = "architecture: {batch_norm: {values: [true, false]}}"
    timings = rehearsed(study(f"{{{norms}, batch_size: {{batch_size: {{values: [1, 32]}}}}}}"))
    (fault,) = timings.faults
    assert "batch_norm needs" in fault
    timed = [shape.words for shape in timings.shapes[: timings.timed]]
    assert len(timed) == 3
    assert not any(fault.startswith(words) for words in timed)
    with pytest.raises(HpsearchError, match="nothing that the study draws"):
        rehearsed(study("{optimizer: {loss: bce}}"))


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


class _Device:
    """What dry runs say: in stacks widths gain differently, of one a stack is not worth it, one has
    no stacked form, and of one a stack of three has no memory."""

    def __init__(self) -> None:
        self.fits: list[int] = []
        self.stacks: set[int] = set()

    def cost(self, candidate: Candidate, *args: object) -> Cost:
        width, slots = int(candidate.settings["width"]), int(str(args[-1]))
        self.stacks.add(slots)
        if slots > 1 and width == 32:
            raise CannotStackError("no stacked form")
        if slots > 2 and width == 64:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Cost(slots, 0.1 * slots ** (width / 32), 1000 * slots)

    def fit(self, candidate: Candidate) -> Fit:
        width = int(candidate.settings["width"])
        self.fits.append(width)
        return Fit(1 if width == 16 else 8, "as it is")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> _Device:
    found = _Device()
    monkeypatch.setattr("hpsearch.rehearsal.cost", found.cost)
    monkeypatch.setattr(Array, "fit", lambda _, candidate: found.fit(candidate))
    return found


def test_stacks_are_timed_and_what_cannot_be_stacked_is_known(study, device) -> None:
    timings = rehearsed(study(WIDTHS))
    shapes = {shape.words: shape for shape in timings.shapes}
    assert timings.faults == ()
    assert {words: shape.slots for words, shape in shapes.items()} == {
        "width=8": 8, "width=16": 1, "width=32": 1, "width=64": 2,
    }  # fmt: skip
    assert [n for n, _ in shapes["width=8"].epochs_s] == [1, STACK, 8]
    assert speedup(shapes["width=8"]) == pytest.approx(STACK**0.75)
    assert speedup(shapes["width=16"]) == pytest.approx(STACK**0.5)
    assert [n for n, _ in shapes["width=64"].epochs_s] == [1, 2], "half of what has no memory"
    stacks = {words: shape.stack_bytes for words, shape in shapes.items()}
    assert stacks == {"width=8": 8000, "width=16": 1000, "width=32": 1000, "width=64": 2000}
    # First what differs most from the network without a stacked form.
    assert device.fits == [8, 16, 64]


@pytest.mark.parametrize(("stack", "counts"), [("off", [1]), ("3", [1, 3, 8])])
def test_no_larger_stacks_are_timed_than_the_study_allows(study, device, stack, counts) -> None:
    timings = rehearsed(study(WIDTHS, f"{{sampler: random, stack: {stack}}}"))
    (narrow,) = (shape for shape in timings.shapes if shape.words == "width=8")
    assert [n for n, _ in narrow.epochs_s] == counts
    assert narrow.slots == counts[-1]
    assert bool(device.fits) == (stack != "off")


def test_no_stack_is_begun_that_there_is_no_room_for(study, device, monkeypatch) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda _: 2 * 1000 * (STACK - 1))
    timings = rehearsed(study(WIDTHS))
    assert STACK not in device.stacks
    assert {shape.words: shape.slots for shape in timings.shapes} == {
        "width=8": 4, "width=16": 1, "width=32": 1, "width=64": 2,
    }  # fmt: skip

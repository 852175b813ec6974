"""Dry runs of what a study draws."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import psutil
import pytest
import torch
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.errors import HpsearchError
from hpsearch.forecast import Shape, forecast
from hpsearch.rehearsal import draws, inferred, rehearse
from hpsearch.spec import StudySpec, load
from hpsearch.training.data import DataSettings
from hpsearch.training.data import load as load_data

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
    monkeypatch.setattr("hpsearch.sizing.sized", sized)
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


def test_shapes_that_are_not_timed_are_inferred_from_the_others() -> None:
    """An epoch takes longer with the width and with Adam, and half as long with twice the batch;
    stacks gain the less the wider a network is, whatever it takes alone."""

    def takes(width: int, batch_size: int, optimizer: str) -> float:
        return width**0.5 / batch_size * (1.5 if optimizer == "adam" else 1.0)

    def gain(width: int) -> float:
        return width**0.5 / 40

    cells = list(product((16, 64, 256, 1024), (32, 64, 128), ("sgd", "adam")))
    random.Random(0).shuffle(cells)
    settings = [dict(zip(("width", "batch_size", "optimizer"), c, strict=True)) for c in cells]
    alone = [
        Shape("", 1, ((1, takes(*c)),), 0.0, round(takes(*c) * 1e6), 8_000_000, 1)
        for c in cells[:12]
    ]
    # A larger stack gains as much again; eight are known in a stack of five, three in one of ten.
    timed = [
        replace(s, epochs_s=((1, a := s.epoch_s(1)), (5, 5 * a * gain(cell[0]))))
        for s, cell in zip(alone[:8], cells, strict=False)
    ] + alone[8:]
    fitted = {cells.index(next(c for c in cells[:8] if c[0] == width)) for width in (16, 64, 1024)}
    for n in fitted:
        a, g = timed[n].epoch_s(1), gain(cells[n][0])
        timed[n] = replace(
            timed[n], slots=10, epochs_s=((1, a), (5, 5 * a * g), (10, 10 * a * g / 2))
        )
    found = inferred(settings, timed, fitted)
    assert [found[n] for n in fitted] == [timed[n] for n in fitted]
    assert [s.epoch_s(1) for s in found[:12]] == [s.epoch_s(1) for s in alone]
    assert found[12].words == " ".join(f"{name}={v}" for name, v in settings[12].items())
    for number, (cell, shape) in enumerate(zip(cells, found, strict=True)):
        near = 1e-6 if number < 8 else 0.25
        assert shape.epoch_s(1) == pytest.approx(takes(*cell), rel=0.25)
        assert shape.slots == 10
        assert shape.epoch_s(5) == pytest.approx(5 * shape.epoch_s(1) * gain(cell[0]), rel=near)
        assert shape.epoch_s(10) == pytest.approx(shape.epoch_s(5))


def test_shapes_are_as_they_are_alone_where_none_was_timed_in_stacks() -> None:
    alone = [Shape("", 1, ((1, s),), 0.0, 1, 1, 1) for s in (0.1, 0.2)]
    found = inferred([{"width": 8}, {"width": 16}, {"width": 32}], alone, {1})
    assert found[:2] == alone
    assert found[2].slots == 1
    assert found[2].epoch_s(4) == pytest.approx(4 * found[2].epoch_s(1))


def test_a_parameter_that_is_not_always_a_size_is_a_category() -> None:
    times: dict[object, float] = {8: 0.1, 16: 0.2, (64, 128): 0.4, None: 0.8, 0: 1.6, True: 3.2}
    alone = [Shape("", 1, ((1, s),), 0.0, 1, 1, 1) for s in times.values()] * 50
    known = [{"channels": value} for value in times] * 50
    found = inferred([*known, *known[:6], {"channels": 4096}], alone, {0})[len(alone) :]
    assert [s.epoch_s(1) for s in found[:6]] == pytest.approx([*times.values()], rel=0.05)
    assert min(times.values()) < found[6].epoch_s(1) < max(times.values())


def test_what_cannot_be_trained_is_noted(study) -> None:
    norm = "{{architecture: {{batch_norm: true}}, batch_size: {{batch_size: {}}}}}"
    timings = rehearsed(study(norm.format("{values: [1, 32]}")))
    assert [shape.words for shape in timings.shapes[: timings.timed]] == ["batch_size=32"]
    (fault,) = timings.faults
    assert fault.startswith("batch_size=1: batch_norm needs")
    with pytest.raises(HpsearchError, match=r"nothing that the study draws .* needs batches"):
        rehearsed(study(norm.format("1")))


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

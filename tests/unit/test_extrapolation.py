"""What shapes take that there was no time to run."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import pytest

from hpsearch.extrapolation import inferred, speedup
from hpsearch.forecast import Shape


def takes(width: int, batch_size: int, optimizer: str) -> float:
    """Longer with the width and with Adam, and half as long with twice the batch."""
    return width**0.5 / batch_size * (1.5 if optimizer == "adam" else 1.0)


def gains(width: int) -> float:
    """The speedup of a stack of five: the less the wider a network is, whatever it takes alone."""
    return 40 / width**0.5


def alone(seconds: float) -> Shape:
    return Shape("", 1, ((1, seconds),), 0.0, round(seconds * 1e6), 8_000_000, 1)


def test_shapes_that_are_not_timed_are_inferred_from_the_others() -> None:
    cells = list(product((16, 64, 256, 1024), (32, 64, 128), ("sgd", "adam")))
    random.Random(0).shuffle(cells)
    settings = [dict(zip(("width", "batch_size", "optimizer"), c, strict=True)) for c in cells]
    timed = [alone(takes(*cell)) for cell in cells[:12]]
    for n, shape in enumerate(timed[:8]):
        a = shape.epoch_s(1)
        timed[n] = replace(shape, epochs_s=((1, a), (5, 5 * a / gains(cells[n][0]))))
    slots = {16: 40, 64: 20, 1024: 10}
    fitted = {next(n for n in range(8) if cells[n][0] == width): width for width in slots}
    for n, width in fitted.items():
        (_, a), (_, five) = timed[n].epochs_s
        most = (slots[width], slots[width] / 5 * five / 2)  # a full stack is twice as fast again
        timed[n] = replace(timed[n], slots=slots[width], epochs_s=((1, a), (5, five), most))
    found = inferred(settings, timed, set(fitted))
    assert [found[n] for n in fitted] == [timed[n] for n in fitted]
    assert [s.epoch_s(1) for s in found[:12]] == [s.epoch_s(1) for s in timed]
    assert found[12].words == " ".join(f"{name}={v}" for name, v in settings[12].items())
    for number, (cell, shape) in enumerate(zip(cells, found, strict=True)):
        near = 1e-6 if number < 8 else 0.25
        assert shape.epoch_s(1) == pytest.approx(takes(*cell), rel=0.25)
        assert speedup(shape) == pytest.approx(gains(cell[0]), rel=near)
        # 256 is as far from 64 as from 1024
        assert shape.slots in ({10, 20} if cell[0] == 256 else {slots[cell[0]]})
        assert shape.slots * shape.epoch_s(1) / shape.epoch_s(shape.slots) == pytest.approx(
            2 * speedup(shape)
        )


def test_what_gains_nothing_in_a_stack_makes_others_gain_less() -> None:
    settings = [{"width": width} for width in (8, 16, 512, 1024, 2048)]
    timed = [
        replace(alone(0.1), slots=8, epochs_s=((1, 0.1), (5, 0.1))),
        replace(alone(0.1), epochs_s=((1, 0.1), (5, 0.1))),
        alone(0.1),
        alone(0.1),
    ]
    found = inferred(settings, timed, {0, 2, 3})
    assert [shape.slots for shape in found] == [8, 8, 1, 1, 1]
    assert found[4].epoch_s(5) == pytest.approx(5 * found[4].epoch_s(1))


def test_shapes_are_as_they_are_alone_where_none_is_known_in_a_stack() -> None:
    timed = [alone(0.1), alone(0.2)]
    found = inferred([{"width": 8}, {"width": 16}, {"width": 32}], timed, {1})
    assert [shape.epochs_s for shape in found[:2]] == [shape.epochs_s for shape in timed]
    assert found[2].slots == 1
    assert found[2].epoch_s(4) == pytest.approx(4 * found[2].epoch_s(1))


def test_a_parameter_that_is_not_always_a_size_is_a_category() -> None:
    times: dict[object, float] = {8: 0.1, 16: 0.2, (64, 128): 0.4, None: 0.8, 0: 1.6, True: 3.2}
    timed = [alone(seconds) for seconds in times.values()] * 50
    known = [{"channels": value} for value in times] * 50
    found = inferred([*known, *known[:6], {"channels": 4096}], timed, {0})[len(timed) :]
    assert [s.epoch_s(1) for s in found[:6]] == pytest.approx([*times.values()], rel=0.05)
    assert min(times.values()) < found[6].epoch_s(1) < max(times.values())

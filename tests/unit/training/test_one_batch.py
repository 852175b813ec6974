"""Whether one batch is learnt by heart, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpsearch.preflight.one_batch import learn_one_batch
from hpsearch.sources.dataset import Resident
from tests.unit.training.packing import DEVICE


def learnt(candidate, dataset):
    return learn_one_batch(candidate, dataset, DEVICE, lambda: False)


def test_a_batch_is_known_to_the_last_row_whatever_the_regularisation(digits, candidate) -> None:
    strong = {"dropout": 0.9, "weight_decay": 5.0, "clip": 1e-6, "label_smoothing": 0.5}
    batch = learnt(candidate(widths=(64,), batch_size=32, lr=1e-2, **strong), digits)
    assert (batch.rows, batch.metric, batch.value, batch.learnt) == (32, "accuracy", 1.0, True)
    assert batch.loss < 0.01 * batch.guess
    assert batch.rate == batch.own_rate == 1e-2
    assert 0 < batch.steps <= 1000


def test_another_rate_is_tried_where_its_own_does_not_do(digits, candidate) -> None:
    batch = learnt(candidate(widths=(64,), batch_size=16, lr=1e-9), digits)
    assert (batch.learnt, batch.own_rate) == (True, 1e-9)
    assert batch.rate in (1e-1, 1e-2, 1e-3)


def test_rows_that_contradict_each_other_are_not_learnt(digits, candidate) -> None:
    inputs = digits.train.inputs.clone()
    inputs[:] = inputs[:1]
    alike = replace(digits, train=Resident(inputs, digits.train.targets))
    batch = learnt(candidate(widths=(8,), batch_size=16), alike)
    assert not batch.learnt
    assert batch.value < 1
    assert batch.loss > 0.5 * batch.guess


def test_of_numbers_the_loss_alone_counts(diabetes, candidate) -> None:
    batch = learnt(candidate(widths=(64, 64), batch_size=16, lr=1e-2), diabetes)
    assert (batch.learnt, batch.metric, batch.value) == (True, None, None)


@pytest.mark.parametrize("size", [100_000, "all"])
def test_of_a_large_batch_256_rows_are_learnt(digits, candidate, size) -> None:
    batch = learnt(candidate(widths=(64,), batch_size=size, lr=1e-2), digits)
    assert (batch.rows, batch.learnt) == (min(256, len(digits.train)), True)


def test_nothing_is_known_of_what_is_interrupted_or_cannot_be_trained(digits, candidate) -> None:
    assert learn_one_batch(candidate(), digits, DEVICE, lambda: True) is None
    assert learnt(candidate(loss="bce"), digits) is None

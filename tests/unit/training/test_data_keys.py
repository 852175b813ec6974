"""Keys of all data: how it is scaled, in which order it is taken, and in which batches."""

from __future__ import annotations

from typing import Any

import pytest

from hpsearch.errors import DataError
from hpsearch.search.views import rate_scale
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.spec import versions
from hpsearch.spec.settings import TRAINING, Value
from hpsearch.spec.study import StudySpec
from hpsearch.training.trial_progress import TrialProgress
from tests.unit.training.packing import DEVICE


def loaded(**keys: Any) -> Dataset:
    return load(DataSettings.of("digits", limit=510, **keys), DEVICE)


def document(**data: Any) -> dict[str, Any]:
    return {
        "version": versions.CURRENT, "name": "a", "data": {"source": "digits", **data},
        "network": {"family": "mlp"}, "metric": "accuracy", "budget": {"trials": 1},
        "parameters": [{"group": "learning_rate", "name": "lr", "values": [0.1]}],
    }  # fmt: skip


def test_pixels_from_black_to_white_are_0_to_1():
    inputs = loaded(normalize="none").train.inputs
    assert (float(inputs.min()), float(inputs.max())) == (0.0, 1.0)
    with pytest.raises(DataError, match="these images are grey"):
        loaded(normalize="imagenet")


def test_unshuffled_rows_come_in_the_order_of_the_data(candidate):
    dataset = loaded(shuffle=False)
    progress = TrialProgress(candidate(), dataset)
    assert progress.order().tolist() == list(range(420))
    progress = TrialProgress(candidate(), loaded())
    assert progress.order().tolist() != list(range(420))


def test_one_batch_may_be_the_whole_training_part(candidate, digits):
    assert TrialProgress(candidate(batch_size="all"), digits).batches == [420]
    (setting,) = (s for s in TRAINING if s.name == "batch_size")
    assert setting.accepts("all")
    assert not setting.accepts("most")
    assert setting.expected == "a whole number of 1 or more and at most 1.04858e+06, or all"
    adam: dict[str, Value] = {"optimizer": "adam", "batch_size": 64}
    assert rate_scale({**adam, "batch_size": "all"}, adam) == 1.0


def test_new_keys_change_no_digest_of_old_studies():
    plain = StudySpec.from_document(document())
    spelt = document(memory="auto", shuffle=True, normalize="standard")
    assert StudySpec.from_document(spelt).digest == plain.digest
    first = plain.under(versions.FIRST)
    assert not {"memory", "shuffle", "normalize"} & first.document["data"].keys()
    other = StudySpec.from_document(document(memory="2 GB"))
    assert other.digest != plain.digest
    assert StudySpec.from_document(other.document) == other


def test_a_network_that_is_chosen_on_the_test_part_has_no_finish():
    from hpsearch.errors import StudyFileError

    final = {"final": {"top": 1, "seeds": 2}}
    with pytest.raises(StudyFileError, match=r"no finish, as data\.validation is test"):
        StudySpec.from_document({**document(validation="test"), **final})
    with pytest.raises(DataError, match="has no test part of its own"):
        loaded(validation="test")

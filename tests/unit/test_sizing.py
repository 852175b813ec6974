from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.api.submit import submit
from hpsearch.errors import StudyFileError
from hpsearch.preflight.sizing import hungriest, sized
from hpsearch.spec import StudySpec, load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger

STUDY = """
name: s
data: {source: digits, limit: 300}
network: {family: cnn}
parameters:
  architecture:
    blocks: {min: 1, max: 3}
    channels: {values: [8, [4, 4], [16, 64]]}
    activation: {values: [relu, tanh]}
    dense: {min: 0, max: 50, step: 20, when: {blocks: 3}}
  batch_size: {batch_size: {min: 16, max: auto, log: true}}
search: {sampler: random}
budget: {trials: 2, epochs: 1}
"""


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    (tmp_path / "study.yaml").write_text(STUDY)
    return load(tmp_path / "study.yaml")


@pytest.fixture
def ledger(sqlite_url: str) -> Ledger:
    return Ledger(Database(sqlite_url))


def test_a_file_with_auto_means_the_same_after_a_round_trip(spec: StudySpec) -> None:
    assert spec.document["parameters"][-1]["max"] == "auto"
    assert StudySpec.from_document(spec.document).document == spec.document


def test_the_hungriest_network_has_all_numbers_at_their_upper_ends(spec: StudySpec) -> None:
    found = hungriest(spec)
    assert (found["blocks"], found["channels"], found["dense"]) == (3, (16, 64), 40)


def test_the_hungriest_network_sees_the_most_augmentation(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("""
name: s
data: {source: digits}
network: {family: cnn}
parameters:
  flip: {values: [true, false]}
  scale: {min: 0.5, max: 1.0}
  crop: {min: 0, max: 2}
  randaugment: {values: [0, 9], when: {flip: false}}
  lr: {min: 1e-4, max: 1e-2, default: 1e-3}
budget: {trials: 2, epochs: 1}
""")
    found = hungriest(load(tmp_path / "study.yaml"))
    most = {"flip": True, "scale": 0.5, "crop": 2, "lr": 1e-3}
    assert most.items() <= found.items()


def test_the_number_is_frozen_in_the_study_which_keeps_it(
    spec: StudySpec, ledger: Ledger, tmp_path: Path
) -> None:
    study, _ = submit(ledger, spec, tmp_path, device="cpu")
    frozen = study.document["parameters"][-1]
    assert frozen["max"] == 247, "the training rows"
    assert frozen["cap"] == "as many as there are training rows"
    again, new = submit(ledger, spec, tmp_path, device="no such device")
    assert (again.digest, new) == (study.digest, False)
    (tmp_path / "study.yaml").write_text(STUDY + "start: [{batch_size: 5000}]\n")
    with pytest.raises(StudyFileError, match="5000 is larger than the largest, 247: as many as"):
        sized(ledger, load(tmp_path / "study.yaml"), tmp_path, "cpu")

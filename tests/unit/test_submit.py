"""A file meets a study of its name that an older hpsearch made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hpsearch.api.submit import submit
from hpsearch.errors import ConflictError, DataError, StudyFileError
from hpsearch.preflight.sizing import sized
from hpsearch.sources.opening import open_data
from hpsearch.spec import StudySpec, load, versions
from hpsearch.store import study_rows
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.studies import A_STUDY

STUDY = """
name: s
data: {source: digits, limit: 300}
network: {family: mlp}
parameters: {learning_rate: {lr: {min: 0.001, max: 0.1}}}
search: {sampler: random}
budget: {trials: 2, epochs: 1}
"""


@pytest.fixture
def ledger(sqlite_url: str) -> Ledger:
    return Ledger(Database(sqlite_url))


def read(folder: Path, text: str = STUDY) -> StudySpec:
    (folder / "study.yaml").write_text(text)
    return load(folder / "study.yaml")


def put(
    ledger: Ledger, folder: Path, version: int, more: dict[str, object] | None = None
) -> StudySpec:
    """A study of that version in the database."""
    spec = read(folder).under(version)
    document = spec.document | (more or {})
    base = str(folder)
    ledger.create(replace(A_STUDY, digest=spec.digest, document=document, base=base, tickets=2))
    return spec


def test_a_new_study_is_of_the_current_version(ledger: Ledger, tmp_path: Path) -> None:
    study, new = submit(ledger, read(tmp_path), tmp_path)
    assert (study.document["version"], new) == (versions.CURRENT, True)
    assert submit(ledger, read(tmp_path), tmp_path) == (study, False)


def test_an_old_one_goes_on_under_its_own_version(ledger: Ledger, tmp_path: Path) -> None:
    old = put(ledger, tmp_path, 1)
    study, new = submit(ledger, read(tmp_path), tmp_path)
    assert (study.digest, new) == (old.digest, False)
    assert "version" not in study.document


def test_a_forecast_is_of_the_study_that_is_there(ledger: Ledger, tmp_path: Path) -> None:
    old = put(ledger, tmp_path, 1)
    assert sized(ledger, read(tmp_path), tmp_path, "cpu").digest == old.digest


@pytest.mark.parametrize("version", [1, 2])
def test_another_content_is_refused_line_by_line(
    ledger: Ledger, tmp_path: Path, version: int
) -> None:
    put(ledger, tmp_path, version)
    other = read(tmp_path, STUDY.replace("random}", "random, pruner: none, seed: 3}"))
    with pytest.raises(ConflictError) as caught:
        submit(ledger, other, tmp_path)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:-1]]
    assert 'search.pruner.name: "asha" in the database, "none" in the file' in lines
    assert "search.seed: 0 in the database, 3 in the file" in lines
    assert all(line.startswith("search.") for line in lines)


def test_one_of_a_later_version_is_an_error_in_a_line(ledger: Ledger, tmp_path: Path) -> None:
    put(ledger, tmp_path, 2, {"version": 9})
    with pytest.raises(StudyFileError, match=r"version: expected 1 to 3.*got 9"):
        submit(ledger, read(tmp_path), tmp_path)


MORE = "add to what it has, 2 trials by now (hpsearch extend s"


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [
        ("trials: 2", "trials: 9", f"{MORE} --trials 7), and run it as it was made (--trials 2),"),
        ("epochs: 1", "epochs: 3", "continue with it as it was made (--epochs 1), or"),
        ("epochs: 1", "epochs: 1, hours: 2",
         "continue with it as it was made (--set budget.hours=), or"),
        ("epochs: 1", "epochs: 1, stop_after: 2",
         "continue with it as it was made (--set budget.stop_after=), or"),
        ("trials: 2, epochs: 1", "trials: 3, epochs: 4",
         f"{MORE} --trials 1), and run it as it was made (--trials 2 --epochs 1), or"),
        ("sampler: random", "sampler: qmc", "choose another name"),
    ],
)  # fmt: skip
def test_another_budget_is_told_how_to_go_on_as_it_was_made(
    ledger: Ledger, tmp_path: Path, old: str, new: str, first: str
) -> None:
    submit(ledger, read(tmp_path), tmp_path)
    with pytest.raises(ConflictError) as caught:
        submit(ledger, read(tmp_path, STUDY.replace(old, new)), tmp_path)
    advice = str(caught.value).splitlines()[-1]
    assert advice.startswith(first)


def test_data_that_has_moved_is_told_how_to_go_on(ledger: Ledger, tmp_path: Path) -> None:
    table = STUDY.replace("digits,", "table, path: a b.csv, target: y,") + "metric: accuracy\n"
    submit(ledger, read(tmp_path, table), tmp_path)
    with pytest.raises(ConflictError) as caught:
        submit(ledger, read(tmp_path, table.replace("a b.csv", "new/a.csv")), tmp_path)
    advice = str(caught.value).splitlines()[-1]
    assert "put a link to it where it was" in advice
    assert "(--set data.path='a b.csv'), or choose another name" in advice
    with pytest.raises(DataError, match=r"put it back, or a link to it \(ln -s NEW '.*a b.csv'\)"):
        open_data(read(tmp_path, table), tmp_path, torch.device("cpu"), {"decided": None})


def test_a_stopped_study_is_resumed_first(ledger: Ledger, tmp_path: Path) -> None:
    submit(ledger, read(tmp_path), tmp_path)
    ledger.set_state("s", "stopped")
    with pytest.raises(ConflictError, match="hpsearch resume s && hpsearch worker s"):
        submit(ledger, read(tmp_path, STUDY + FINISH), tmp_path)


FINISH = "final: {top: 2, seeds: 3}\n"


def test_a_finish_that_is_asked_for_later_is_named_by_its_verb(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Deleting the study is not suggested; and with that finish it is the study of the file."""
    submit(ledger, read(tmp_path), tmp_path)
    asked = read(tmp_path, STUDY + FINISH)
    with pytest.raises(ConflictError) as caught:
        submit(ledger, asked, tmp_path)
    advice = str(caught.value).splitlines()[-1]
    assert advice.startswith("let its search end first (--set final=, or hpsearch worker s --until")
    assert "give it this finish (hpsearch final s --top 2 --seeds 3)" in advice
    assert "delete" not in advice
    ledger.database.write(lambda connection: study_rows.put(
        connection, 1, state="done", finish="due", final='{"top": 2, "seeds": 3}'
    ))  # fmt: skip
    assert submit(ledger, asked, tmp_path)[1] is False
    more = read(tmp_path, STUDY + FINISH.replace("3", "4"))
    with pytest.raises(ConflictError, match=r"finish \(hpsearch final s --top 2 --seeds 4\)"):
        submit(ledger, more, tmp_path)


def test_a_file_without_the_finish_is_told_of_it(ledger: Ledger, tmp_path: Path) -> None:
    submit(ledger, read(tmp_path, STUDY + FINISH), tmp_path)
    with pytest.raises(ConflictError, match=r"as it was made \(final: {top: 2, seeds: 3}\)"):
        submit(ledger, read(tmp_path), tmp_path)


def test_a_study_that_has_trials_is_not_deleted_first(ledger: Ledger, tmp_path: Path) -> None:
    submit(ledger, read(tmp_path), tmp_path)
    other = read(tmp_path, STUDY.replace("random", "qmc"))
    ledger.database.write(lambda connection: study_rows.put(connection, 1, issued=40))
    with pytest.raises(ConflictError) as caught:
        submit(ledger, other, tmp_path)
    advice = str(caught.value).splitlines()[-1]
    assert advice.endswith("or remove it, with its 40 trials (hpsearch delete s)")
    assert advice.startswith("choose another name")


def test_a_file_that_is_corrected_replaces_the_study_that_it_stopped(
    ledger: Ledger, tmp_path: Path
) -> None:
    old, _ = submit(ledger, read(tmp_path), tmp_path, 5)
    ledger.record_sanity(old, {"suspect": "data", "said": "all alike", "stops": True})
    said = list[str]()
    file = read(tmp_path, STUDY.replace("min: 0.001", "min: 0.01"))
    study, new = submit(ledger, file, tmp_path, say=said.append)
    assert (new, study.digest, study.state, study.priority) == (True, file.digest, "open", 5)
    assert said == ["study s replaces the one that stopped before any trial counted"]
    ledger.record_sanity(study, {"suspect": "data", "said": "all alike", "stops": True})
    again, new = submit(ledger, file, tmp_path)
    assert (new, again.state) == (True, "open"), "the data may be others by now"

"""The note of a study: hpsearch's part is kept up to date, and what people write stays."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from hpsearch.insight import note
from hpsearch.insight.reader import Reader
from hpsearch.store import notes
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study
from tests.later import Later
from tests.searched import searched

optuna_dashboard = Later("optuna_dashboard")


@pytest.fixture
def study(url: str, tmp_path: Path) -> tuple[Ledger, Study]:
    return searched(url, tmp_path)


def shown(ledger: Ledger) -> str:
    """The note as optuna-dashboard reads it."""
    found = optuna.load_study(study_name="s", storage=ledger.database.url)
    return str(optuna_dashboard.get_note(found))


def test_it_says_what_the_study_came_to(study: tuple[Ledger, Study]) -> None:
    ledger, seen = study
    assert note.refresh(ledger, ledger.current(seen), "w-1")
    text = shown(ledger)
    assert text.startswith("**open**: 12 of 13 trials (12 complete, 1 under way)")
    assert "Best trial: **11**, accuracy **0.11**" in text
    assert "hpsearch watch s" in text
    assert text.endswith(notes.LINE)
    assert not note.refresh(ledger, ledger.current(seen), "w-2"), "nothing is new"


def test_words_of_people_stay(study: tuple[Ledger, Study]) -> None:
    ledger, seen = study
    found = optuna.load_study(study_name="s", storage=ledger.database.url)
    optuna_dashboard.save_note(found, "mine, from before")
    note.refresh(ledger, ledger.current(seen), "w-1")
    optuna_dashboard.save_note(found, shown(ledger) + "\n" + "and since " * 500)
    ledger.set_state("s", "paused")
    note.refresh(ledger, ledger.current(seen), "w-1")
    text = shown(ledger)
    assert text.startswith("**paused**")
    assert text.count(notes.LINE) == 1
    assert text.endswith("mine, from before\n" + "and since " * 500)
    optuna_dashboard.save_note(found, text.partition(notes.LINE)[0] + notes.LINE + " short")
    ledger.set_state("s", "open")
    note.refresh(ledger, ledger.current(seen), "w-1")
    assert shown(ledger).endswith(notes.LINE + " short"), "no piece of the longer one is left"


def test_whoever_was_killed_before_writing_is_replaced(study: tuple[Ledger, Study]) -> None:
    ledger, seen = study
    current = ledger.current(seen)
    of = note.state(current)
    assert notes.claim(ledger.database, current, of, "killed", within_s=60.0)
    assert not note.refresh(ledger, current, "w-2"), "it is waited for"
    assert note.refresh(ledger, current, "w-2", waits=False)
    ledger.set_state("s", "paused")
    current = ledger.current(seen)
    assert notes.claim(ledger.database, current, note.state(current), "killed", within_s=-1.0)
    assert note.refresh(ledger, current, "w-2")


def test_an_edit_of_an_older_note_is_refused(study: tuple[Ledger, Study]) -> None:
    ledger, seen = study
    note.refresh(ledger, ledger.current(seen), "w-1")
    version, text = notes.read(ledger.database, seen.study_id)
    assert notes.edit(ledger.database, seen, version + 1, text + " mine")
    assert not notes.edit(ledger.database, seen, version + 1, "of another one")
    assert shown(ledger) == text + " mine"


def test_names_from_the_data_are_no_markdown(study: tuple[Ledger, Study]) -> None:
    ledger, seen = study
    data = {"rows": {"train": 1, "validation": 1, "test": 0}, "classes": [],
            "notes": ["column `a` [x](http://e) <b> \x1b[2J"]}  # fmt: skip
    ledger.record_data(seen.study_id, data)
    text = note.text(Reader(ledger, "s").snapshot())
    assert r"column \`a\` \[x\](http://e) \<b\> \\x1b\[2J" in text


def test_of_a_study_that_is_gone_nothing_is_written(study: tuple[Ledger, Study]) -> None:
    ledger, seen = study
    current = ledger.current(seen)
    ledger.delete("s")
    assert not note.refresh(ledger, current, "w-1")

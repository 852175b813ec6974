"""What a live view shows of a study, how it is drawn, and what is printed where there is none."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hpsearch.cli import console, progress, show
from hpsearch.cli.live import Picture
from hpsearch.cli.options import open_ledger
from hpsearch.forecast.pace import Span
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot
from hpsearch.insight.view import View, view
from hpsearch.store.ledger import Ledger
from tests.searched import searched

WARMUP = {"name": "warmup", "first": 0, "count": 4, "domains": {"lr": {}, "depth": {}},
          "samplers": {"lr": "bayesian", "depth": "bayesian"}}  # fmt: skip
RATES = {"name": "learning_rate", "first": 4, "count": 4, "domains": {"lr": {}},
         "samplers": {"lr": "bayesian"}}  # fmt: skip


@pytest.fixture
def found(sqlite_url: str, tmp_path: Path) -> tuple[Ledger, Snapshot]:
    """A study with 12 complete trials, the last the best, and one in training."""
    ledger, _ = searched(sqlite_url, tmp_path)
    return ledger, Reader(ledger, "s").snapshot()


@pytest.fixture
def staged(found: tuple[Ledger, Snapshot]) -> Snapshot:
    """The same as if it were searched in stages, and were in the one of the learning rate."""
    snapshot = found[1]
    search = {**snapshot.study.document["search"], "strategy": "staged"}
    study = replace(
        snapshot.study, document={**snapshot.study.document, "search": search},
        final={"top": 1, "seeds": 2}, finish="due",
    )  # fmt: skip
    trials = [replace(t, stage="learning_rate", sampler="tpe") for t in snapshot.trials[-1:]]
    early = {**WARMUP, "name": "early polish"}
    return replace(
        snapshot, study=study, trials=(*snapshot.trials[:-1], *trials),
        opened=(WARMUP, RATES, early),
    )  # fmt: skip


def test_the_stage_is_counted_among_all_that_the_study_will_have(staged: Snapshot) -> None:
    stage = view(staged).stage
    assert stage is not None
    # warmup, architecture, learning rate, polish and the finish
    assert (stage.name, stage.number, stage.of) == ("learning_rate", 3, 5)
    assert stage.sampler == "tpe", "what draws is known from the last trial"
    done = replace(staged, study=replace(staged.study, state="done"))
    assert view(done).stage is None


def test_a_running_trial_shows_what_its_stage_searches(staged: Snapshot) -> None:
    (row,) = view(staged).rows
    assert list(row.params) == ["lr"]
    assert (row.epoch, row.epochs, row.stage) == (2, 2, "learning_rate")
    whole = replace(staged, opened=(WARMUP, replace_name(WARMUP, "learning_rate")))
    assert list(view(whole).rows[0].params) == ["lr", "depth"], "the learning rate comes first"


def replace_name(stage: dict[str, Any], name: str) -> dict[str, Any]:
    return {**stage, "name": name}


def test_the_best_is_the_one_in_training_where_that_is_ahead(
    found: tuple[Ledger, Snapshot],
) -> None:
    seen = view(found[1])
    assert seen.best is not None
    assert (seen.best.number, seen.best.is_running, seen.best.value) == (12, True, 0.12)
    assert seen.rise == tuple(number / 100 for number in range(12))
    assert (seen.complete, seen.running, seen.ended, seen.trials) == (12, 1, 12, 13)


def test_only_workers_that_may_serve_it_count(found: tuple[Ledger, Snapshot]) -> None:
    ledger, snapshot = found
    (worker,) = ledger.workers()
    other = replace(worker, serves=("study other", "family *", "source *"))
    gone = replace(worker, stopped_at=1.0)
    assert view(snapshot, [worker, other, gone]).workers == 1


# --- drawn --------------------------------------------------------------------------------------


def drawn(seen: View, width: int = 80, height: int = 24, *, plain: bool = False) -> list[str]:
    terminal = console._Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True, markup=False,
        highlight=False, color_system=None, legacy_windows=False,
    )  # fmt: skip
    options = terminal.options
    if plain:
        options.encoding = "ascii"
    lines = terminal.render_lines(Picture(seen, 83.0), options, pad=False)
    return ["".join(part.text for part in line) for line in lines]


def many(snapshot: Snapshot, count: int = 40) -> View:
    trial = snapshot.running[0]
    more = tuple(replace(trial, number=20 + n) for n in range(count))
    failed = replace(trial, number=90, state="FAIL", reason="out of memory")
    trials = (*snapshot.trials, *more, failed)
    return view(replace(snapshot, trials=trials), (), Span(200, 120, 310))


def test_the_last_seconds_are_whole(found: tuple[Ledger, Snapshot]) -> None:
    lines = drawn(replace(many(found[1]), left_s=Span(0.25, 0.08, 1.9)))
    assert lines[1].endswith("about 1 s (1 to 2 s) left")


def test_no_range_is_shown_before_there_is_one_to_trust(found: tuple[Ledger, Snapshot]) -> None:
    early = replace(many(found[1]), left_s=None, state="open", workers=2)
    assert drawn(early)[1].endswith(f"of {early.trials} trials, time left not known yet")
    assert drawn(replace(early, state="done"))[1].endswith(f"of {early.trials} trials")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12), (24, 6)])
def test_it_fits_whatever_there_is_of_a_terminal(
    found: tuple[Ledger, Snapshot], size: tuple[int, int]
) -> None:
    lines = drawn(many(found[1]), *size)
    assert max(map(len, lines)) <= size[0]
    assert len(lines) < size[1]


def test_what_is_to_be_seen_of_a_search(found: tuple[Ledger, Snapshot]) -> None:
    lines = drawn(many(found[1]))
    assert lines[0].startswith("s  sampler random")
    assert lines[0].endswith("1m23s")
    assert "12 of 13 trials, about 3.3 min (2 to 5.2 min) left" in lines[1]
    assert lines[2].split("  ")[:4] == ["12 complete", "0 pruned", "41 running", "1 failed"]
    assert lines[3] == "best accuracy 0.12  trial 12, epoch 1, still training"
    assert lines[4] == "  lr=0.013 depth=1"
    assert lines[5].startswith("  ▁▂▂▃▄▄▅▅▆▇▇█ completed, 0 to 0.11")
    assert lines[-2].strip().startswith("and ")
    assert lines[-1] == "1 failed; trial 90: out of memory"


def test_a_terminal_without_unicode_gets_none(found: tuple[Ledger, Snapshot]) -> None:
    text = "".join(line.replace("…", "") for line in drawn(many(found[1]), plain=True))
    assert text.isascii()


def test_after_a_change_of_size_it_is_drawn_on_an_empty_screen(
    found: tuple[Ledger, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terminal has broken or joined lines by then: how many there are is not known."""
    stream = io.StringIO()
    terminal = console._Console(
        width=80, height=24, file=stream, force_terminal=True, markup=False, highlight=False
    )
    monkeypatch.setattr(progress, "err", terminal)
    with progress.Screen() as screen:
        screen.update(found[1])
        before = stream.getvalue()
        assert "\x1b[J" not in before
        terminal.size = (60, 20)
        screen.update(found[1])
        after = stream.getvalue()[len(before) :]
        assert after.index("\x1b[H\x1b[J") < after.index("best accuracy")


# --- lines and events ---------------------------------------------------------------------------


def later(snapshot: Snapshot) -> Snapshot:
    """One more trial has ended."""
    last = snapshot.trials[-1]
    ended = replace(last, state="COMPLETE", ended=datetime.now() + timedelta(seconds=1))
    return replace(snapshot, trials=(*snapshot.trials[:-1], ended))


def test_workers_that_draw_no_pictures_are_not_said_to(found: tuple[Ledger, Snapshot]) -> None:
    done = replace(found[1], study=replace(found[1].study, state="done"))
    assert view(done).closing == "drawing pictures"
    assert view(done, pictures=False).closing == ""


def test_lines_in_a_pipe_carry_times(
    found: tuple[Ledger, Snapshot], capsys: pytest.CaptureFixture[str]
) -> None:
    progress.Lines(found[1]).update(later(found[1]))
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d 13/13 trial 12 complete accuracy 0\.12 .*", line)


def test_events_are_json_a_line(
    found: tuple[Ledger, Snapshot], capsys: pytest.CaptureFixture[str]
) -> None:
    events = progress.Events(found[1])
    events.update(later(found[1]))
    events.result(later(found[1]))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in told] == ["trial", "progress", "result"]
    assert all(datetime.fromisoformat(event["at"]).tzinfo for event in told)
    assert told[0]["number"] == 12
    assert told[1]["ended"] == told[2]["ended"] == 12
    assert told[2]["best"]["number"] == 11


@pytest.mark.parametrize("width", [80, 100])
def test_a_trial_takes_one_line(
    found: tuple[Ledger, Snapshot], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show.out, "_width", width)
    monkeypatch.setenv("COLUMNS", str(width))
    snapshot = found[1]
    long = {f"a_long_name_{n}": 0.123 for n in range(9)}
    failed = replace(snapshot.trials[0], state="FAIL", params=long, reason="of memory " * 20)
    with show.out.capture() as captured:
        show.trials(snapshot, [failed, *snapshot.trials[1:3]], frozenset())
    rows = [line for line in captured.get().splitlines() if re.match(r" *\d+ ", line)]
    assert len(rows) == 3
    assert re.match(r" *0  FAIL +0 +\d+  (random +)?\(of memory", rows[0]), "no parameter"
    assert max(map(len, rows)) <= width


def test_a_database_is_announced_before_it_is_made(
    bare_sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    open_ledger(bare_sqlite_url, make=True)
    assert "no database yet: makes " in capsys.readouterr().err
    open_ledger(bare_sqlite_url, make=True)
    assert capsys.readouterr().err == ""

"""How a study is shown while it runs: on a terminal, in a notebook, elsewhere."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from hpsearch.api import progress
from hpsearch.api.progress import say_result, shown_by
from hpsearch.insight.snapshot import Snapshot, Trial

DOCUMENT = {
    "version": 2, "name": "<s>", "data": {"source": "digits", "task": "classification"},
    "network": {"family": "mlp"}, "metric": "accuracy", "parameters": [], "budget": {"trials": 4},
}  # fmt: skip


def trial(number: int, state: str, value: float | None) -> Trial:
    return Trial(
        number=number, ticket=number, state=state, value=value, params={"lr": 0.01}, epoch=1,
        curve={1: value} if value is not None else {}, metrics={}, stage="search",
        sampler="random", attempts=1, worker="w", reason=None, started=None, ended=None,
    )  # fmt: skip


def snapshot(*trials: Trial, state: str = "open") -> Snapshot:
    complete = [t for t in trials if t.state == "COMPLETE"]
    study = types.SimpleNamespace(
        name="<s>", state=state, tickets=4, ended=len(complete), direction="maximize", final=None,
        document={**DOCUMENT, "name": "s"}, finish=None, is_out_of_time=False, active_s=1.0,
        left_s=None,
    )  # fmt: skip
    best = max(complete, key=lambda t: t.value, default=None)
    return Snapshot(study, trials, best)  # type: ignore[arg-type]


FIRST = snapshot(trial(0, "RUNNING", 0.5))
THEN = snapshot(trial(0, "COMPLETE", 0.6), trial(1, "RUNNING", 0.4))
LAST = snapshot(trial(0, "COMPLETE", 0.6), trial(1, "COMPLETE", 0.9), state="done")


def show(*snapshots: Snapshot) -> None:
    with shown_by(True) as shown:
        for one in snapshots:
            shown.update(one)
        say_result(snapshots[-1], shown)


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(FIRST, THEN, THEN, LAST)
    assert capsys.readouterr().err.splitlines() == [
        "<s> 1/4 best accuracy 0.6, trial 0: lr=0.01",
        "<s> 2/4 best accuracy 0.9, trial 1: lr=0.01",
        "study <s> is done: 2 of 4 trials, best accuracy 0.9 (trial 1)",
    ]


def test_a_line_on_a_terminal_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    show(FIRST, THEN)
    said = capsys.readouterr().err
    first, then = [line for line in said.split("\r\x1b[K") if line][:2]
    assert "0/4" in first
    assert "best accuracy 0.5 so far" in first
    assert "1/4" in then
    assert all(len(line) < 80 for line in (first, then))
    assert said.endswith("best accuracy 0.6 (trial 0)\n\r\x1b[K")


@pytest.mark.parametrize(("columns", "shows"), [(200, "lr=0.01"), (60, "━"), (38, "1/4"), (10, "")])
def test_a_line_fits_the_terminal_and_keeps_the_best(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int, shows: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    show(THEN)
    (line, *_) = [line for line in capsys.readouterr().err.split("\r\x1b[K") if line]
    assert len(line) < columns
    assert shows in line
    assert columns < 30 or "best accuracy 0.6" in line


def test_one_output_of_a_notebook_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, page: Any) -> None:
            shown.append(f"update {page._repr_html_()}")

    def display(page: Any, display_id: bool = False) -> Handle:
        shown.append(page._repr_html_())
        return Handle()

    monkeypatch.setattr(progress, "_notebook", lambda: display)
    show(FIRST, FIRST, THEN)
    assert "<b>&lt;s&gt;</b>" in shown[0]  # a name is no markup
    updates = [one for one in shown if one.startswith("update")]
    assert len(updates) >= 1
    assert 'value="1"' in updates[-1]
    assert (
        shown[-1]
        == "<div>study &lt;s&gt; is open: 1 of 4 trials, best accuracy 0.6 (trial 0)</div>"
    )


def test_nothing_is_shown_where_nobody_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_by(False) as shown:
        shown.update(FIRST)
        say_result(LAST, shown)
    assert capsys.readouterr() == ("", "")

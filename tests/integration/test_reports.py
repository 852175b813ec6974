"""A report is one file that loads nothing, runs nothing of others' and is there for every study."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.errors import ConflictError, NotFoundError
from hpsearch.files import free
from hpsearch.insight.reader import Reader
from hpsearch.pictures.gallery import Gallery, Kept
from hpsearch.reports import comparing
from hpsearch.reports.compare_page import html
from hpsearch.reports.comparing import Side, comparison
from hpsearch.reports.facts import facts
from hpsearch.reports.page import Report, file_name, report
from hpsearch.spec.settings import FINAL
from hpsearch.store.ledger import Ledger
from tests.large import large
from tests.played import DATA, DIGITS, OWN, Played, played
from tests.unit.reports.test_answer import verdict

EVIL = "</script><script>alert(1)</script>\u202e\x1b[2J"
ADAM = {"depth": 1, "lr": 0.01, "optimizer": "adam"}
NOTHING = OWN.replace("  lr: {{min: 0.001, max: 1, log: true}}\n", "  lr: 0.1\n").replace(
    "  widths: {{values: [[8, 8], [16]]}}\n", ""
)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


class Page(HTMLParser):
    """What a browser finds in a page: its elements, what it would load, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        if tag not in ("meta", "img", "br", "polyline", "line", "path", "use", "rect", "link"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            inside = (value or "").startswith(("#", "data:"))
            if name in ("src", "href", "xlink:href") and not inside:
                self.loads.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data


def checked(text: str) -> Page:
    """The page, which is whole, loads nothing, and runs its own script alone."""
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    facts, script = page.scripts
    json.loads(facts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text.replace("&#39;", "'")
    assert "default-src 'none'" in text.replace("&#39;", "'")
    return page


def test_a_page_of_a_study_with_all_there_is(sqlite_url: str, tmp_path: Path) -> None:
    trials = [
        Played({**ADAM, "lr": 0.001 * (at + 1), "depth": 1 + at % 3}, (0.1, at / 20, at / 30),
               attrs={"details": {"confusion": [[9, 1], [2, 8]]}, "parameters": 1234})
        for at in range(12)
    ]  # fmt: skip
    ledger, study = played(sqlite_url, tmp_path, DIGITS, trials, data=DATA)
    Gallery.of(ledger, study).put(Kept("errors", 11), PNG)
    page = checked(report(ledger, "s").html)
    for words in (
        "Best validation accuracy 0.55", "The winner: trial 11", "1234".replace("1", "1,", 1),
        "1,000 to train, 300 to validate, 300 held out", "Parallel coordinates", "lr: {min: 0.001",
        "Worst errors, trial 11", "<i>yes</i>", "of at most 3 epochs", study.digest,
    ):  # fmt: skip
        assert words in page.text, words
    assert page.found.count("img") == 1
    assert page.found.count("polyline") == 12
    assert page.found.count("svg") == 7


OWN_TRIAL = {"lr": 0.1, "widths": "16"}


@pytest.mark.parametrize(
    ("text", "trials", "words"),
    [
        (DIGITS, [], "No trial has begun yet"),
        (DIGITS, [Played(ADAM, (), "FAIL", EVIL)] * 2, "2 trials, first trial 0:"),
        pytest.param(
            DIGITS, [Played(ADAM, (0.5, 0.6), "RUNNING")], "still training",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            DIGITS, [Played(ADAM, (0.5, 0.6))], "importance takes 10", marks=pytest.mark.nightly
        ),
        (NOTHING, [Played({}, (0.5, 0.2)), Played({}, (float("inf"), 0.3))], "no searched"),
        (OWN, [Played(OWN_TRIAL, (at / 9,)) for at in range(10)], "too much alike"),
    ],
    ids=["empty", "failed", "unfinished", "one", "nothing", "alike"],
)  # fmt: skip
def test_there_is_a_page_of_every_study(
    sqlite_url: str, tmp_path: Path, text: str, trials: list[Played], words: str
) -> None:
    ledger, _ = played(sqlite_url, tmp_path, text, trials, more=1)
    page = checked(report(ledger, "s").html)
    assert words in page.text


def test_names_of_others_are_text(sqlite_url: str, tmp_path: Path) -> None:
    classes = {**DATA, "classes": ["a", EVIL], "notes": [f"column {EVIL}"]}
    details = {"details": {"confusion": [[9, 1], [2, 8]]}}
    trials = [Played(ADAM, (0.5, 0.6), attrs=details), Played(ADAM, (0.1,), "FAIL", EVIL)]
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, trials, data=classes)
    with ledger.database.engine.begin() as connection:
        rename = sa.text("UPDATE studies SET study_name = :name")
        connection.execute(rename, {"name": EVIL})
    text = report(ledger, EVIL).html
    page = checked(text)
    assert page.found.count("script") == 2
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert page.text.count("alert(1)") >= 6


def test_nothing_is_written_over_without_force(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(sqlite_url, tmp_path, DIGITS, [Played(ADAM, (0.5,), "FAIL")])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_STORAGE", sqlite_url)
    first = CliRunner().invoke(app, ["report", "s"])
    assert (first.exit_code, first.stdout) == (0, "")
    assert "written to s.html" in first.stderr
    Path("s.html").write_text("mine")
    again = CliRunner().invoke(app, ["report", "s"])
    assert "is there already" in str(again.exception)
    assert Path("s.html").read_text() == "mine"
    CliRunner().invoke(app, ["report", "s", "--force"], catch_exceptions=False)
    assert "</html>" in Path("s.html").read_text()
    database = CliRunner().invoke(app, ["report", "s", "-o", "study.db", "--force"])
    assert "never written over" in str(database.exception)
    facts = CliRunner().invoke(app, ["report", "s", "--json", "-o", "-"], catch_exceptions=False)
    assert facts.stdout.rstrip().endswith("</html>")


@pytest.mark.nightly
def test_a_report_loads_no_pytorch(sqlite_url: str, tmp_path: Path) -> None:
    played(sqlite_url, tmp_path, DIGITS, [Played(ADAM, (0.5, 0.6))] * 12, data=DATA)
    code = (
        "import sys; from hpsearch.reports.page import report;"
        "from hpsearch.store.ledger import Ledger; from hpsearch.store.engine import Database;"
        f"report(Ledger(Database({sqlite_url!r})), 's').html; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.nightly
def test_a_report_of_ten_thousand_trials_is_small_and_takes_seconds(sqlite_url: str) -> None:
    ledger, study = large(sqlite_url)
    began = time.process_time()
    page = report(ledger, study.name).html
    assert time.process_time() - began < 20
    assert len(page.encode()) < 8 << 20
    checked(page)


# --- side by side -------------------------------------------------------------------------------


def both(
    url: str, folder: Path, values: tuple[float, float], other: Mapping[str, Any] = DATA
) -> Ledger:
    for name, value, data in zip(("a", "b"), values, (DATA, other), strict=True):
        trials = [Played(ADAM, (value,)), Played(ADAM, (0.1,))]
        ledger, _ = played(url, folder, DIGITS, trials, name=name, data=data)
    return ledger


def test_studies_of_the_same_data_are_set_beside_each_other(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = comparison(both(sqlite_url, tmp_path, (0.5, 0.75)), ["a", "b"])
    (pair,) = found.pairs
    assert (pair.study, pair.beside, pair.how, pair.gain) == ("b", "a", "search", 0.25)
    assert found.notes == ()
    assert found.parameters[0] == ("depth", "1", "1")
    assert "b beside a: best accuracy of the search +0.25" in checked(html(found)).text
    monkeypatch.setenv("HPSEARCH_STORAGE", sqlite_url)
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, ["compare", "a", "b"], catch_exceptions=False)
    assert "a: Best validation accuracy 0.5" in shown.stdout
    assert max(map(len, shown.stdout.splitlines()[:12])) <= 80
    said = CliRunner().invoke(app, ["compare", "a", "b", "--json"], catch_exceptions=False)
    assert [one["best"]["value"] for one in json.loads(said.stdout)["studies"]] == [0.5, 0.75]
    alone = CliRunner().invoke(app, ["compare", "a", "a"])
    assert "two studies or more" in str(alone.exception)


def test_what_cannot_be_compared_is_not(sqlite_url: str, tmp_path: Path) -> None:
    ledger = both(sqlite_url, tmp_path, (0.5, 0.75), {**DATA, "split": "c" * 64})
    played(sqlite_url, tmp_path, OWN, [Played({"lr": 0.1, "widths": "16"}, (0.2,))], name="own")
    found = comparison(ledger, ["a", "b", "own"])
    assert found.pairs == ()
    said = " ".join(found.notes)
    assert "The metrics differ (accuracy: a, b; val/f1 <b>: own)" in said
    assert "The data or its split differs" in said
    assert "Which data own used is not known" in said
    assert "not compared, for the reasons below" in checked(html(found)).text


def sides(url: str, folder: Path, ours: Any, theirs: Any) -> list[Side]:
    """Two studies after a finish each."""
    found = comparison(both(url, folder, (0.5, 0.75)), ["a", "b"]).sides
    verdicts = verdict(test=theirs), verdict(test=ours)
    return [
        replace(side, snapshot=replace(side.snapshot, verdict=one))
        for side, one in zip(found, verdicts, strict=True)
    ]


def test_finishes_are_compared_by_their_seeds(sqlite_url: str, tmp_path: Path) -> None:
    def estimate(*values: float) -> dict[str, Any]:
        return {"mean": sum(values) / len(values), "low": 0, "high": 1, "values": values}

    first, side = sides(
        sqlite_url, tmp_path, estimate(0.92, 0.83, 0.99), estimate(0.9, 0.8, 0.98)
    )  # fmt: skip
    pair = comparing._pair(side, first)
    assert pair is not None
    assert pair.how == "seeds"
    assert (pair.gain, pair.low, pair.high) == pytest.approx((0.02, -0.00484, 0.04484), abs=1e-5)
    assert "no evidence of a difference" in pair.sentence("accuracy")
    unequal = replace(side, snapshot=replace(
        side.snapshot, verdict=verdict(test=estimate(0.92, 0.83, 0.99), completed=5)))  # fmt: skip
    pair = comparing._pair(unequal, first)
    assert pair is not None
    assert pair.how == "test"
    # scipy.stats.ttest_ind(..., equal_var=False).confidence_interval()
    assert (pair.low, pair.high) == pytest.approx((-0.174511, 0.214511), abs=1e-5)


def test_following_a_study_that_is_deleted_says_so(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, [Played(ADAM, (0.5,), "RUNNING")])
    reader = Reader(ledger, "s")
    reader.snapshot()
    monkeypatch.setenv("HPSEARCH_STORAGE", sqlite_url)
    deleted = CliRunner().invoke(app, ["delete", "s", "-y"], catch_exceptions=False)
    assert "1 trial of it under way" in deleted.stderr
    with pytest.raises(NotFoundError, match="has been deleted meanwhile"):
        reader.snapshot()


def test_the_name_that_is_advised_is_free(sqlite_url: str, tmp_path: Path) -> None:
    for name in ("s", "s-2"):
        played(sqlite_url, tmp_path, DIGITS, [Played(ADAM, (0.5,))], name=name)
    with pytest.raises(ConflictError, match="--set name=s-3"):
        played(sqlite_url, tmp_path, DIGITS.replace("sampler: random", "sampler: tpe"),
               [Played(ADAM, (0.5,))])  # fmt: skip


def test_the_page_that_is_advised_is_no_other_studys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.html").touch()
    assert free("s", ".html", "+") == "s+2.html"
    assert file_name("s+2") != "s+2.html"


def test_what_is_handed_over_stands_beside_the_default_and_no_path_is_in_a_page(
    sqlite_url: str, tmp_path: Path
) -> None:
    matrix = {"details": {"confusion": [[9, 0], [2, 8]]}}
    trials = [Played(ADAM, (0.4, at / 20), attrs=matrix) for at in range(12)]
    trials.append(Played({**ADAM, "lr": 0.5}, (0.4, 0.975), attrs={**matrix, "stage": FINAL}))
    trials.append(Played(ADAM, (), "FAIL", f"no file {tmp_path}/cells.csv"))
    ledger, study = played(sqlite_url, tmp_path, DIGITS, trials, data=DATA)
    Gallery.of(ledger, study).put(Kept("errors", 12), PNG)
    page = report(ledger, "s")._context.__self__  # type: ignore[attr-defined]
    found = page.snapshot
    handed = next(trial for trial in found.trials if trial.number == 12)
    noise = {"mean": 0.0, "low": -0.1, "high": 0.1, "values": (0.0, 0.1, -0.1)}
    page = replace(page, snapshot=replace(found, handed=handed, verdict=verdict(difference=noise)))
    text = Report(page.snapshot, facts(page.snapshot, page.spent), page.context).html
    shown = checked(text).text
    for words in (
        "default settings-0.962", "best of the search, trial 110.55-", "trial 12 of these0.975",
        "It is the tuned one: it was chosen before the test", "--set name=s-default",
        "The one handed over, and 13 of the search, the best first", "final, handed over",
        "Confusion matrix of the validation part", "those of the test part", "no file cells.csv",
        "trial 12, handed over",
    ):  # fmt: skip
        assert words in " ".join(shown.split("\n")), words
    assert str(tmp_path) not in text

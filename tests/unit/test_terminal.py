"""No text of a stranger is obeyed by a terminal, or computed by a spreadsheet."""

from __future__ import annotations

import csv
import io
import logging
import os
import sys
import termios
import warnings

import pytest
from rich.columns import Columns
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hpsearch import passwords
from hpsearch.cli import console as consoles
from hpsearch.cli.options import print_json
from hpsearch.terminal import echo, visible, wrapped, write_csv

HOSTILE = {
    "colour and clear": "a\x1b[2J\x1b[31mb",
    "window title": "a\x1b]0;owned\x07b",
    "link": "a\x1b]8;;http://evil\x1b\\b",
    "one-byte introducer": "a\x9b2Jb",
    "backspace": "good\b\b\b\bevil",
    "carriage return": "real line\rfake",
    "bell": "a\x07b",
    "delete": "a\x7fb",
    "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b\u2069",
    "line separator": "a\u2028b",
    "unseen": "a\u200bb\ufeffc",
    "tag": "a\U000e0041b",
    "half a character": "a\ud800b",
    "name of a file in no encoding": "a\udcffb",
}
ORDERS = {character for text in HOSTILE.values() for character in text} - set(
    "abc [2J31m]0;owned8;;http://evil\\goodreal linefakegnp.exe"
)


@pytest.fixture(params=HOSTILE.values(), ids=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    """Text with something in it that a terminal would obey."""
    return str(request.param)


def is_tame(shown: str) -> bool:
    """Whether nothing of it is an order."""
    return not ORDERS & set(shown)


def test_what_a_terminal_would_obey_is_shown_as_python_writes_it(hostile: str) -> None:
    shown = visible(hostile)
    assert is_tame(shown)
    shown.encode()
    assert shown.isascii()
    assert visible(shown) == shown


@pytest.mark.parametrize(
    "text", ["a\tb\nc", "Größe", "\u062e\u200c\u0647", "👩\u200d🔬", "C:\\x1b", "“quoted” — 95 %"]
)
def test_ordinary_text_of_any_language_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_belongs_in_a_line_has_no_other_line() -> None:
    assert visible("a\nb\tc", lines=False) == "a\\nb\\tc"


@pytest.mark.parametrize("console", [consoles.out, consoles.err])
def test_every_way_to_print_on_a_console_is_tame(
    console: consoles._Console, hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = consoles.columns("first", hostile)
    table.add_row("x", hostile)
    table.add_row(Text(hostile, "red"), "y")
    grid = Table.grid()
    grid.add_column()
    grid.add_row(hostile)
    for printed in (hostile, Text(hostile), table, grid, Columns([hostile])):
        console.print(printed)
    with Live(Text(hostile), console=console, auto_refresh=False, transient=True) as live:
        live.update(Text(hostile), refresh=True)
    consoles.note(hostile)
    said = capsys.readouterr()
    assert is_tame(said.out + said.err)


def test_a_cell_has_one_line_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table = consoles.columns("name")
    table.add_row("[bold red]x[/] [link=http://e]y[/link] :smile:")
    table.add_row("one\ntwo")
    table.add_row(Text("three\nfour", "red"))
    consoles.out.print(table)
    consoles.out.print("[bold]z[/bold] [/]")
    said = capsys.readouterr().out
    assert "[bold red]x[/] [link=http://e]y[/link] :smile:" in said
    assert "one\\ntwo" in said
    assert "three\\nfour" in said
    assert "[bold]z[/bold] [/]" in said


def test_colours_of_our_own_still_reach_a_terminal() -> None:
    stream = io.StringIO()
    console = consoles._Console(
        file=stream, force_terminal=True, color_system="standard", markup=False
    )
    console.print(Text("ok", "green"))
    assert stream.getvalue() == "\x1b[32mok\x1b[0m\n"


def test_lines_logs_warnings_and_tracebacks_are_tame(
    hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    echo(hostile)
    echo(hostile, err=True)
    record = passwords._Record("x", logging.INFO, "f", 1, "said %s", (hostile,), None)
    print(record.getMessage())
    print(passwords._hiding(warnings.formatwarning)(hostile, UserWarning, "f", 1))
    try:
        raise ValueError(hostile)
    except ValueError:
        passwords.excepthook(*sys.exc_info())
    said = capsys.readouterr()
    assert is_tame(said.out + said.err)


def test_json_is_tame(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({hostile: [hostile]})
    assert is_tame(capsys.readouterr().out)


def _table(rows: list[dict[str, object]], stream: io.StringIO | None = None) -> list[list[str]]:
    stream = stream or io.StringIO()
    write_csv(stream, list(rows[0]), rows)
    return list(csv.reader(io.StringIO(stream.getvalue())))


@pytest.mark.parametrize(
    "text",
    ["=1+1", '=HYPERLINK("http://e")', "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\rx", "-",
     "\uff1d1+1"],
)  # fmt: skip
def test_what_a_spreadsheet_would_compute_is_quoted(text: str) -> None:
    assert _table([{text: text}]) == [[f"'{text}"], [f"'{text}"]]


@pytest.mark.parametrize("value", [-0.5, "-0.5", "+3", "-1e-05", float("-inf"), -7, "-nan"])
def test_numbers_stay_numbers(value: object) -> None:
    assert _table([{"x": value}]) == [["x"], [str(value)]]


@pytest.mark.parametrize("text", ["a=b", "<=50K", " x", "'x", "a-b@c"])
def test_other_text_is_left_alone(text: str) -> None:
    assert _table([{"x": text}]) == [["x"], [text]]


def test_a_file_has_the_data_and_a_terminal_what_is_visible() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    rows: list[dict[str, object]] = [{"x": "a\x1b[2Jb"}]
    assert _table(rows)[1] == ["a\x1b[2Jb"]
    assert _table(rows, Terminal())[1] == ["a\\x1b[2Jb"]


def test_lines_on_a_terminal_end_between_words() -> None:
    text = f"  column `n`: `1,000 rows` of {'a' * 50} are read\nshort"
    assert _on_forty_columns(text) == [
        "  column `n`: `1,000 rows` of", f"  {'a' * 50}", "  are read", "short",
    ]  # fmt: skip
    assert wrapped(text, io.StringIO()) == text, "a pipe has each line whole"


@pytest.mark.parametrize(
    "command",
    [
        "hpsearch delete churn --storage sqlite:///a.db",
        "hpsearch best churn --save best --code .",
        "hpsearch status",
        "hpsearch import-trials churn --from=old.csv",
        "hpsearch run ./churn.yaml --set budget.trials=40",
    ],
)
def test_a_command_in_an_error_is_in_one_line(command: str) -> None:
    """It is there to be pasted."""
    for text in (f"the name churn is taken: {command}, or `name:` of the study file",
                 f"it has ended; {command}"):  # fmt: skip
        lines = _on_forty_columns(text)
        assert any(command in line for line in lines), lines
        assert " ".join(lines) == text


@pytest.mark.parametrize(("columns", "lines"), [(None, 1), ("40", 6)])
def test_where_no_terminal_is_a_sentence_is_one_line(
    columns: str | None,
    lines: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Logs are searched, and have their own width."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    console = consoles._Console(width=int(columns) if columns else None)
    console.print("test accuracy 0.8 " * 12)
    assert len(capsys.readouterr().out.splitlines()) == lines


def _on_forty_columns(text: str) -> list[str]:
    ours, its = os.openpty()
    termios.tcsetwinsize(its, (24, 40))
    with os.fdopen(its, "w") as terminal:
        lines = wrapped(text, terminal).split("\n")
    os.close(ours)
    return lines

"""Errors as Python gets them: calls in place of commands, and no frames within hpsearch."""

from __future__ import annotations

import ast
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

import hpsearch as hp
from hpsearch.api.door import in_python
from tests.unit.test_docs_errors import template

PACKAGE = Path(hp.__file__).parent
COMMANDS_ONLY = {
    "begin", "cli", "convert", "dashboard", "fleet", "processes", "reports", "__main__.py",
    "api/door.py", "api/planning.py", "code/options.py", "code/uses.py", "insight/commands.py",
    "insight/note.py", "pictures/canvas.py", "preflight/doctor.py", "spec/document.py",
    "spec/faults.py", "spec/foreign.py", "spec/overrides.py",
    "api/checking.py",  # a line of `check --networks`
    "handover/save.py",  # git's options
    "store/values.py",  # what a worker is started with
}  # fmt: skip
"""What Python never gets, or what is no message."""
OF_A_MACHINE = {"db", "init", "import", "worker", "fleet", "dashboard", "doctor"}
"""Commands that have no call."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("remove it (hpsearch delete w4)", "remove it (study.delete())"),
        ("hpsearch run FILE or hpsearch submit FILE makes them",
         "study.run() or study.submit() makes them"),
        ("choose another name (--set name=w4-2)", 'choose another name (name="w4-2")'),
        ("another name (--set name=...)", "another name (name=...)"),
        ("replace it with --force", "replace it with force=True"),
        ("hpsearch run FILE --accept-code and so", "study.run(accept_code=True) and so"),
        ("hpsearch extend w4 --trials N --hours H", "study.extend(trials=N, hours=H)"),
        ("(--set budget.epochs=3 --trials 20, or", "(epochs=3 trials=20, or"),
        ("(--set final.top=2 --set final.seeds=3)", '(final={"top": 2, "seeds": 3})'),
        ("(hpsearch resume w4 && hpsearch worker w4 --until-done --code /a/b)",
         '(study.resume(), then hp.Study.load("w4", code="/a/b").run())'),
        ("hpsearch final w4 --top 3 --seeds 5 --again", "study.finish(top=3, seeds=5, again=True)"),
        ("hpsearch logs w4 7 shows all of it", "study.logs(7) shows all of it"),
        ("hpsearch best w4 --save net makes one", 'study.save("net") makes one'),
        ("name it with --checkpoints, or ask", "name it with checkpoints, or ask"),
        ("see hpsearch workers", "see study.workers"),
        ("run hpsearch db upgrade", "run hpsearch db upgrade"),
        ("/a b/hpsearch.tables/0b55e9d1001e0c66d01fca6d.parquet: the table has no column `x`",
         "the table has no column `x`"),
        ("/a/hpsearch.tables/0b55e9d1001e0c66d01fca6d.npz has no array 'y'",
         "the data has no array 'y'"),
    ],
)  # fmt: skip
def test_advice_in_calls(text: str, said: str) -> None:
    assert in_python(text) == said
    assert in_python(said) == said


def messages() -> list[str]:
    """The texts of all errors and notes that Python may get, with `x1` for what is filled in."""
    texts = []
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        if COMMANDS_ONLY & {place.parts[0], str(place)}:
            continue
        tree = ast.parse(path.read_text())
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
                 for part in node.values}  # fmt: skip
        inner |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        nodes = (node for node in ast.walk(tree) if id(node) not in inner)
        texts += [text.replace("…", "x1") for node in nodes if (text := template(node))]
    return texts


def test_no_message_that_python_gets_advises_an_option_or_a_command() -> None:
    texts = messages()
    advice = [
        text for text in texts if re.search(r"(?<![\w(-])--[a-z]{2}|\bhpsearch [a-z]+ ", text)
    ]
    assert len(advice) > 40
    for text in advice:
        left = in_python(text)
        commands = re.findall(
            r"\bhpsearch (run|submit|delete|final|extend|resume|logs|best) ", left
        )
        assert commands == [], text
        options = {*re.findall(r"(?<![\w-])--([a-z][a-z-]+)", left)}
        assert options <= {"set", "until-done", "failed", "x1"}, (
            text
        )  # parts of what is put together


def test_an_error_is_short_and_advises_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = {"a": list(range(40)), "kind": ["x", "y"] * 20}
    made: dict[str, Any] = {
        "name": "s",
        "data": table,
        "metric": "accuracy",
        "parameters": {"lr": hp.log(0.1, 1)},
    }
    study = hp.Study(**made, target="kind")
    with pytest.raises(hp.HpsearchError, match=r"study\.run\(\) or study\.submit\(\)") as early:
        study.best  # noqa: B018
    assert len(traceback.extract_tb(early.value.__traceback__)) == 2
    assert early.value.__suppress_context__
    with pytest.raises(hp.HpsearchError, match=r"^the table has no column `visitor`"):
        hp.Study(**made, target="visitor")
    study.submit()
    other = hp.Study(**made, target="kind", epochs=3)
    with pytest.raises(hp.HpsearchError, match="is taken") as taken:
        other.submit()
    said = str(taken.value)
    assert "continue with it as it was made (epochs=10), or" in said
    assert 'choose another name (name="s-2")' in said
    assert "--" not in said
    assert "hpsearch " not in said
    (tmp_path / "s.html").write_text("")
    with pytest.raises(hp.HpsearchError, match="write over it with force=True"):
        study.report()
    with pytest.raises(hp.HpsearchError, match=r"study\.save\("):
        hp.load("net")


def test_a_study_shows_how_it_stands_and_how_its_data_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table = {"a": list(range(40)), "kind": ["x", "y"] * 20}
    study = hp.Study(name="s", data=table, target="kind", metric="accuracy",
                     parameters={"lr": hp.log(0.1, 1)})  # fmt: skip
    assert repr(study) == "study s: not in the database yet; run() makes it"
    assert repr(study.submit()) == "study s: open, 0 of 30 trials"
    lines = str(study.check()).splitlines()
    assert "the table: 40 rows" in lines
    assert {("kind", "target"), ("a", "number")} <= {tuple(line.split()[:2]) for line in lines}
    capsys.readouterr()
    study.delete()
    assert capsys.readouterr().err == "study s: deleted, with 0 trials and their checkpoints\n"

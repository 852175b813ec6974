"""What a study names that its own code has not: only where that is sure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpsearch.preflight.code_check import misnamed
from hpsearch.preflight.data_check import warnings
from hpsearch.spec import load

STUDY = """
name: own
train: {train}
metric: {{name: accuracy, direction: maximize}}
parameters: {{glr: {{min: 0.1, max: 1.0}}, depth: {{values: [1, 2]}}, kind: plain}}
budget: {{trials: 3, epochs: 5}}
"""

LOOP = "    for epoch in run.epochs():\n        run.report(accuracy=1)\n"


def said(folder: Path, train: str) -> list[str]:
    (folder / "study.yaml").write_text(STUDY.format(train=train))
    spec = load(folder / "study.yaml")
    lines = misnamed(spec, folder)
    assert [line for line in warnings(spec, folder) if line in lines] == lines
    assert not set(lines) & set(warnings(spec)), "without a folder nothing is looked at"
    return lines


def of_function(folder: Path, body: str, more: str = "") -> list[str]:
    (folder / "train.py").write_text(f"{more}\ndef train(run):\n{body}")
    return said(folder, "{function: 'train.py:train'}")


IDLE = "train.py:train never reads the parameter depth: its values make no difference"


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("    run.glr, run.depth\n" + LOOP, []),
        ("    run.glr, run.kind, run.seed, run.folder, run.epochs\n" + LOOP, [IDLE]),
        (
            "    run.g_lr, run.depth\n" + LOOP,
            ["train.py:train never reads the parameter glr; it reads g_lr, which is no parameter: "
             "did you mean g_lr?"],
        ),
        (
            "    run.glr, run.params['depth'], run.kin\n" + LOOP,
            ["train.py:train reads run.kin, which is no parameter of the study; did you mean kind?"]
        ),
        (
            "    run.glr, run.depth\n    for epoch in run.epochs():\n"
            "        run.report(accuracy=run.momentum)\n",
            ["train.py:train reads run.momentum, which is no parameter of the study"],
        ),
        (
            "    run.glr, run.depth\n    for epoch in run.epochs():\n"
            "        run.report(acuracy=1, loss=2)\n",
            ["train.py:train reports acuracy, loss, and never the metric accuracy; did you mean "
             "acuracy?"],
        ),
        (
            "    run.glr, run.depth\n    for epoch in run.epochs():\n        for rows in batches:\n"
            "            if run.augment: pass\n        run.report(accuracy=1)\n",
            ["train.py:train reads run.augment, which is no parameter of the study"],
        ),
        ("    build(run)\n" + LOOP, [IDLE]),
        (
            "    run.glr, run.depth\n    return 3\n",
            ["train.py:train never reports the metric accuracy: call run.report(accuracy=...) "
             "after each epoch"],
        ),
    ],
)  # fmt: skip
def test_a_function(tmp_path: Path, body: str, lines: list[str]) -> None:
    helper = "def build(options): return options.params.get('glr', 0.1)\n"
    assert of_function(tmp_path, body, helper) == lines


def test_a_parameter_that_others_depend_on_need_not_be_read(tmp_path: Path) -> None:
    study = STUDY.replace("max: 1.0", "max: 1.0, when: {{depth: 2}}")
    (tmp_path / "train.py").write_text(f"def train(run):\n    run.params.get('glr')\n{LOOP}")
    (tmp_path / "study.yaml").write_text(study.format(train="{function: 'train.py:train'}"))
    assert misnamed(load(tmp_path / "study.yaml"), tmp_path) == []


UNSURE = {
    "all parameters at once": "    Net(**run.params)\n",
    "a copy of the parameters": "    config = dict(run.params)\n",
    "by a computed name": "    [getattr(run, name) for name in NAMES]\n",
    "by a computed key": "    run.params[KEY]\n",
    "handed to an import": "    Net(run)\n",
    "handed to a list": "    apply(*[run])\n",
    "another name": "    options = run\n",
    "in a closure": "    def inner(): return vars(run)\n",
    "handed to what is given as star": "    star(run)\n",
}


@pytest.mark.parametrize("way", UNSURE)
def test_what_may_read_anything_is_no_reason_for_a_warning(tmp_path: Path, way: str) -> None:
    assert of_function(tmp_path, UNSURE[way] + LOOP, "def star(*all): return all[0].glr") == []


@pytest.mark.parametrize(
    "body",
    [
        "    if run.depth > 1: run.momentum\n",
        "    run.depth or run.momentum\n",
        "    try: run.momentum\n    except AttributeError: pass\n",
        "    with contextlib.suppress(AttributeError): run.momentum\n",
        "    getattr(run, 'momentum', 0.9), run.params.get('momentum', 0.9)\n",
        "    for one in range(run.depth): run.momentum\n",
        "    for epoch in run.epochs():\n        for one in range(run.depth): run.momentum\n",
        "    if run.depth > 1: return\n    run.momentum\n",
        "    run.momentum = 3\n    run.momentum\n",
        "    [run.momentum for one in range(run.depth)]\n",
        "    later = lambda: run.momentum\n",
    ],
)
def test_what_may_not_be_read_is_no_reason_for_a_warning(tmp_path: Path, body: str) -> None:
    assert of_function(tmp_path, f"    run.glr, run.depth\n{body}{LOOP}") == []


@pytest.mark.parametrize(
    ("body", "more"),
    [
        ("    run.glr, run.depth\n    run.report(**numbers)\n", ""),
        ("    run.glr, run.depth\n    run.report(loss=1)\n    fit(run.report)\n", ""),
        ("    run.glr, run.depth\n    run.report(loss=1)\n    fit(run)\n", ""),
        ("    run.report(loss=1)\n    run.momentum\n", "@decorated"),
        ("    run = configured()\n    run.report(loss=1)\n    run.momentum\n", ""),
        ("    run.report(loss=1)\n", "train = other(3)"),
        ("    run.glr, run.depth\n    fit(run)\n", ""),
        ("    run.glr, run.depth\n    say = run.report\n", ""),
    ],
)
def test_what_may_report_anything_is_no_reason_for_a_warning(
    tmp_path: Path, body: str, more: str
) -> None:
    assert of_function(tmp_path, body, more) == []


SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
group = parser.add_argument_group("net")
group.add_argument("--hidden", "-n", type=int)
parser.add_argument("--amp", action=argparse.BooleanOptionalAction)
args = parser.parse_args()
"""


NEEDS = SCRIPT.replace("type=int", "type=int, required=True").replace(
    "args =", "parser.add_argument('-o', '--out', required=True)\nargs ="
)


def of_command(folder: Path, code: str, words: str, more: str = "") -> list[str]:
    (folder / "train.py").write_text(code)
    (folder / "train.py").chmod(0o755)
    return said(folder, f"{{command: [{words}, '{{glr}}', '{{depth}}']{more}}}")


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("python, -u, train.py, --hidden", []),
        (f"{sys.executable}, train.py, --hid", []),
        ("python, train.py, --no-amp, --hidden=1", []),
        ("sh, train.py, --hiden", []),
        ("python, -m, train.py, --hiden", []),
        ("python, train.py, '--{kind}'", []),
        ("python, train.py, --, --hiden", []),
        (
            "python, -u, train.py, --hiden=3",
            ["train.command: train.py has no option --hiden; did you mean --hidden?"],
        ),
        ("./train.py, --x", ["train.command: ./train.py has no option --x"]),
    ],
)
def test_the_options_of_a_script(tmp_path: Path, words: str, lines: list[str]) -> None:
    assert of_command(tmp_path, SCRIPT, words) == lines


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("pyhton3, train.py", "there is no program pyhton3 here; did you mean python3?"),
        ("./fit, x", "there is no program ./fit here"),
        ("python, -u, src/train.py", "there is no file src/train.py in {folder}"),
        ("./plain", "./plain is not executable (chmod +x ./plain)"),
        ("env, A=1, sh, train.sh", "there is no file train.sh in {folder}"),
        ("python, train.py, --hidden, out.py", ""),
        ("python, -m, other.py", ""),
        ("'{kind}', train.py", ""),
    ],
)
def test_a_program_that_is_not_here(tmp_path: Path, words: str, line: str) -> None:
    (tmp_path / "plain").write_text("")
    lines = [f"train.command: {line.format(folder=tmp_path)}"] if line else []
    assert of_command(tmp_path, SCRIPT, words) == lines


@pytest.mark.parametrize(
    ("words", "code", "ends"),
    [
        ("python, train.py, '{glr}'", "", [", and train.py does not read HPSEARCH_PARAMS: "]),
        ("ls, '{glr}'", "", [": "]),
        ("python, train.py, '--x={glr}'", "open(os.environ['HPSEARCH_PARAMS'])", []),
        ("sh, -c, 'fit $HPSEARCH_PARAMS'", "", []),
        ("python, train.py, '{glr}', 'a{depth}'", "", []),
    ],
)
def test_a_parameter_that_is_in_no_place_of_the_command(
    tmp_path: Path, words: str, code: str, ends: list[str]
) -> None:
    (tmp_path / "train.py").write_text(code)
    lines = said(tmp_path, f"{{command: [{words}]}}")
    assert len(lines) == len(ends)
    assert all(one.startswith(f"train.command has no {{depth}}{end}the values make no difference")
               for one, end in zip(lines, ends, strict=True))  # fmt: skip


@pytest.mark.parametrize("words", ["--kind, '{kind}'", "'--kind={kind}'"])
def test_a_flag_that_is_given_a_value(tmp_path: Path, words: str) -> None:
    code = SCRIPT.replace("args =", "parser.add_argument('--kind', action='store_true')\nargs =")
    (line,) = of_command(tmp_path, code, f"python, train.py, {words}")
    assert line == ("train.command: --kind of train.py takes no value; in the place of --kind and "
                    "{kind} give {kind} alone, with values: [null, --kind]")  # fmt: skip
    assert of_command(tmp_path, code, "python, train.py, --kind") == []


@pytest.mark.parametrize("words", ["--hid, x, -o, x", "--hidden=3, -ox", "--hi, x, --out=x"])
def test_a_required_option_that_is_given(tmp_path: Path, words: str) -> None:
    assert of_command(tmp_path, NEEDS, f"python, train.py, {words}") == []


def test_a_required_option_that_the_command_lacks(tmp_path: Path) -> None:
    lines = [f"train.command: train.py requires the option {name}, which is not among the words"
             for name in ("--hidden", "--out")]  # fmt: skip
    assert of_command(tmp_path, NEEDS, "python, train.py, --, --out") == lines


def test_an_option_that_a_parameter_may_be_is_no_reason_for_a_warning(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(NEEDS)
    study = STUDY.replace("[1, 2]", "[--hidden=3, --hidden=4]")
    train = "{command: [python, train.py, '{depth}', '{glr}']}"
    (tmp_path / "study.yaml").write_text(study.format(train=train))
    assert misnamed(load(tmp_path / "study.yaml"), tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("parser.parse_args()", "parser.parse_known_args()"),
        ("parser.parse_args()", "parser.parse_args(shlex.split(line))"),
        ("ArgumentParser()", "ArgumentParser(parents=[common])"),
        ("args =", "add_more(parser)\nargs ="),
        ("args =", "for name in NAMES: parser.add_argument(f'--{name}')\nargs ="),
        ("args =", "import sys; sys.argv\nargs ="),
        ("args =", "parser.add_subparsers()\nargs ="),
        ("argparse.ArgumentParser()", "HfArgumentParser(Options)"),
        ("import argparse", "import jsonargparse as argparse"),
        ("import argparse", "from configargparse import ArgumentParser"),
        ("args =", "add = parser.add_argument; add('--hiden')\nargs ="),
        ("args =", "other = argparse.ArgumentParser()\nargs ="),
    ],
)
def test_what_may_have_other_options_is_no_reason_for_a_warning(
    tmp_path: Path, old: str, new: str
) -> None:
    assert old in SCRIPT
    assert of_command(tmp_path, SCRIPT.replace(old, new), "python, train.py, --hiden") == []


@pytest.mark.parametrize(
    ("imported", "parser"),
    [
        ("import argparse as ap", "ap.ArgumentParser()"),
        ("from argparse import ArgumentParser", "ArgumentParser('about')"),
    ],
)
def test_a_parser_by_another_name(tmp_path: Path, imported: str, parser: str) -> None:
    code = f"{imported}\nparser = {parser}\nparser.add_argument('--hidden')\nparser.parse_args()"
    (line,) = of_command(tmp_path, code, "python, train.py, --hiden")
    assert line == "train.command: train.py has no option --hiden; did you mean --hidden?"


def test_a_pattern_without_the_metric(tmp_path: Path) -> None:
    words, more = "python, train.py", ", metrics: 'acc=(?P<acuracy>[0-9.]+)'"
    assert of_command(tmp_path, SCRIPT, words, more) == [
        "train.metrics has no group (?P<accuracy>...), which is the metric; did you mean acuracy?"
    ]
    assert of_command(tmp_path, SCRIPT, words, more.replace("acuracy", "accuracy")) == []

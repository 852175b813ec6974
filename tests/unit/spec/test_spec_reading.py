"""What happens to a file before its content is checked: YAML, its bounds, `--set`."""

from __future__ import annotations

import json

import pytest

from hpsearch.errors import StudyFileError
from hpsearch.spec import load
from hpsearch.spec.document import read as parse
from hpsearch.spec.faults import Faults, show


def only(error):
    (fault,) = error.faults
    return fault


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: [1, 2\nb: 3", 2, 2, "expected ',' or ']'"),
        ("a: 1\n\tb: 2", 2, 1, "expected blanks, as YAML knows no tabs; got a tab"),
        ("a: 1\n b: 2", 2, 3, "expected a key as far left as those beside it"),
        ("name: 'x", 1, 9, "end of stream"),
        ("---\na: 1\n---\nb: 1", 3, 1, "expected one document; got a second one"),
        ("a: *b", 1, 4, "expected an anchor &b before *b; got none"),
        ("a: &b\n  c: *b", 2, 6, "*b inside &b"),
        ("[" * 30_000, 1, 22, "at most 20 levels of nesting"),
        ("a: " + "[" * 25 + "]" * 25, 1, 24, "at most 20 levels"),
        ("x: \x07", None, None, "unacceptable character"),
        ("%YAML 1.9\n---\na: 1", None, None, "expected YAML 1.2"),
        ("", None, None, "a mapping of keys to values; got nothing"),
        ("# only a comment", None, None, "a mapping of keys to values; got nothing"),
    ],
)
def test_not_yaml_is_one_fault(refuse, text, line, column, words):
    error = refuse(text)
    assert (only(error).line, only(error).column) == (line, column)
    assert words in str(error)
    where = "study.yaml" + "".join(f":{n}" for n in (line, column) if n)
    assert f"{where}: expected " in str(error)


@pytest.mark.parametrize(("text", "got"), [("- 1", "[1]"), ("word", '"word"'), ("---", "null")])
def test_the_top_is_a_mapping(refuse, text, got):
    said = "study.yaml:1: expected a mapping of keys to values (hpsearch init DATA writes one); got"
    assert f"{said} {got}" in str(refuse(text))


def test_aliases_cannot_grow_without_bound(refuse):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 15)]
    assert "at most 50,000 values; got more" in str(refuse("\n".join(lines)))
    deep = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 30))])
    assert "at most 20 levels of nesting" in str(refuse(deep))
    assert "at most 50,000 values" in str(refuse(f"a: [{'1,' * 50_001}]"))


def test_aliases_repeat_values(read, study):
    text = study("parameters:\n  optimizer:\n    beta1: &b {values: [0.8, 0.9]}\n    beta2: *b\n")
    assert [p.domain.values for p in read(text).space] == [(0.8, 0.9)] * 2


def test_yaml_1_2_scalars():
    text = (
        "[on, yes, 2024-01-01, 1e-5, 0o17, 0x1F, 017, 1_000, ~, null, True, .5, 1., '3', +4, 1e3]"
    )
    assert parse(text, Faults()) == [
        "on", "yes", "2024-01-01", 1e-5, 15, 31, 17, "1_000", None, None, True, 0.5, 1.0, "3", 4,
        1000.0,
    ]  # fmt: skip


def test_duplicate_keys_name_both_lines(refuse, study):
    text = study("budget:\n  trials: 4\n  hours: 0\n  trials: 5")
    faults = refuse(text).faults
    assert [(f.line, f.path) for f in faults] == [(9, "budget.hours"), (10, "budget.trials")]
    assert faults[1].expected == "each key once"
    assert faults[1].got == "it again after line 8"


@pytest.mark.parametrize("key", ["3", "true", "~", "1.5", "[a]", "{a: 1}"])
def test_keys_are_text(refuse, study, key):
    faults = refuse(study(f"budget:\n  trials: 4\n  ? {key}\n  : 5")).faults
    assert [(f.line, f.path) for f in faults] == [(9, "budget")]
    assert faults[0].expected.startswith("text as a key")


def test_tags_are_refused(refuse, study):
    error = refuse(study("name: !!python/object:os.system x"))
    assert only(error).expected == "a value without a tag"


def test_no_text_can_steer_the_terminal(refuse, study):
    error = refuse(study('name: "a\\e[31m\\x9b"'))
    assert "\x1b" not in str(error)
    assert "\x9b" not in str(error)
    assert "surrogate" in str(refuse(study('name: "\\ud800"')))
    assert "NUL" in str(refuse(study('checkpoints: "a\\0"')))


def test_a_bad_scalar_is_one_fault(refuse, study):
    text = study("parameters:\n  learning_rate:\n    lr: {min: .nan, max: .inf, log: true}")
    assert [f.path.rpartition(".")[2] for f in refuse(text).faults] == ["min", "max"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"name: \xff", "study.yaml:1: expected text in UTF-8; got byte 0xff"),
        (b"a: 1\nb: \xe4", "study.yaml:2: expected text in UTF-8; got byte 0xe4"),
        (b"#" * 1_000_001, "at most 1,000,000 bytes; got more"),
    ],
)
def test_files_that_are_not_text(refuse, data, words):
    assert words in str(refuse(data))


def test_a_byte_order_mark_is_no_fault(read, study):
    assert read(b"\xef\xbb\xbf" + study().encode()).name == "base"


def test_missing_files(tmp_path):
    with pytest.raises(StudyFileError, match=r"^no such file: .*absent.yaml; it is not in"):
        load(tmp_path / "absent.yaml")
    (tmp_path / "customers.yaml").touch()
    with pytest.raises(StudyFileError, match=r"; did you mean .*customers.yaml\?$"):
        load(tmp_path / "customer.yaml")
    with pytest.raises(StudyFileError, match="is a folder, not a study file; hpsearch init "):
        load(tmp_path)
    with pytest.raises(StudyFileError, match="null"):
        load(tmp_path / "a\0b")


def test_faults_come_in_the_order_of_the_file(refuse, study):
    error = refuse(study("budget: {trials: 0, epoch: 3}\nname: 3\nnetwork: {family: x}\nextra: 1"))
    lines = [fault.line for fault in error.faults]
    assert lines == sorted(lines)
    assert len(lines) == 5
    assert str(error).splitlines()[0].endswith("study.yaml has 5 faults:")
    assert len(str(error).splitlines()) == 6
    assert error.exit_code == 2


def test_a_long_list_of_faults_is_cut(refuse, study):
    error = refuse(study("start:\n" + "".join(f"  - {{lr: {n}}}\n" for n in range(1, 151))))
    assert len(error.faults) == 150
    assert str(error).splitlines()[-1] == "... and 50 more"


class TestSet:
    def test_values_are_read_as_yaml(self, read, study):
        spec = read(
            study(),
            "budget.trials=20",
            "parameters.learning_rate.lr.max=1e-2",
            "search.sampler=random",
            "parameters.architecture.widths={values: [[8, 8], [16]]}",
            "budget.hours=",
        )
        assert (spec.budget.trials, spec.budget.hours) == (20, None)
        assert spec.search.sampler == {"learning_rate": "random", "architecture": "random"}
        assert spec.space.parameters[0].domain.high == 0.01
        assert spec.space.parameters[1].domain.values == ((8, 8), (16,))

    def test_it_mends_a_fault_of_the_file(self, read, study):
        assert read(study("budget: {trials: 0}"), "budget.trials=2").budget.trials == 2
        assert read(study("search:"), "search.seed=2").search.seed == 2

    @pytest.mark.parametrize(
        ("override", "text"),
        [
            ("budget.trials=0", "--set budget.trials: expected a whole number of at least 1; got"),
            ("budget.trails=1", "--set budget.trails: expected one of trials, epochs, hours, "
             'stop_after; got "trails"; did you mean trials?'),
            ("budget.trials=[1", "--set budget.trials: expected YAML; got "),
            ("budget.trials=.inf", "--set budget.trials: expected a finite number"),
            ("budget={trials: 1, trials: 2}", "--set budget: budget.trials: expected each key"),
            ("budget.trials.x=1", "--set budget.trials.x: expected a path of keys through"),
            ("budget.trials.x.y=1", "--set budget.trials.x.y: expected a path of keys through"),
            ("parameters.learning_rate.lr={min: 1}",
             "--set parameters.learning_rate.lr: parameters.learning_rate.lr.max: expected a"),
            ("parameters.learning_rate.lr.min=1.0", "--set parameters.learning_rate.lr.min: "
             "parameters.learning_rate.lr.max: expected a number of at least min (1); got 0.1"),
            ("budget.trials", '--set: expected path=value, such as budget.trials=20; got "budget.'),
            ("=3", "--set: expected path=value"),
            ("budget..trials=3", "--set: expected path=value"),
            ("", "--set: expected path=value"),
        ],
    )  # fmt: skip
    def test_its_faults_name_the_option(self, refuse, study, override, text):
        error = refuse(study(), override)
        assert str(error).splitlines()[1].startswith(text)
        assert only(error).line is None
        assert only(error).option.startswith("--set")

    def test_a_disagreement_blames_the_option(self, refuse, study):
        text = study("parameters:\n  learning_rate:\n    lr: {min: 0.1, max: 1.0}\n    epochs: 5")
        assert only(refuse(text, "budget.epochs=3")).option == "--set budget.epochs"
        assert only(refuse(text, "search.sampler=grid")).option == "--set search.sampler"

    def test_its_name_is_made_printable(self, refuse, study):
        # Python keeps bytes of the command line that are no text as surrogates.
        assert str(refuse(study(), "budget.\udcff\x1b=0")).isascii()

    def test_faults_of_the_file_come_first(self, refuse, study):
        error = refuse(study("name: 3"), "budget.trials=0")
        assert [f.line for f in error.faults] == [1, None]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1e-05, "1e-05"),
        ("a\nb", r'"a\nb"'),
        ({}, "{}"),
        ({"a": 1, "b": 2}, "keys (a, b)"),
        ([1, "x"], '[1, "x"]'),
        (object(), "a value of type object"),
    ],
)
def test_show(value, shown):
    assert show(value) == shown
    assert len(show([value] * 100)) <= 60


def test_faults_are_plain_values(refuse, study):
    from dataclasses import asdict

    (fault,) = json.loads(json.dumps([asdict(f) for f in refuse(study("name: 3")).faults]))
    assert fault == {
        "path": "name", "expected": "text", "got": "3", "line": 1, "column": None, "option": None,
        "hint": None,
    }  # fmt: skip

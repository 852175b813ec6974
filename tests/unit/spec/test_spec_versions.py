"""Documents of studies keep the version that they were made with, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpsearch.errors import StudyFileError
from hpsearch.spec import StudySpec, differences, versions
from hpsearch.spec import write as text_of
from tests.unit.spec.test_spec_study import FULL, VARIANTS

OLD = json.loads((Path(__file__).parents[2] / "data" / "v1" / "documents.json").read_text())
"""Study files with the documents and digests that hpsearch 0.1.0 made of them."""

every_old = pytest.mark.parametrize("old", OLD, ids=[old["name"] for old in OLD])


def stored(spec: StudySpec) -> StudySpec:
    """As a database gives it back."""
    return StudySpec.from_document(json.loads(json.dumps(spec.document)))


class TestFirst:
    @every_old
    def test_a_document_is_what_it_was_byte_for_byte(self, old) -> None:
        spec = StudySpec.from_document(old["document"])
        assert spec.version == 1
        texts = [json.dumps(d, sort_keys=True) for d in (spec.document, old["document"])]
        assert texts[0] == texts[1]
        assert spec.digest == old["digest"]

    @every_old
    def test_a_file_is_the_same_study_under_the_old_rules(self, read, old) -> None:
        spec = read(old["file"])
        assert (spec.version, spec.under(1).digest) == (versions.CURRENT, old["digest"])
        assert differences(StudySpec.from_document(old["document"]), spec.under(1)) == []

    def test_another_file_is_another_study(self, read, study) -> None:
        old = read(study()).under(1)
        new = read(study("budget: {trials: 4, epochs: 9}")).under(1)
        assert old.digest != new.digest
        assert differences(old, new) == ["budget.epochs: 10 in the database, 9 in the file"]


class TestCurrent:
    @pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
    def test_no_default_is_written(self, read, text) -> None:
        spec = read(text)
        document = spec.document
        assert document["version"] == versions.CURRENT
        assert stored(spec) == spec
        assert "retry" not in document
        assert "sanity" not in document["search"]
        assert all(parameter.get("log") is not False for parameter in document["parameters"])
        # What is not written is what the filled-in one has of a file that says nothing.
        assert spec.filled["retry"] == {"crash": 3}

    def test_of_a_study_that_says_next_to_nothing(self, read, study) -> None:
        assert read(study()).document == {
            "version": versions.CURRENT,
            "name": "base",
            "data": {"source": "digits", "task": "classification", "test": 0.15},
            "network": {"family": "mlp"},
            "metric": "accuracy",
            "parameters": [{"group": "learning_rate", "name": "lr", "min": 0.001, "max": 0.1}],
            "search": {"sampler": {"learning_rate": "bayesian"}},
            "budget": {"trials": 4},
        }

    def test_a_section_at_its_defaults_is_still_there_where_that_says_something(
        self, read, study
    ) -> None:
        spec = read(study("final: {}"))
        assert spec.document["final"] == {}
        assert stored(spec).final == spec.final is not None
        assert read(study("final: {top: 3}")).digest == spec.digest
        assert "final" not in read(study("final: null")).document

    @pytest.mark.parametrize(
        "snippet",
        ["search: {pruner: asha}", "search: {}", "budget: {trials: 4, hours: null}", "start: []",
         "retry: {crash: 3}", "checkpoints: null", "metric: accuracy"],
    )  # fmt: skip
    def test_a_default_that_is_spelled_out_changes_no_digest(self, read, study, snippet) -> None:
        assert read(study(snippet)).digest == read(study()).digest

    @pytest.mark.parametrize("version", [0, 4, "2", True, None, 2.0])
    def test_of_an_unknown_version(self, read, version) -> None:
        with pytest.raises(StudyFileError) as caught:
            StudySpec.from_document(read(FULL).document | {"version": version})
        assert str(caught.value).splitlines()[-1] == (
            'study "digits-1" in the database: version: expected 1 to 3, which this hpsearch '
            f"knows; got {json.dumps(version)}"
        )

    def test_a_file_has_no_version(self, read, refuse, study) -> None:
        message = str(refuse(study("version: 2")))
        assert "version" in message
        assert "expected one of name, data" in message


@pytest.fixture
def later(monkeypatch) -> None:
    """As if 0.1 had not had some keys, and had always acted as by other values of them."""
    for path, value in {
        ("search", "sanity"): False,
        ("budget", "hours"): 2.0,
        ("checkpoints",): "/always",
        ("final",): None,
    }.items():
        monkeypatch.setitem(versions.SINCE_1, path, value)


@pytest.mark.usefixtures("later")
class TestLaterKeys:
    def test_an_old_study_goes_by_what_its_version_means(self, read, study) -> None:
        spec = read(study())
        old = spec.under(1)
        assert (spec.search.sanity, spec.budget.hours, spec.checkpoints) == (True, None, None)
        assert (old.search.sanity, old.budget.hours, old.checkpoints) == (False, 2.0, "/always")
        assert {"checkpoints", "final", "version"} & old.document.keys() == set()
        assert "sanity" not in old.document["search"]
        assert "hours" not in old.document["budget"]
        assert stored(old) == old

    def test_a_file_that_names_none_is_the_study_that_is_there(self, read, study) -> None:
        spec = read(study("search: {seed: 3}"))
        assert spec.under(1) == stored(spec.under(1)) == read(study("search: {seed: 3}")).under(1)
        assert spec.under(versions.CURRENT) is spec

    @pytest.mark.parametrize(
        ("snippet", "line"),
        [
            ("search: {sanity: true}", "search.sanity: false in the database, true in the file"),
            ("budget: {trials: 4, hours: null}",
             "budget.hours: 2.0 in the database, nothing in the file"),
            ("checkpoints: /mine", 'checkpoints: "/always" in the database, "/mine" in the file'),
            ("final: {top: 1}", 'final: nothing in the database, {"top": 1, "seeds": 5} in the '
             "file"),
        ],
    )  # fmt: skip
    def test_a_file_that_names_one_is_another_study(self, read, study, snippet, line) -> None:
        there, other = read(study()).under(1), read(study(snippet)).under(1)
        assert there.digest != other.digest
        assert differences(there, other) == [line]

    def test_what_the_old_rules_mean_may_be_said_by_name(self, read, study) -> None:
        assert read(study("search: {sanity: false}")).under(1) == read(study()).under(1)

    def test_a_file_made_of_an_old_study_says_what_it_meant(self, read, study) -> None:
        text = text_of(read(study()).under(1))
        assert "sanity: false" in text
        assert "hours: 2.0" in text
        assert "checkpoints: /always" in text

"""Whatever a file holds, the answer is a study or a list of faults."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from hpsearch.spec import StudyFaultsError, StudySpec, load
from hpsearch.spec.document import read as parse
from hpsearch.spec.faults import Faults
from tests.later import Later
from tests.unit.spec.test_spec_study import VARIANTS

hypothesis = Later("hypothesis")
st = Later("hypothesis.strategies")

WORDS = [
    "name", "data", "network", "family", "parameters", "search", "budget", "start", "metric", "min",
    "max", "step", "log", "count", "values", "default", "when", "lr", "width", "widths", "depth",
    "optimizer", "epochs", "loss", "architecture", "learning_rate", "sampler", "pruner", "wrapped",
    "trials", "csv", "mlp", "cnn", "grid", "cmaes", "tpe", "sgd", "asha", "patient", "sizes", "",
]  # fmt: skip
NUMBERS = [0, 1, 2, -1, 1e-5, 0.5, 10**30, float("inf"), float("nan"), 5e-324, 1e308]
VALID = [parse(text, Faults()) for text in VARIANTS.values()]
COUNTS = pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.nightly)])


@cache
def values() -> Any:
    """Whatever YAML can hold."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(NUMBERS)
        | st.sampled_from(WORDS)
        | st.text(max_size=5)
    )
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    )


def examples(count: int, **drawn: Any) -> Callable[[Callable[..., None]], None]:
    """Run what is decorated with so many examples."""
    how = hypothesis.settings(
        deadline=None, max_examples=count, database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    return lambda check: how(hypothesis.given(**drawn)(check))()


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    path = tmp_path_factory.mktemp("anything") / "study.yaml"

    def answered(text: str, *overrides: str) -> StudySpec | None:
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            spec = load(path, overrides)
        except StudyFaultsError as error:
            faults, message = error.faults, str(error)
        else:
            assert StudySpec.from_document(json.loads(json.dumps(spec.document))) == spec
            return spec
        assert faults
        assert len(set(faults)) == len(faults)
        assert message.encode()
        return None

    return answered


def as_yaml(value: object) -> str:
    """JSON is YAML, but for the numbers that JSON has not."""
    text = json.dumps(value)
    return text.replace("Infinity", ".inf").replace("NaN", ".nan")


@COUNTS
def test_any_structure(answer, count):
    @examples(count, value=values())
    def _(value):
        answer(as_yaml(value))


@COUNTS
def test_any_text(answer, count):
    alphabet = "ab:-[]{},&*!|>'\"%@#? \n\t0.~\\\x00\ud800é"

    @examples(count, text=st.text(alphabet=alphabet, max_size=40))
    def _(text):
        answer(text)


@COUNTS
def test_any_override(answer, count):
    @examples(count, name=st.lists(st.sampled_from(WORDS), max_size=4), value=values())
    def _(name, value):
        answer(as_yaml(VALID[0]), f"{'.'.join(name)}={as_yaml(value)}")


@COUNTS
def test_a_valid_study_with_changes(answer, count):
    @examples(
        count,
        base=st.sampled_from(VALID),
        seed=st.integers(0, 1 << 30),
        values=st.lists(values(), min_size=1),
    )
    def _(base, seed, values):
        study = copy.deepcopy(base)
        draw = random.Random(seed)
        for value in values[:3]:
            change(study, value, draw)
        answer(as_yaml(study))


def change(tree, value, draw: random.Random) -> None:
    """Put `value` somewhere into `tree`, remove a part of it, or give it another key."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = draw.choice(keys)
        if isinstance(tree[key], (dict, list)) and draw.random() < 0.85:
            tree = tree[key]
            continue
        if draw.random() < 0.7:
            tree[key] = value
        elif isinstance(tree, dict):
            tree[draw.choice(WORDS)] = tree.pop(key)
        else:
            del tree[key]
        return


def test_the_unchanged_studies_are_valid(answer):
    assert all(answer(as_yaml(study)) for study in VALID)

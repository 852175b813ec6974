from __future__ import annotations

import pytest

from hpsearch.spec import settings as catalog
from hpsearch.spec.settings import Setting


@pytest.mark.parametrize("setting", catalog.TRAINING, ids=lambda s: s.name)
def test_default_is_accepted(setting):
    assert setting.accepts(setting.default)
    assert setting.doc.endswith(".")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("int", [0, 7], [1.0, True, "1", None, [1]]),
        ("float", [0, 0.5], [True, "1", None, float("nan"), float("inf"), [1.0]]),
        ("bool", [True, False], [0, 1, "yes", None]),
        ("sizes", [[1], (2, 3)], [1, [], [0], [1.5], [True], "1", None]),
        ("int_or_sizes", [1, [1], (2, 3)], [1.5, [], [0], True, None]),
    ],
)
def test_kinds(kind, good, bad):
    setting = Setting("x", kind, 1, "")
    assert all(setting.accepts(value) for value in good)
    assert not any(setting.accepts(value) for value in bad)


def test_bounds():
    closed = Setting("x", "float", 0.5, "", low=0, high=1)
    opened = Setting("x", "float", 0.5, "", low=0, high=1, open_low=True, open_high=True)
    assert [closed.accepts(v) for v in (-0.1, 0, 1, 1.1)] == [False, True, True, False]
    assert [opened.accepts(v) for v in (0, 0.1, 0.9, 1)] == [False, True, True, False]
    assert closed.expected == "a number of 0 or more and at most 1"
    assert opened.expected == "a number above 0 and below 1"


def test_null_only_where_it_is_the_default():
    assert Setting("clip", "float", None, "").accepts(None)
    assert not Setting("lr", "float", 0.1, "").accepts(None)


def test_choices():
    setting = Setting("x", "choice", "a", "", choices=("a", "b"))
    assert [setting.accepts(v) for v in ("a", "c", 1, ["a"])] == [True, False, False, False]
    assert setting.expected == "one of a, b"

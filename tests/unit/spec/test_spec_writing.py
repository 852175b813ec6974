"""A spec is written as a file that reads as the same study."""

from __future__ import annotations

import pytest

from hpsearch.spec import differences
from hpsearch.spec import write as text_of
from tests.unit.spec.test_spec_study import VARIANTS


@pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
def test_a_written_study_is_the_same_study(read, text) -> None:
    spec = read(text)
    found = differences(spec, read(text_of(spec)))
    assert [line for line in found if not line.startswith("order of parameters")] == []


@pytest.mark.parametrize("name", ["1e5", "0x1F", "null", "on", "0o17", "1_000", "2024-01-01"])
def test_text_that_looks_like_something_else_stays_text(read, name) -> None:
    spec = read(f"name: '{name}'\ndata: {{source: csv, path: '{name}', target: '{name}: #'}}\n"
                "metric: mse\nnetwork: {family: mlp}\nparameters: {architecture: {clip: null}}\n"
                "budget: {trials: 1}\n")  # fmt: skip
    assert read(text_of(spec)) == spec


_MOVED = "{architecture: {lr: {min: 1e-4, max: 1e-1, log: true}}}"


@pytest.mark.parametrize(("more", "indent"), [("", 2), (f"parameters: {_MOVED}", 4)])
def test_comments_stand_above_what_they_are_about(read, study, more, indent) -> None:
    spec = read(study(f"start: [{{lr: 0.01}}]\n{more}"))
    notes: dict[tuple[str | int, ...], str] = {
        ("parameters", "lr"): "why\nso",
        ("budget", "epochs"): "long",
        ("start",): "first",
    }
    lines = text_of(spec, "head", notes).splitlines()
    assert lines[0] == "# head"
    at = next(i for i, line in enumerate(lines) if line.strip().startswith("lr:"))
    assert lines[at - 2 : at] == [f"{' ' * indent}# why", f"{' ' * indent}# so"]
    assert lines[lines.index("start:") - 1] == "# first"
    assert read("\n".join(lines)) == spec

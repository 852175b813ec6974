"""How many parameters the networks of a search have."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from random import Random
from typing import TYPE_CHECKING

import pytest

from hpsearch.preflight.parameter_count import ParameterCount, parameter_count
from hpsearch.spec import conflicts, load
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Problem
from hpsearch.training.networks import bare

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.spec.settings import Setting, Value

TWO = ("no", "yes")


@pytest.fixture
def count(tmp_path: Path):
    def of(
        parameters: str, network: str = "mlp", kind: str = "rows", shape=(8,), classes=TWO,
        data: str = "table, path: t.csv, target: y, task: classification",
    ) -> ParameterCount:  # fmt: skip
        (tmp_path / "t.csv").touch()
        file = tmp_path / "s.yaml"
        file.write_text(
            f"name: s\ndata: {{source: {data}}}\nnetwork: {{family: {network}}}\n"
            f"metric: loss\nparameters: {{{parameters}}}\nbudget: {{trials: 1}}\n"
        )
        return parameter_count(load(file), kind, shape, classes)

    return of


def test_dense_8_4_2_has_46(count) -> None:
    """The example of the guides: 8 * 4 weights and 4 biases, then 4 * 2 and 2."""
    assert count("widths: [4], loss: cross_entropy") == ParameterCount(46, (46, 46))
    assert count("widths: [4]") == ParameterCount(41, (41, 41))  # one output for two classes


def test_of_a_search_the_smallest_and_the_largest(count) -> None:
    found = count("depth: {min: 1, max: 3}, width: {min: 4, max: 16}, lr: {min: 0.01, max: 0.1}, "
                  "dropout: {min: 0, max: 0.5}, loss: cross_entropy")  # fmt: skip
    assert found.ends == (46, 8 * 16 + 16 + 2 * (16 * 16 + 16) + 16 * 2 + 2)
    assert 46 < found.default <= found.ends[1]


def test_what_exists_under_a_condition_is_built_under_it_alone(count) -> None:
    found = count("depth: {values: [1, 2]}, width: {values: [4, 9], when: {depth: 2}}, "
                  "loss: cross_entropy")  # fmt: skip
    one = 8 * 128 + 128 + 128 * 2 + 2  # of the default width
    assert found.ends == (8 * 4 + 4 + 4 * 4 + 4 + 4 * 2 + 2, one)


def test_where_there_are_too_many_the_default_alone_is_counted(count) -> None:
    many = ", ".join(str(width) for width in range(1, 300))
    assert count(f"width: {{values: [{many}], default: 4}}, depth: 1").ends is None


def test_networks_that_can_never_be_trained_are_left_out_unless_it_is_the_default(count) -> None:
    norms = "{values: [true, false], default: false}"
    found = count(f"widths: [4], loss: cross_entropy, batch_norm: {norms}, layer_norm: {norms}")
    assert found == ParameterCount(46, (46, 46 + 2 * 4))  # one norm, never both
    with pytest.raises(SettingsError, match="bce is for 2 classes"):
        count("loss: bce", classes=("a", "b", "c"))


def test_what_learns_its_own_inputs_has_an_output_for_each(count) -> None:
    found = count("code: 2, depth: 1, width: 4", "autoencoder", data="table, path: t.csv, "
                  "target: y, task: anomaly, normal: [no]")  # fmt: skip
    assert found.default == (8 * 4 + 4) + (4 * 2 + 2) + (2 * 4 + 4) + (4 * 8 + 8)


# --- what families count without PyTorch, and what PyTorch counts ------------------------------

COUNTED = [name for name in FAMILIES.own if FAMILIES[name].count is not None]
SHAPES = {
    "rows": ((7,), (1,)), "images": ((3, 32, 32), (1, 7, 12), (2, 1, 5)), "sequences": ((12, 3),),
    "tokens": ((12,),),
}  # fmt: skip


def test_what_check_can_look_at_is_counted_without_pytorch() -> None:
    """No source knows the shape of sequences and texts before its data is read."""
    own = {"autoencoder", "cnn", "conv1d", "conv_autoencoder", "mlp", "resnet", "rnn", "vit"}
    assert own <= set(COUNTED)  # others need not be counted


@pytest.mark.parametrize("name", COUNTED)
def test_a_family_counts_what_pytorch_does_over_the_ranges_of_its_settings(name: str) -> None:
    family, random = FAMILIES[name], Random(0)
    counts = set()
    for at in range(80):
        kind = random.choice(sorted(family.takes))
        problem = Problem("classification", kind, random.choice(SHAPES[kind]), 3, TWO,
                          vocabulary=100 if kind == "tokens" else 0)  # fmt: skip
        if "inputs" in family.targets:
            problem = replace(problem, task="anomaly", outputs=prod(problem.shape), normal=("no",))
        drawn = {s.name: _drawn(s, random, wide=at % 4 == 0) for s in family.settings if s.built}
        settings = {**family.vocabulary().defaults, **drawn}
        try:
            conflicts.check(settings, family.rules, problem.task, len(problem.classes))
            network = bare(name, problem, settings)
        except SettingsError:
            continue
        counts.add(family.counted(problem, settings))
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        assert family.counted(problem, settings) == sum(w.numel() for w in weights), settings
    assert len(counts) > 1


def _drawn(setting: Setting, random: Random, *, wide: bool) -> Value:
    """A value from the lower part of the setting's range, or from all of it; lists of sizes too."""
    if setting.per_slot or setting.kind not in ("int", "int_or_sizes", "sizes", "bool", "choice"):
        return setting.default  # which changes no count
    if setting.kind in ("bool", "choice"):
        return random.choice(setting.choices or (False, True))
    low, high = setting.low or 1, setting.high or 64
    most = high if wide else min(high, low + 6)
    one = random.randint(int(low), int(most))
    several = tuple(random.randint(int(low), int(most)) for _ in range(3))
    if setting.kind == "int":
        return random.choice((one, setting.default))
    return random.choice((several, setting.default if setting.kind == "sizes" else one))

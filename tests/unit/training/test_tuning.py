"""What is trained of a network in which epoch: alone, in a stack, on features, and after a kill."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from hpsearch.handover.trained import Trained
from hpsearch.preflight.own_code import check_own_code
from hpsearch.runner import Failure, Saved
from hpsearch.runner.epoch import Keeping
from hpsearch.sources.dataset import Dataset
from hpsearch.sources.room import Cache, Room
from hpsearch.spec.family import FAMILIES
from hpsearch.training.array import Array
from hpsearch.training.stacking.dropout import without_dropout
from hpsearch.training.stacking.shaping import Shapes
from hpsearch.training.stacking.slots import checkpoint_bytes, cost, objection
from hpsearch.training.trial_progress import TrialProgress
from hpsearch.training.tuning import Tuning
from tests.unit.training.packing import (
    DEVICE,
    RULES,
    alone,
    curve,
    distance,
    gap,
    packed,
    run,
    same,
    state_of,
    weights,
)
from tests.unit.training.tuned import (
    CALLS,
    FAMILY,
    FORMS,
    Tuned,
    crowd_of,
    pretrained,
    tuned,
    with_room,
    without_room,
    write,
)

if TYPE_CHECKING:
    from hpsearch.runner.candidate import Candidate

EXACT = 1e-9
ROUNDED = 1e-6
"""Curves are of single precision."""


@pytest.fixture(scope="module", autouse=True)
def written(tmp_path_factory: pytest.TempPathFactory) -> None:
    write(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES._loaded, "tuned", FAMILY)
    CALLS.clear()


@pytest.fixture
def plain() -> Iterator[None]:
    """What is dropped differs between a stack and each alone."""
    with without_dropout():
        yield


def body(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {name: t for name, t in state["model"].items() if name.startswith("body.")}


def first_body() -> dict[str, torch.Tensor]:
    return {n: t for n, t in pretrained(6).items() if n.startswith("body.")}


def trained_numbers(state: Mapping[str, Any]) -> set[str]:
    """Names of the parameters that the optimizer remembers."""
    names = [name for name, _ in Tuned(6, 10, 0.0).named_parameters()]
    return {names[number] for number in state["optimizer"]}


HEAD = {"head.1.weight", "head.1.bias", "head.3.weight", "head.3.bias"}


# What is trained when


@pytest.mark.parametrize(
    ("share", "epochs", "thaw"),
    [(0.3, 10, 3), (0.3, 4, 1), (0.5, 9, 4), (0.99, 10, 10), (0.1, 3, 0)],
)
def test_the_share_is_of_whole_epochs(share: float, epochs: int, thaw: int) -> None:
    settings = tuned(tune="head_then_all", thaw_at=share, epochs=epochs).settings
    tuning = Tuning.of(settings)
    assert [tuning.rests(e) for e in range(epochs)] == [e < thaw for e in range(epochs)]
    spans = tuning.spans(epochs)
    assert sum(count for _, count in spans) == epochs
    assert [epoch for epoch, _ in spans] == sorted({0, thaw} - {epochs})


def test_without_weights_there_is_nothing_to_tune() -> None:
    for tune in FORMS:
        assert Tuning.of(tuned(tune=tune, weights="none").settings) == Tuning()
    assert Tuning.of(tuned(tune="scratch").settings) == Tuning()


def test_a_head_is_trained_and_nothing_else(double: Dataset) -> None:
    _, state = alone(with_room(double), tuned(tune="head"))
    assert same(body(state), first_body())
    assert trained_numbers(state) == HEAD


def test_all_is_trained(double: Dataset) -> None:
    _, state = alone(with_room(double), tuned(tune="all"))
    assert trained_numbers(state) == {name for name, _ in Tuned(6, 10, 0.0).named_parameters()}
    moved = [not torch.equal(t, first_body()[name]) for name, t in body(state).items()]
    assert all(moved)


def test_a_head_begins_anew_by_the_seed(digits: Dataset) -> None:
    one, again, other = (
        TrialProgress(tuned(seed=seed, tune="all"), digits).whole_network().state_dict()
        for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not torch.equal(one["head.1.weight"], other["head.1.weight"])
    head = TrialProgress(tuned(seed=1, tune="head"), with_room(digits)).network().state_dict()
    assert same({f"head.{name}": t for name, t in head.items()},
                {name: t for name, t in one.items() if name.startswith("head.")})  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_head_is_the_same_on_features_as_on_rows(double: Dataset, rule: str) -> None:
    """20 steps."""
    one = tuned(tune="head", batch_size=100, lr=1e-2, **RULES[rule])
    reports, state = alone(with_room(double), one)
    theirs, other = alone(without_room(double), one)
    assert distance(state, other) < EXACT
    assert gap(reports, theirs) < ROUNDED


def test_features_are_computed_once_for_all_trials(digits: Dataset) -> None:
    dataset, rows = with_room(digits), len(digits.train) + len(digits.validation)
    packed(dataset, crowd_of(3, tune="head"), stack=1)
    assert sum(CALLS) == rows + 1  # and one to see how many features there are
    packed(dataset, [tuned(9, tune="head", dropout=0.3)])
    assert sum(CALLS) == rows + 1
    packed(dataset, [tuned(10, tune="head", width=5)])
    assert sum(CALLS) == 2 * (rows + 1)


def test_all_heads_are_of_one_backbone_but_have_their_own_dropout(digits: Dataset) -> None:
    dataset = with_room(digits)
    shares = [TrialProgress(tuned(tune="head", dropout=p), dataset).network()[0].p  # type: ignore[index]
              for p in (0.1, 0.4)]  # fmt: skip
    assert shares == [0.1, 0.4]


def test_where_there_is_no_room_rows_pass_through_the_backbone(digits: Dataset) -> None:
    one, dataset = tuned(tune="head"), without_room(digits)
    assert TrialProgress(one, dataset).dataset is dataset
    reports, _ = alone(dataset, one)
    assert reports[-1].finished


# Alone and in a stack


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("tune", FORMS)
def test_a_stack_computes_what_each_does_alone(double: Dataset, tune: str, rule: str) -> None:
    """24 steps, paces that differ from slot to slot."""
    several = crowd_of(3, tune=tune, thaw_at=0.5, **RULES[rule])
    assert len(set(map(Shapes(double), several))) == 1
    dataset = with_room(double)
    stacked, array = packed(dataset, several, stack=3)
    assert array.fit(several[0]).slots == 3
    for one in several:
        theirs, state = alone(dataset, one)
        assert distance(state_of(array, one.key), state) < EXACT
        assert gap(curve(stacked, one.key), theirs) < ROUNDED
        assert trained_numbers(state_of(array, one.key)) == trained_numbers(state)


@pytest.mark.usefixtures("plain")
def test_a_stack_of_those_that_thaw_in_other_epochs(double: Dataset) -> None:
    shares = [0.25, 0.5, 0.75]
    several = [tuned(k, 40 + k, tune="head_then_all", thaw_at=s) for k, s in enumerate(shares)]
    several.append(tuned(3, 43, tune="head"))
    assert len(set(map(Shapes(double), several))) == 1
    dataset = with_room(double)
    stacked, array = packed(dataset, several, stack=4)
    assert array.fit(several[0]).slots == 4
    for one in several:
        theirs, state = alone(dataset, one)
        assert distance(state_of(array, one.key), state) < EXACT
        assert gap(curve(stacked, one.key), theirs) < ROUNDED


def test_heads_and_whole_networks_are_of_other_shapes(digits: Dataset) -> None:
    shape_of = Shapes(digits)
    shape = shape_of(tuned(tune="head"))
    thawing = tuned(tune="head_then_all", thaw_at=0.5)
    assert shape_of(thawing) == shape_of(thawing, 1) == shape
    assert shape_of(thawing, 2) == shape_of(tuned(tune="all")) != shape
    assert shape_of(tuned(tune="scratch")) not in (shape, shape_of(thawing, 2))


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("factor", [0.1, 3.0])
def test_the_paces_are_those_of_pytorch(double: Dataset, factor: float) -> None:
    """AdamW with two groups of parameters, of which one begins later."""
    one = tuned(tune="head_then_all", thaw_at=0.5, backbone_lr=factor, optimizer="adamw",
                weight_decay=0.1, lr=1e-2, dropout=0.0)  # fmt: skip
    progress = TrialProgress(one, without_room(double))
    network: Any = copy.deepcopy(progress.whole_network())
    optimizer = torch.optim.AdamW(network.head.parameters(), lr=1e-2, weight_decay=0.1)
    for epoch in range(4):
        if epoch == 2:
            network.body.requires_grad_(True)
            optimizer.add_param_group(
                {"params": list(network.body.parameters()), "lr": factor * 1e-2}
            )
        network.eval()
        network.head.train()
        network.body.train(epoch >= 2)
        progress.epoch = epoch
        for rows in torch.split(progress.order(), progress.batches):
            inputs, targets = double.train.batch(rows)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs), targets).backward()
            optimizer.step()
    _, state = alone(with_room(double), one)
    assert distance(state, {"model": network.state_dict()}) < EXACT


# Checkpoints


def resumed(dataset: Dataset, one: Candidate, after: int, stack: int, **more: Any) -> Array:
    """An array that has trained a candidate whose worker was lost after an epoch, to its end."""
    first = Array(dataset, "accuracy", DEVICE, stack=stack, **more)
    first.add(one, until=after)
    run(first)
    again = Array(with_room(dataset), "accuracy", DEVICE, stack=stack, **more)
    again.add(one, first.saved(one.key))
    run(again)
    return again


@pytest.mark.parametrize("stack", [1, 2])
@pytest.mark.parametrize("after", [1, 2, 3, 4])
@pytest.mark.parametrize("tune", ["head", "head_then_all"])
def test_a_candidate_goes_on_as_if_nothing_had_been(
    digits: Dataset, tune: str, after: int, stack: int
) -> None:
    one = tuned(tune=tune, thaw_at=0.5, dropout=0.2)
    reports, array = packed(with_room(digits), [one], stack=stack)
    again = resumed(with_room(digits), one, after, stack)
    assert same(weights(state_of(again, 0)), weights(state_of(array, 0)))
    assert reports[-1].last.epoch == 4


@pytest.mark.usefixtures("plain")
def test_a_head_that_was_saved_goes_on_where_there_is_no_room(double: Dataset) -> None:
    one = tuned(tune="head_then_all", thaw_at=0.5)
    first = Array(with_room(double), "accuracy", DEVICE)
    first.add(one, until=1)
    run(first)
    again = Array(without_room(double), "accuracy", DEVICE)
    again.add(one, first.saved(0))
    run(again)
    assert distance(state_of(again, 0), alone(with_room(double), one)[1]) < EXACT


@pytest.mark.parametrize("stack", [1, 2])
@pytest.mark.parametrize("tune", FORMS)
def test_the_best_network_is_whole_and_can_be_used(digits: Dataset, tune: str, stack: int) -> None:
    one = tuned(tune=tune, thaw_at=0.5, lr=0.3, epochs=6)
    array = Array(with_room(digits), "accuracy", DEVICE, stack=stack, keeping=Keeping(best=True))
    array.add(one)
    array.add(tuned(1, 8, tune=tune, lr=0.2, epochs=6))
    reports = curve(run(array), 0)
    best = max((r.last.value, -r.last.epoch) for r in reports)
    saved = Saved(state_of(array, 0))
    assert saved.best_epoch == -best[1]
    trained = Trained("tuned", one.settings, saved.network, digits)
    part = digits.validation
    score = trained.score(trained.outputs(part), part.targets, "accuracy")
    assert score["accuracy"] == pytest.approx(best[0])


def test_networks_of_one_backbone_are_tested_on_features_that_are_computed_once(
    digits: Dataset,
) -> None:
    dataset = with_room(digits)
    several = [tuned(k, k, tune="head", dropout=0.1 * k) for k in range(3)]
    _, array = packed(dataset, several)
    part, before = dataset.validation, sum(CALLS)
    for one in several:
        model = Saved(state_of(array, one.key)).network
        trained = Trained("tuned", one.settings, model, digits)
        ours = trained.outputs_of(part, dataset.cache)
        assert sum(CALLS) == before + len(part) + 1
        assert ours.dtype == torch.float64
        CALLS.clear()
        assert torch.allclose(ours, trained.outputs(part), rtol=1e-12)
        CALLS[:] = [before + len(part) + 1]
    other = {**model, "body.0.weight": model["body.0.weight"] + 1}
    trained = Trained("tuned", several[0].settings, other, digits)
    assert torch.equal(trained.outputs_of(part, dataset.cache), trained.outputs(part))


def test_a_checkpoint_has_no_optimizer_for_what_is_not_trained(digits: Dataset) -> None:
    array = Array(with_room(digits), "accuracy", DEVICE)
    array.add(tuned(tune="head_then_all", thaw_at=0.5))
    remembered = []
    for _ in range(4):
        list(array.reports())
        remembered.append(trained_numbers(state_of(array, 0)) == HEAD)
    assert remembered == [True, True, False, False]


# What else looks at a candidate


def test_what_is_foreseen_is_of_all_that_is_trained(digits: Dataset) -> None:
    dataset = with_room(digits)
    sizes = {tune: checkpoint_bytes(tuned(tune=tune), dataset) for tune in FORMS}
    assert sizes["head"] < sizes["head_then_all"] == sizes["all"] == sizes["scratch"]
    assert cost(tuned(tune="head_then_all"), dataset, DEVICE, "accuracy", 2).epoch_s > 0
    assert not objection(tuned(tune="head_then_all", thaw_at=0.5), dataset, 3)


@pytest.mark.parametrize("tune", FORMS)
def test_the_look_at_own_code_gives_rows_to_all_of_a_network(digits: Dataset, tune: str) -> None:
    check_own_code(tuned(tune=tune), with_room(digits), DEVICE)


# What is not possible


def test_a_network_without_a_head_cannot_be_tuned(digits: Dataset, candidate) -> None:
    settings = {**candidate().settings, "tune": "head", "weights": tuned().settings["weights"]}
    reports, _ = packed(digits, [replace(candidate(), settings=settings)])
    assert reports[0].failure is Failure.SETTINGS
    assert "a Sequential has no `features` and `head`: set tune to scratch" in reports[0].message


@pytest.mark.parametrize("tune", ["head", "head_then_all"])
def test_a_head_on_drawn_weights_is_refused(digits: Dataset, tune: str) -> None:
    reports, _ = packed(digits, [tuned(tune=tune, weights="none")])
    assert reports[0].failure is Failure.SETTINGS
    assert "the network begins with drawn weights" in reports[0].message


# Layers that stay


def moved(dataset: Dataset, one: Candidate) -> list[str]:
    """Names in the state of a network that are not what they were, after its training."""
    before = TrialProgress(one, dataset).whole_network().state_dict()
    _, state = alone(dataset, one)
    return [name for name, t in state["model"].items() if not torch.equal(t, before[name])]


def test_the_first_layers_stay_with_what_normalises_after_them(digits: Dataset, candidate) -> None:
    one = candidate(family="mlp", widths=(8, 8), batch_norm=True, freeze=1)
    network = TrialProgress(one, digits).network()
    layers = [name for name, module in network.named_modules() if module._parameters]
    first = {f"{name}." for name in layers[:2]}
    assert {f"{name.rpartition('.')[0]}." for name in moved(digits, one)}.isdisjoint(first)
    assert {f"{name.rpartition('.')[0]}." for name in moved(digits, one)} == {
        f"{name}." for name in layers[2:]
    }
    assert candidate().digest == candidate(freeze=0).digest


def test_positions_and_the_patches_they_are_added_to_are_one_layer(digits, candidate) -> None:
    settings = {**FAMILIES["vit"].vocabulary().defaults, "epochs": 1, "dim": 8, "depth": 1,
                "heads": 2, "freeze": 1, "patch": 4}  # fmt: skip
    one = replace(candidate(), family="vit", settings=settings)
    names = [n for n, p in TrialProgress(one, digits).network().named_parameters()
             if not p.requires_grad]  # fmt: skip
    assert set(names) == {"own", "patches.positions", "patches.project.weight",
                          "patches.project.bias"}  # fmt: skip


def test_one_layer_is_left(digits: Dataset, candidate) -> None:
    reports, _ = packed(digits, [candidate(family="mlp", widths=(8,), freeze=2)])
    assert reports[0].failure is Failure.SETTINGS
    assert "the network has 2 layers with weights: set it to 1 or less" in reports[0].message


@pytest.mark.parametrize("stack", [1, 2])
def test_frozen_layers_are_the_same_alone_and_in_a_stack(double, crowd, stack: int) -> None:
    several = crowd(2, "cnn", freeze=1, batch_norm=True, init="default")
    _, array = packed(double, several, stack=stack)
    _, state = alone(double, several[1])
    assert distance(state_of(array, 1), state) < EXACT


# What is kept


class Sized:
    def __init__(self, size: int) -> None:
        self.device_bytes = size


def test_what_was_used_last_is_kept_longest() -> None:
    cache, made = Cache(Room("100 B")), []

    def get(key: str, size: int = 40) -> Sized | None:
        def make() -> Sized:
            made.append(key)
            return Sized(size)

        return cache.get(key, make)

    assert all(get(key) for key in "abac")
    assert made == ["a", "b", "c"]
    assert all(get(key) for key in "ac")
    assert made == ["a", "b", "c"]
    assert get("b")
    assert made == ["a", "b", "c", "b"]
    assert get("d", 101) is None
    assert all(get(key) for key in "cb")
    assert made == ["a", "b", "c", "b", "d"], "nothing made room for what has none at all"


def test_what_is_in_use_has_its_room_until_it_is_let_go() -> None:
    cache = Cache(Room("100 B"))
    used = cache.get("a", lambda: Sized(80))
    assert cache.get("b", lambda: Sized(80)) is None
    assert cache.get("a", lambda: Sized(80)) is used
    assert cache.get("b", lambda: Sized(10)) is None, "it is not tried again"
    del used
    assert cache.get("c", lambda: Sized(90))

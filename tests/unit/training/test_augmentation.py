"""Training images are changed each by a draw of its own, no matter who is trained beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hpsearch.errors import DataError
from hpsearch.preflight.overfit_check import examine
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.arrays.inputs import ArrayInputs
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.sources.inputs import Shaded
from hpsearch.sources.opening import open_data
from hpsearch.spec import load as read_study
from hpsearch.spec.augmentation import AUGMENTATION, augments
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.family import FAMILIES
from hpsearch.tasks.losses import loss_function
from hpsearch.training.array import Array
from hpsearch.training.augmentation import batches
from hpsearch.training.augmentation.batches import Augmentation, mixing
from hpsearch.training.solo import Solo
from hpsearch.training.stacking.shaping import Shapes
from hpsearch.training.trial_progress import TrialProgress
from tests.unit.training.packing import DEVICE

EVERYTHING = {
    "scale": 0.6, "flip": True, "flip_vertical": True, "rotate": 10.0, "crop": 1, "color": 0.3,
    "erase": 0.5, "randaugment": 9, "mixup": 0.4,
}  # fmt: skip


def trained(dataset, candidates, stack, until=2, then=None):
    """The states after some epochs, which are saved and resumed after `then` of them."""
    saved = run(dataset, [(candidate, None) for candidate in candidates], stack, then or until)
    if then is not None:
        saved = run(dataset, list(zip(candidates, saved, strict=True)), stack, until)
    return [one.state["model"] for one in saved]


def run(dataset, given, stack, until):
    array = Array(dataset, "accuracy", DEVICE, stack=stack)
    for candidate, saved in given:
        array.add(candidate, saved, until)
    while reports := [report for report in array.reports() if not report.paused]:
        assert not any(report.failure for report in reports), reports
    return [array.saved(key) for key in array.keys]


def augmentation(dataset, *candidates) -> Augmentation:
    return Augmentation([TrialProgress(one, dataset) for one in candidates], dataset)


def batch(dataset, rows_KB):
    return dataset.train.batch(rows_KB.flatten().to(DEVICE))


def seen(changes, dataset, rows_KB):
    """What networks see of these rows."""
    inputs, targets = batch(dataset, rows_KB)
    return changes(inputs, targets, rows_KB)


@pytest.mark.parametrize(
    "name", ["all", *(pytest.param(name, marks=pytest.mark.nightly) for name in EVERYTHING)]
)
def test_alone_and_in_a_stack_candidates_come_to_the_same(double, candidate, name):
    settings = EVERYTHING if name == "all" else {name: EVERYTHING[name]}
    some = [
        candidate(0, "cnn", 1, batch_size=105, **settings),
        candidate(1, "cnn", 2, batch_size=105),
        candidate(2, "cnn", 3, batch_size=105, flip=True, mixup=1.0, **{
            key: value for key, value in settings.items() if key not in ("flip", "mixup")
        }),
    ]  # fmt: skip
    assert len(set(map(Shapes(double), some))) == 1
    for alone, stacked in zip(
        trained(double, some, 1, 1), trained(double, some, 3, 1), strict=True
    ):
        for key, value in alone.items():
            torch.testing.assert_close(stacked[key], value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("stack", [1, 2])
def test_a_resumed_candidate_sees_the_same_images(digits, candidate, stack):
    some = [candidate(k, "cnn", k, batch_size=105, **EVERYTHING) for k in range(stack)]
    for whole, resumed in zip(
        trained(digits, some, stack), trained(digits, some, stack, then=1), strict=True
    ):
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_slot_without_augmentation_is_the_same_to_the_last_bit(digits, candidate):
    plain = candidate(0, "cnn", 1, batch_size=105)
    beside = [candidate(1, "cnn", 2, batch_size=105, **more) for more in ({}, EVERYTHING)]
    states = [trained(digits, [plain, other], 2, 1) for other in beside]
    assert all(torch.equal(states[0][0][name], states[1][0][name]) for name in states[0][0])
    assert any(not torch.equal(states[0][1][name], states[1][1][name]) for name in states[0][0])


def test_what_is_done_to_an_image_depends_on_seed_epoch_and_row(digits, candidate):
    one = candidate(0, "cnn", 1, **EVERYTHING | {"mixup": 0.0})
    changes = augmentation(digits, one)
    rows = torch.arange(60).unsqueeze(0)
    inputs, targets = seen(changes, digits, rows)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    shuffled, _ = seen(changes, digits, rows[:, order])
    torch.testing.assert_close(shuffled, inputs[order], rtol=0, atol=1e-5)
    assert torch.equal(targets, digits.train.targets[:60])

    changes._members[0].epoch = 1
    later, _ = seen(changes, digits, rows)
    other, _ = seen(augmentation(digits, replace(one, seed=2)), digits, rows)
    for different in (later, other):
        alike = (different - inputs).abs().flatten(1).amax(dim=1) < 1e-3
        assert alike.sum() < 6


@pytest.mark.parametrize("together", [1, 10_000, 10**6])
def test_batches_are_the_same_however_many_are_changed_at_once(
    digits, candidate, monkeypatch, together
):
    monkeypatch.setattr(batches, "_TOGETHER", together)
    changes = augmentation(
        digits, candidate(0, "cnn", 1, **EVERYTHING), candidate(1, "cnn", 2, flip=True)
    )
    split = torch.arange(140).view(2, 70).split(20, dim=1)
    given = [batch(digits, rows_KB) for rows_KB in split]
    every = list(changes.batches(((i.clone(), t) for i, t in given), split))
    assert [len(one[1]) for one in every] == [40, 40, 40, 20]
    for one, (inputs, targets), rows_KB in zip(every, given, split, strict=True):
        for ours, alone in zip(one, changes(inputs, targets, rows_KB), strict=True):
            torch.testing.assert_close(ours, alone, rtol=0, atol=1e-5)


def test_one_operation_more_leaves_the_draws_of_the_others(digits, candidate):
    rows = torch.arange(60).unsqueeze(0)
    flipped, _ = seen(augmentation(digits, candidate(0, "cnn", 1, flip=True)), digits, rows)
    both, _ = seen(
        augmentation(digits, candidate(0, "cnn", 1, flip=True, flip_vertical=True)), digits, rows
    )
    upright = torch.isclose(both, flipped, atol=1e-5).flatten(1).all(dim=1)
    mirrored = torch.isclose(both, flipped.flip(2), atol=1e-5).flatten(1).all(dim=1)
    assert (upright | mirrored).all()
    assert 15 < upright.sum() < 50


def test_without_augmentation_nothing_is_done(digits, candidate):
    changes = augmentation(digits, candidate(0, "cnn"))
    assert changes.idle
    inputs, targets = batch(digits, torch.arange(9))
    after = changes(inputs, targets, torch.arange(9).unsqueeze(0))
    assert after[0] is inputs
    assert after[1] is targets
    known = FAMILIES["cnn"].vocabulary().settings
    assert not augments(candidate(0, "cnn", randaugment_ops=3).settings, known)
    assert augments(candidate(0, "cnn", mixup=0.2).settings, known)


def test_streamed_images_are_changed_alike(digits, candidate):
    streamed = load(DataSettings.of("digits", limit=510, memory="1 kB"), DEVICE)
    some = [candidate(k, "cnn", k, batch_size=105, **EVERYTHING) for k in range(2)]
    for one, other in zip(trained(digits, some, 2, 1), trained(streamed, some, 2, 1), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


# --- pixels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", ["standard", "none"])
def test_what_comes_in_is_black(candidate, normalize):
    dataset = load(DataSettings.of("digits", limit=510, normalize=normalize), DEVICE)
    rows = torch.arange(60).unsqueeze(0)
    given, _ = batch(dataset, rows)
    black = given.amin()
    moved, _ = seen(augmentation(dataset, candidate(0, "cnn", crop=6)), dataset, rows)
    torch.testing.assert_close(moved.amin(), black)
    assert moved.amax() <= given.amax() + 1e-4
    edges = moved[:, :, 0].flatten()
    assert torch.isclose(edges, black, atol=1e-4).float().mean() > 0.3


def test_colours_are_changed_before_they_are_normalised(tmp_path, candidate):
    from PIL import Image

    for name, shade in (("dark", 40), ("light", 200)):
        (tmp_path / name).mkdir()
        for number in range(20):
            pixels = np.full((8, 8, 3), (shade, shade // 2, number), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    one = candidate(0, "cnn", 1, color=0.5)
    rows = torch.arange(20).unsqueeze(0)
    changed = []
    for normalize in ("standard", "imagenet", "none"):
        dataset = load(DataSettings.of("images", path=tmp_path, normalize=normalize), DEVICE)
        inputs, _ = seen(augmentation(dataset, one), dataset, rows)
        scaling: Any = dataset.preprocessing
        mean, deviation = (
            torch.tensor(own).view(-1, 1, 1) for own in (scaling.mean, scaling.deviation)
        )
        changed.append((inputs * deviation + mean) / 255)
    torch.testing.assert_close(changed[1], changed[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(changed[2], changed[0], rtol=0, atol=1e-5)
    assert changed[2].amin() >= -1e-6
    assert changed[2].amax() <= 1 + 1e-6


def arrays(tmp_path, X, **section) -> Dataset:
    np.savez(tmp_path / "data.npz", X=X, y=np.arange(len(X)) % 2)
    return load(DataSettings.of("arrays", path=tmp_path / "data.npz", **section), DEVICE)


@pytest.mark.parametrize(
    ("scale", "dtype", "ends"),
    [(255, np.uint8, (0, 255)), (100, np.uint8, (0, 255)), (0.7, np.float32, (0, 1)),
     (3000, np.float32, (-1, 3000)), (900, np.int64, (0, 900))],
)  # fmt: skip
def test_black_and_white_of_an_array(tmp_path, scale, dtype, ends):
    rng = np.random.default_rng(0)
    X = (rng.random((60, 5, 6, 3)) * scale).astype(dtype)
    X[:, 0, 0], X[:, 1, 1] = max(ends[0], np.iinfo(np.int64).min), scale
    if ends[0] < 0:
        X[:, 0, 0] = ends[0]
    inputs = arrays(tmp_path, X, kind="images").preprocessing
    assert isinstance(inputs, ArrayInputs)
    assert isinstance(inputs, Shaded)
    assert inputs.ends == pytest.approx(ends)
    shades = inputs.shades()
    for end, shade in zip(ends, (shades.black, shades.white), strict=True):
        expected = [(end - m) / d for m, d in zip(inputs.mean, inputs.deviation, strict=True)]
        assert shade == pytest.approx(expected)


def test_other_inputs_than_images_are_refused(table, candidate):
    dataset = table("x,y\n" + "\n".join(f"{n},{'ab'[n % 2]}" for n in range(60)))
    with pytest.raises(SettingsError, match="inputs that are rows cannot be augmented"):
        Solo(TrialProgress(candidate(0, "mlp", flip=True), dataset), DEVICE)


def test_arrays_that_turn_out_to_be_no_images_are_refused_when_they_are_opened(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.zeros((40, 3)), y=np.arange(40) % 2)
    (tmp_path / "study.yaml").write_text(
        "name: s\ndata: {source: arrays, path: data.npz}\nnetwork: {family: mlp}\n"
        "metric: accuracy\nparameters: {lr: 0.1, flip: {values: [true, false]}, crop: 2}\n"
        "budget: {trials: 2, epochs: 1}\n"
    )
    with pytest.raises(DataError, match="is rows, and flip, crop are for images: take them out"):
        open_data(read_study(tmp_path / "study.yaml"), tmp_path, DEVICE)


def test_a_crop_that_moves_images_out_of_sight_is_refused(digits, candidate):
    rows = torch.arange(6).unsqueeze(0)
    with pytest.raises(SettingsError, match="crop 8 moves images of 8 x 8 out of sight"):
        seen(augmentation(digits, candidate(0, "cnn", crop=8)), digits, rows)


# --- mixup ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.1}, {"class_weight": "balanced"}])
def test_mixed_classes_are_learnt_by_soft_targets(digits, candidate, settings):
    one = candidate(0, "cnn", 1, mixup=0.7, **settings)
    rows = torch.arange(60).view(2, 30)
    plain = candidate(1, "cnn", 2)
    changes = augmentation(digits, one, plain)
    inputs, targets, others, share = seen(changes, digits, rows)
    given = batch(digits, rows)
    assert torch.equal(targets, given[1])
    assert share[1] == 1
    assert 0 < share[0] < 1
    assert torch.equal(inputs[30:], given[0][30:])
    assert torch.equal(others[30:], targets[30:])
    assert sorted(others[:30].tolist()) == sorted(targets[:30].tolist())
    assert not torch.equal(others[:30], targets[:30])

    outputs = torch.randn(2, 30, 10, generator=torch.Generator().manual_seed(0))
    both = [member.candidate.settings for member in changes._members]
    train = digits.train.targets
    loss = mixing(loss_function("classification", "cross_entropy", both, train, digits.problem()))
    ours = loss(outputs, targets, others, share)
    soft = share[0] * F.one_hot(targets[:30], 10) + (1 - share[0]) * F.one_hot(others[:30], 10)
    weights = None
    if settings.get("class_weight") == "balanced":
        weights = len(train) / (10 * torch.bincount(train))
    theirs = F.cross_entropy(
        outputs[0], soft, weight=weights, label_smoothing=settings.get("label_smoothing", 0.0)
    )
    torch.testing.assert_close(ours[0], theirs)
    torch.testing.assert_close(ours[1], F.cross_entropy(outputs[1], targets[30:]))


def test_mixed_classes_of_one_output_are_learnt_by_soft_targets():
    logits = torch.randn(1, 20, 1, generator=torch.Generator().manual_seed(0))
    targets, others = torch.arange(20) % 2, torch.arange(20) // 10
    settings = [{"label_smoothing": 0.0, "class_weight": "none"}]
    problem = load(DataSettings.of("digits", limit=510), DEVICE).problem()
    loss = mixing(loss_function("classification", "bce", settings, targets, problem))
    share = torch.tensor([0.3])
    soft = 0.3 * targets + 0.7 * others
    theirs = F.binary_cross_entropy_with_logits(logits.flatten(), soft)
    torch.testing.assert_close(loss(logits, targets, others, share), theirs.view(1))


def test_mixed_numbers_are_numbers_between(tmp_path, candidate):
    rng = np.random.default_rng(0)
    X, y = rng.random((90, 6, 6)).astype(np.float32), rng.random(90) * 9
    np.savez(tmp_path / "data.npz", X=X, y=y)
    dataset = load(DataSettings.of("arrays", path=tmp_path / "data.npz", kind="images"), DEVICE)
    assert (dataset.task, dataset.kind) == ("regression", "images")
    rows = torch.arange(20).unsqueeze(0)
    given = batch(dataset, rows)
    inputs, targets = seen(augmentation(dataset, candidate(0, "cnn", mixup=1.0)), dataset, rows)
    # The same share and the same partner for both.
    flat, mixed = given[0].flatten(1), inputs.flatten(1)
    share = torch.linalg.lstsq(
        torch.cat([flat, given[1]], dim=1).T, torch.cat([mixed, targets], dim=1).T
    ).solution
    largest, partner = share.topk(2, dim=0).values
    torch.testing.assert_close(largest + partner, torch.ones(20), atol=2e-3, rtol=0)
    assert not torch.equal(targets, given[1])


def test_there_is_nothing_to_mix_where_the_target_is_the_inputs(candidate):
    dataset = load(DataSettings.of("digits", limit=510, task="anomaly", normal=("3",)), DEVICE)
    defaults = FAMILIES["autoencoder"].vocabulary().defaults
    settings = {**defaults, "epochs": 1, "mixup": 0.2}
    with pytest.raises(SettingsError, match="mixup mixes targets, and anomaly has none"):
        TrialProgress(Candidate(0, "autoencoder", settings, 1), dataset)
    flipped = {**defaults, "epochs": 1, "flip": True}
    solo = Solo(TrialProgress(Candidate(0, "autoencoder", flipped, 1), dataset), DEVICE)
    assert solo.train(lambda: False).isfinite().all()


# --- around it ------------------------------------------------------------------------------------


def test_a_candidate_is_known_by_it_only_where_it_is_used(candidate):
    plain = candidate(0, "cnn")
    without = {
        name: value for name, value in plain.settings.items()
        if name not in {setting.name for setting in AUGMENTATION}
    }  # fmt: skip
    assert replace(plain, settings=without).digest == plain.digest
    assert candidate(0, "cnn", flip=True).digest != plain.digest


def test_the_look_before_a_search_is_without_it(digits, candidate):
    destroyed = {"mixup": 100.0, "rotate": 180.0, "erase": 1.0, "randaugment": 30, "lr": 1e-2}
    finding = examine(candidate(0, "cnn", **destroyed), digits, DEVICE, lambda: False)
    assert finding.suspect is None
    assert not finding.said


def test_a_name_that_a_network_has_for_itself_is_the_networks():
    family = FAMILIES["nets.py:build(scale: float = 0.5, color: bool = True)"]
    settings = family.vocabulary().settings
    assert settings["scale"].default == 0.5
    assert settings["flip"] in AUGMENTATION
    assert not augments(family.vocabulary().defaults, settings)
    assert augments({**family.vocabulary().defaults, "flip": True}, settings)

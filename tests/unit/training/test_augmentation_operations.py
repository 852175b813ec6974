"""Each operation of augmentation beside torchvision's, with the same draws."""

from __future__ import annotations

import math

import pytest
import torch

from hpsearch.training.augmentation import colors, geometry, randaugment
from tests.later import Later

transforms = Later("torchvision.transforms")
V = Later("torchvision.transforms.v2.functional")

SHAPES = [(1, 28, 28), (3, 17, 24)]


def linear():
    """Between pixels, for torchvision."""
    return transforms.InterpolationMode.BILINEAR


@pytest.fixture(params=SHAPES, ids=str)
def images(request) -> torch.Tensor:
    """Smooth enough that a rounded place between two pixels shows nothing."""
    return torch.rand(5, *request.param, generator=torch.Generator().manual_seed(0))


def draws(images, *columns) -> torch.Tensor:
    return torch.tensor([list(columns)] * len(images), dtype=torch.float32)


def near(ours, theirs, distance=2e-5):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=distance)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(geometry.flip, "horizontal_flip"), (geometry.flip_vertical, "vertical_flip")],
)
def test_flips(images, ours, theirs):
    theirs = getattr(V, theirs)
    on = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    drawn = torch.tensor([[0.6], [0.4], [0.99], [0.6], [0.4]])
    assert torch.equal(ours(images.clone(), drawn, on)[[0, 2]], theirs(images[[0, 2]]))
    assert torch.equal(ours(images.clone(), drawn, on)[[1, 3, 4]], images[[1, 3, 4]])


def test_crop(images):
    size = list(images.shape[2:])
    for down, right in ((0, 0), (2, -3), (-3, 1), (3, 3)):
        theirs = V.crop(V.pad(images, [3, 3, 3, 3]), 3 - down, 3 - right, *size)
        steps = torch.tensor([[down, right]] * len(images))
        assert torch.equal(geometry.moved(images, steps, 3), theirs)
        drawn = (steps + 3.5) / 7
        assert torch.equal(geometry.crop(images, drawn, torch.full((5,), 3.0)), theirs)


def test_slots_are_cropped_each_by_its_own_width(images):
    most = torch.tensor([1.0, 1.0, 3.0, 3.0, 3.0])
    together = geometry.crop(images, draws(images, 0.9, 0.1), most)
    for part, width in ((slice(0, 2), 1.0), (slice(2, 5), 3.0)):
        some = images[part]
        alone = geometry.crop(some, draws(some, 0.9, 0.1), torch.full((len(some),), width))
        assert torch.equal(together[part], alone)


def test_rotate(images):
    for draw, most in ((0.5, 30), (1.0, 30), (0.0, 45), (0.8, 180)):
        angle = (2 * draw - 1) * most
        ours = geometry.rotate(images, draws(images, draw), torch.full((5,), float(most)))
        near(ours, V.rotate(images, angle, interpolation=linear()))


@pytest.mark.parametrize("box", [(0, 0, 9, 9), (3, 5, 7, 11), (1, 2, 14, 13), (5, 4, 1, 1)])
def test_scale(images, box):
    top, left, height, width = box
    size = list(images.shape[2:])
    theirs = V.resized_crop(images, top, left, height, width, size, linear(), antialias=False)
    corner, sides = (torch.tensor([pair] * 5) for pair in ((top, left), (height, width)))
    near(geometry.resized(images, corner, sides), theirs)


def test_what_is_cut_out_is_as_torchvision_draws_it():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(4000, 4, generator=generator)
    seen: list[torch.Tensor] = []
    image = torch.zeros(4000, 1, 40, 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "resized", lambda *given: seen.extend(given[1:]))
        geometry.scale(image, drawn, torch.full((4000,), 0.2))
    corner, sides = seen
    assert (corner >= 0).all()
    assert (corner + sides <= torch.tensor([40, 50])).all()
    area = sides.prod(dim=1) / 2000
    assert 0.15 < area.min() < 0.25
    assert area.max() > 0.95
    ratio = sides[:, 1] / sides[:, 0]
    assert 0.7 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.45
    assert abs(area.mean() - 0.59) < 0.02  # a little below 0.6, as long parts are cut short


@pytest.mark.parametrize("box", [(0, 0, 4, 9), (3, 5, 7, 11), (16, 23, 1, 1)])
def test_erase(images, box):
    top, left, height, width = box
    black = torch.zeros(images.shape[1], 1, 1)
    theirs = V.erase(images, top, left, height, width, black)
    corner, sides = (torch.tensor([pair] * 5) for pair in ((top, left), (height, width)))
    assert torch.equal(geometry.blackened(images.clone(), corner, sides), theirs)


def test_a_share_of_the_images_is_erased():
    drawn = torch.rand(2000, 5, generator=torch.Generator().manual_seed(0))
    erased = geometry.erase(torch.ones(2000, 1, 20, 30), drawn, torch.full((2000,), 0.3))
    share = 1 - erased.mean(dim=(1, 2, 3))
    assert abs((share > 0).float().mean() - 0.3) < 0.03
    assert share[share > 0].min() > 0.015
    assert 0.28 < share.max() < 0.36
    assert torch.equal(geometry.erase(erased.clone(), drawn, torch.zeros(2000)), erased)


@pytest.mark.parametrize(
    "ours", [colors.brightness, colors.contrast, colors.saturation, colors.sharpness]
)
def test_blends(images, ours):
    theirs = getattr(V, f"adjust_{ours.__name__}")
    for factor in (0.0, 0.4, 1.0, 1.7):
        near(ours(images.clone(), torch.full((5,), factor)), theirs(images, factor))


def test_color_changes_brightness_contrast_and_saturation(images):
    ours = colors.color(images.clone(), draws(images, 0.75, 0.25, 1.0), torch.full((5,), 0.4))
    theirs = V.adjust_brightness(images, 1.2)
    theirs = V.adjust_saturation(V.adjust_contrast(theirs, 0.8), 1.4)
    near(ours, theirs)


def test_posterize(images):
    for bits in (1, 4, 7, 8):
        near(colors.posterize(images, torch.full((5,), float(bits))), V.posterize(images, bits))


def test_solarize(images):
    assert torch.equal(
        colors.solarize(images, torch.full((5,), 0.3)), V.solarize(images, threshold=0.3)
    )


def test_autocontrast(images):
    images[0] = 0.2
    images[1:] = images[1:] * 0.5 + 0.1
    near(colors.autocontrast(images.clone()), V.autocontrast(images))


def test_equalize(images):
    images[0] = 0.2
    images[1] = images[1] * 0.3
    images[2] = (images[2] > 0.7).float()
    near(colors.equalize(images), V.equalize(images))


def by_torchvision(name: str, images: torch.Tensor, magnitude: int, sign: int) -> torch.Tensor:
    """What `torchvision.transforms.v2.RandAugment` does, by its own table."""
    from torchvision.transforms.v2 import RandAugment

    theirs = RandAugment(interpolation=linear())
    known = {
        "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX",
        "translate_y": "TranslateY", "autocontrast": "AutoContrast",
    }  # fmt: skip
    their_name = known.get(name, name.capitalize())
    of, signed = theirs._AUGMENTATION_SPACE[their_name]
    magnitudes = of(31, *images.shape[2:])
    value = 0.0 if magnitudes is None else float(magnitudes[magnitude])
    value *= sign if signed else 1
    return theirs._apply_image_or_video_transform(
        images, their_name, value, interpolation=linear(), fill=theirs._fill
    )


@pytest.mark.parametrize("name", randaugment.NAMES)
def test_randaugment(images, name):
    which = torch.full((5,), randaugment.NAMES.index(name))
    for magnitude, sign in ((9, 1), (9, -1), (30, -1), (1, 1)):
        strength = torch.full((5,), sign * magnitude / 30)
        near(
            randaugment.changed(images.clone(), which, strength),
            by_torchvision(name, images, magnitude, sign),
            5e-5,
        )


def test_randaugment_has_torchvisions_operations():
    from torchvision.transforms.v2 import RandAugment

    assert len(randaugment.NAMES) == len(RandAugment._AUGMENTATION_SPACE) == 14


def test_randaugment_does_so_many_operations_to_each_image():
    images = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = torch.rand(400, 16, generator=torch.Generator().manual_seed(1))
    many = torch.tensor([1.0, 3.0]).repeat_interleave(200)
    both = randaugment.randaugment(images.clone(), drawn, torch.full((400,), 9.0), many)
    assert both.isfinite().all()
    assert both.min() >= 0
    assert both.max() <= 1
    for part, count in ((slice(0, 200), 1), (slice(200, 400), 3)):
        expected = images[part].clone()
        for number in range(count):
            which = (drawn[part, 2 * number] * 14).long()
            sign = torch.where(drawn[part, 2 * number + 1] < 0.5, -1.0, 1.0)
            expected = randaugment.changed(expected, which, sign * 0.3)
        near(both[part], expected, 1e-6)


def test_other_channels_than_three_are_grey_by_their_mean():
    images = torch.rand(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    half = torch.full((2,), 0.5)
    assert torch.equal(colors.saturation(images, half), images)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    near(colors.contrast(images, half), mean + 0.5 * (images - mean))


def test_angles_are_to_both_sides():
    """A turn by a quarter is exact."""
    image = torch.zeros(2, 1, 5, 5)
    image[:, 0, 0, 2] = 1
    turned = geometry.rotate(image, torch.tensor([[1.0], [0.0]]), torch.full((2,), 90.0))
    assert math.isclose(float(turned[0, 0, 2, 0]), 1, abs_tol=1e-5)
    assert math.isclose(float(turned[1, 0, 2, 4]), 1, abs_tol=1e-5)

"""Draw docs/guides/augmentation.png: what each operation does to a few images.

    HPSEARCH_DATA=~/data python docs/augmentation.py

The grey images are Fashion-MNIST's, the others parts of two photographs that scikit-learn has.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images
from torch import Tensor

from hpsearch.sources.dataset import DataSettings
from hpsearch.sources.read import read
from hpsearch.spec.augmentation import OPERATIONS

SHOWN = {
    "scale": (0.4,), "flip": (1,), "flip_vertical": (1,), "rotate": (20,), "crop": (6,),
    "randaugment": (9, 2), "color": (0.5,), "erase": (1,),
}  # fmt: skip
"""The values of each operation's settings."""
SIDE, GAP, LABEL = 56, 4, 150


def main() -> None:
    """Write the picture."""
    rows = list(changed(images()))
    height = len(rows) * (SIDE + GAP) + GAP
    picture = Image.new("RGB", (LABEL + len(rows[0][1]) * (SIDE + GAP) + GAP, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for number, (label, pixels) in enumerate(rows):
        top = GAP + number * (SIDE + GAP)
        draw.text((GAP, top + SIDE // 3), label, fill="black", font=font)
        for column, one in enumerate(pixels):
            shades = (one.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
            picture.paste(Image.fromarray(shades), (LABEL + column * (SIDE + GAP), top))
    picture.quantize(256).save(Path(__file__).with_suffix(".png"), optimize=True)


def images() -> Tensor:
    """Ten images from 0 to 1, (N, 3, SIDE, SIDE)."""
    raw = read(DataSettings.of("fashion_mnist"))
    grey = [np.flatnonzero(raw.targets == kind)[1] for kind in (9, 1, 8, 7, 2)]
    clothes = torch.from_numpy(raw.take(np.array(grey))).float() / 255
    clothes = torch.nn.functional.interpolate(clothes.expand(-1, 3, -1, -1), (SIDE, SIDE))
    photographs = [torch.from_numpy(image.copy()) for image in load_sample_images().images]
    parts = ((0, 60, 100, 280), (0, 100, 330, 280), (1, 40, 170, 300), (1, 0, 60, 420))
    cut = [photographs[p][y : y + s, x : x + s].permute(2, 0, 1) / 255 for p, y, x, s in parts]
    small = [torch.nn.functional.interpolate(part[None], (SIDE, SIDE), mode="area") for part in cut]
    return torch.cat([clothes, *small])


def changed(pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
    """(What is done, the images after it)."""
    generator = torch.Generator().manual_seed(3)
    yield "as they are", pixels
    for operation in OPERATIONS:
        values = SHOWN[operation.name]
        draws = torch.rand(len(pixels), operation.draws, generator=generator)
        if operation.name.startswith("flip"):
            draws[:] = 1  # show each of them mirrored
        each = [torch.full((len(pixels),), float(value)) for value in values]
        apply = pkgutil.resolve_name(operation.apply)
        plain = "true" if operation.name.startswith("flip") else f"{values[0]:g}"
        yield f"{operation.name}: {plain}", apply(pixels.clone(), draws, *each)
    share = 0.65
    others = torch.cat([pixels[:5].roll(1, 0), pixels[5:].roll(1, 0)])
    yield f"mixup, {share:.0%} of its own", share * pixels + (1 - share) * others


if __name__ == "__main__":
    main()

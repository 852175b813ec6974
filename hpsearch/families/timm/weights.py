"""The weights that timm publishes: where they lie, and what they are in networks of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hpsearch.weights.files import Published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["entries", "published"]

_FILES = ("model.safetensors", "pytorch_model.bin")


def published(model: str) -> Published:
    """The file of a model in PyTorch's cache, by the model's name, and where timm itself keeps it.

    Raises ValueError where timm has no such model, or publishes no weights of it.
    """
    import timm as library  # here, for it takes seconds to load

    if not library.is_model(model):
        raise ValueError(f"timm has no model {model}")
    config = library.get_pretrained_cfg(model)
    if not config.has_weights:
        raise ValueError(f"timm has no weights of {model}")
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    places = [folder / f"{model}.safetensors", folder / f"{model}.pth"]
    if config.url and not config.url.endswith(".npz"):  # of JAX, which PyTorch does not read
        places.append(folder / config.url.rpartition("/")[2])
    if config.hf_hub_id:
        places += _cached(config.hf_hub_id)
    hub = f"{_FILES[0]} of {config.hf_hub_id} on the Hugging Face hub" if config.hf_hub_id else None
    return Published(tuple(places), hub or config.url)


def _cached(repository: str) -> list[Path]:
    """Its files in the cache of Hugging Face's hub."""
    from huggingface_hub import try_to_load_from_cache

    repository = repository.partition("@")[0]
    paths = (try_to_load_from_cache(repository, name) for name in _FILES)
    return [Path(path) for path in paths if isinstance(path, str)]


def entries(
    weights: Mapping[str, Tensor], model: str, size: int | None, **_: Any
) -> dict[str, Tensor]:
    """The weights of a model of timm by the names that they have in our networks.

    timm itself reads them: it brings files of other forms, and positions of other sizes, to the
    model's. Raises RuntimeError where they are of another model.
    """
    import timm as library

    own = library.get_pretrained_cfg(model)
    last = own.classifier if isinstance(own.classifier, str) else ""
    classes = weights[f"{last}.weight"].shape[0] if f"{last}.weight" in weights else 0
    given = {"img_size": (size, size)} if own.fixed_input_size and size else {}
    overlay = {"state_dict": dict(weights), "num_classes": classes}
    with torch.random.fork_rng(devices=[]):
        read = library.create_model(
            model, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=classes, **given
        )
    read.reset_classifier(0)
    return {f"body.{name}": tensor for name, tensor in read.state_dict().items()}

"""The first study file of a folder of images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.begin import families
from hpsearch.begin.draft import Draft, listed, metric_of, relative
from hpsearch.errors import DataError
from hpsearch.sources.images import ImagesSpec
from hpsearch.sources.images.decode import size_of, sizes_of
from hpsearch.sources.images.files import labelled
from hpsearch.sources.unreadable import attempted, refuse

if TYPE_CHECKING:
    from hpsearch.sources.images.files import Labelled

__all__ = ["draft"]

_LOOKED_AT = 200
"""Images whose sizes are looked at."""
_SMALL = 96
"""Images up to so many pixels a side keep their size where all have the same."""
_SIDE = 64


def draft(path: Path, folder: Path) -> Draft:
    """A study of a folder that has a folder of images for each class, perhaps below `train`, `val`
    and `test`. DataError for one that has not."""
    section = ImagesSpec(source="images", path=str(path.absolute()))
    files = labelled(section, path)
    classes, rows = files.classes, Counter(files.targets)
    counts = [rows.get(number, 0) for number in range(len(classes))]
    metric, why = metric_of(classes, counts)
    size, about_size = _size(files)
    content = {
        "data": {"source": "images", "path": relative(path, folder), "size": size},
        "network": {"family": "cnn"}, "metric": metric,
        "parameters": families.images(len(files.names), min(size), imbalanced=metric != "accuracy"),
    }  # fmt: skip
    content["data"]["size"] = size[0] if size[0] == size[1] else [*size]  # type: ignore[index]
    draft = Draft(content, [f"{path.name}: {len(files.names):,} images of {len(classes)} classes, "
                            f"{listed(classes)}."])  # fmt: skip
    own = {"val": files.own_validation, "test": files.own_test}
    parts = [f"{count:,} of the images are the {part} part" for part, count in own.items() if count]
    draft.note(("data",), *parts, *files.notes[:3])
    draft.note(("data", "size"), about_size)
    draft.note(("network",), "a network of its own; published weights need fewer images: network: "
               "{family: timm, weights: pretrained} (docs/guides/fine-tuning.md)")  # fmt: skip
    draft.note(("metric",), why)
    draft.note(("parameters", "flip"), "what may be done to training images: leave out what "
               "changes the class of yours, such as mirrored letters")  # fmt: skip
    return draft


def _size(files: Labelled) -> tuple[tuple[int, int], str]:
    """Height and width that images are brought to, and why."""
    step = max(len(files.names) // _LOOKED_AT, 1)
    tried = [attempted(files.folder / name, size_of) for name in files.names[::step]]
    refuse([one for one in tried if isinstance(one, DataError)], len(tried))
    sizes = Counter(one for one in tried if not isinstance(one, DataError))
    (width, height), _ = sizes.most_common(1)[0]
    if len(sizes) == 1 and max(width, height) <= _SMALL:
        return (height, width), f"the images' own size, {width} x {height}"
    looked = "" if step == 1 else f", by {len(tried):,} of them"
    spread = f"{sizes_of(sizes)}{looked}"
    return (_SIDE, _SIDE), f"the images are {spread}; larger is slower, and sees more"

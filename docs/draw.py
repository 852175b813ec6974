"""Draw docs/guides/pictures from the studies in studies/, with fewer trials: minutes on two cores.

python docs/draw.py [STUDY ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]

SHOWN: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "digits": ([], ["curves", "confusion", "errors", "importance"]),
    "circles-staged": (
        ["--trials", "12", "--epochs", "27", "--set", "search.strategy=joint", "--set",
         "final.seeds=2", "--set", "final.top=1"],
        ["boundary"],
    ),
    "line": ([], ["fit"]),
    "series": (["--trials", "4", "--epochs", "9", "--set", "final.top=1"], ["residuals"]),
    "vgg": (["--trials", "2", "--epochs", "3", "--set", "data.limit=3000"], ["filters", "maps"]),
    "anomalies": (
        ["--trials", "8", "--set", "final.top=1", "--set", "final.seeds=2"],
        ["reconstructions", "scores"],
    ),
}  # fmt: skip
"""By study: the options that make it short, and the pictures that are taken from it."""


def main(names: Sequence[str]) -> None:
    """Run the studies, and take their pictures."""
    for name in names or SHOWN:
        options, pictures = SHOWN[name]
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "HPSEARCH_STORAGE": f"sqlite:///{folder}/study.db"}
            hpsearch("run", str(ROOT / "studies" / f"{name}.yaml"), *options, env=env)
            hpsearch("pictures", name, "-o", f"{folder}/shown", env=env)
            for picture in pictures:
                # The network that is handed over comes first, and of it there are all.
                first = min(Path(folder, "shown").glob(f"*-{picture}.png"), key=age)
                small(first, ROOT / "docs/guides/pictures" / f"{picture}.png")


def hpsearch(*words: str, env: Mapping[str, str]) -> None:
    """Run a command to its end."""
    subprocess.run([sys.executable, "-m", "hpsearch", *words], env=env, cwd=ROOT, check=True)


def small(path: Path, to: Path) -> None:
    """A picture with as few colours as do: a third of its size."""
    with Image.open(path) as image:
        image.convert("RGB").quantize(160).save(to, optimize=True)


def age(path: Path) -> float:
    """When a file was written."""
    return path.stat().st_mtime_ns


if __name__ == "__main__":
    main(sys.argv[1:])

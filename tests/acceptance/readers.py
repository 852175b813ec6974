"""What the guides assume that their readers have: data, and studies that have run. All small."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.acceptance.documented import steps

__all__ = ["BELONGINGS", "NOT_FOLLOWED", "RUN_BEFORE"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def _wine(folder: Path) -> None:
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True).frame
    frame.insert(0, "kind", frame.pop("target").map({0: "barolo", 1: "grignolino", 2: "barbera"}))
    frame.to_csv(folder / "wine.csv", index=False)
    frame.drop(columns="kind").head(5).to_csv(folder / "new.csv", index=False)


def _churn(folder: Path) -> None:
    """One customer in eight has left; a number for each, one country, and sentences."""
    draw = random.Random(0)
    words = ["asked", "about", "the", "bill", "again", "and", "was", "helped", "at", "once"]
    rows = ["customer_id,country,plan,visits,calls,note,churned"]
    for number in range(400):
        calls = draw.randint(0, 9)
        leaves = draw.random() < (0.6 if calls > 7 else 0.04)
        note = " ".join(draw.choices(words, k=9))
        rows.append(
            f"{1000 + 7 * number},Portugal,{draw.choice(['basic', 'family', 'premium'])},"
            f"{draw.randint(0, 30)},{calls},{note},{'yes' if leaves else 'no'}"
        )
    (folder / "churn.csv").write_text("\n".join(rows) + "\n")
    header = rows[0].rpartition(",")[0]
    new = [header, *(row.rpartition(",")[0] for row in rows[1:6])]
    (folder / "new.csv").write_text("\n".join(new) + "\n")


def _messages(folder: Path) -> None:
    shutil.copy(ROOT / "studies/messages.csv", folder)
    (folder / "new.csv").write_text("text\nThe train is late again.\nA goal in the last minute!\n")


def _pictures(name: str, *classes: str) -> Callable[[Path], None]:
    """A folder of images for each class, bright on another side; and one image more."""

    def make(folder: Path) -> None:
        import numpy as np
        from PIL import Image

        draw = np.random.default_rng(0)
        for place, kind in enumerate(classes):
            (folder / name / kind).mkdir(parents=True)
            for number in range(16):
                pixels = draw.integers(0, 120, (32, 32, 3), dtype=np.uint8)
                pixels[:, 16 * place : 16 * place + 16] += 100
                Image.fromarray(pixels).save(folder / name / kind / f"{number}.png")
        Image.fromarray(pixels).save(folder / "photo.jpg")

    return make


def _arrays(folder: Path) -> None:
    import numpy as np

    draw = np.random.default_rng(0)
    y = np.arange(200) % 2
    waves = np.sin(np.linspace(0, 6, 24) * (1 + y)[:, None] + draw.uniform(0, 6, 200)[:, None])
    np.savez(folder / "data.npz", X=waves[:, :, None].astype(np.float32), y=y)
    days = np.datetime64("2024-01-01") + np.arange(300)
    load = 10 + np.sin(np.arange(300) / 7 * 2 * np.pi) + draw.normal(0, 0.1, 300)
    rows = [f"{day},{value:.3f}" for day, value in zip(days, load, strict=True)]
    (folder / "load.csv").write_text("\n".join(["day,load", *rows]) + "\n")


def _digits(folder: Path) -> None:
    import numpy as np
    from sklearn.datasets import load_digits

    np.save(folder / "some.npy", load_digits().images[:12])


def _studies(folder: Path) -> None:
    """The guide is for somebody in a clone of the repository."""
    shutil.copytree(ROOT / "studies", folder / "studies")


def _loop(folder: Path) -> None:
    """What another guide shows."""
    page = steps(DOCS / "guides/own-loop.md")
    (folder / "train.py").write_text(next(step.output for step in page if step.file == "train.py"))


def _elsewhere(folder: Path) -> None:
    """A script with options, and trials of it that Optuna and a table have."""
    import optuna

    (folder / "train.py").write_text(
        "import argparse, json\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float)\n"
        "parser.add_argument('--layers', type=int)\n"
        "args = parser.parse_args()\n"
        "for epoch in range(1, 4):\n"
        "    print(json.dumps({'epoch': epoch, 'val_loss': args.lr * args.layers / epoch}))\n"
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="first-try", storage=f"sqlite:///{folder}/old.db")
    study.optimize(
        lambda trial: (
            trial.suggest_float("lr", 1e-5, 0.1, log=True) * trial.suggest_int("layers", 1, 4)
        ),
        n_trials=4,
    )
    (folder / "trials.csv").write_text("lr,layers,val_loss\n0.01,2,0.02\n0.001,3,0.003\n")


_WINE = """\
name: {name}
data: {{source: table, path: wine.csv, target: kind}}
network: {{family: mlp}}
metric: accuracy
parameters: {{width: {{values: {widths}}}, lr: {{min: 1e-3, max: 1e-1, log: true}}}}
budget: {{trials: 4, epochs: 3}}
final: {{top: 1, seeds: 2}}
"""


def _wine_studies(folder: Path) -> None:
    _wine(folder)
    for name, widths in (("wine", [8, 16]), ("wine-wide", [64, 128])):
        (folder / f"{name}.yaml").write_text(_WINE.format(name=name, widths=widths))


def _customers(folder: Path) -> None:
    """The table of the tutorial, and rows to predict."""
    files = {step.file: step.output for step in steps(DOCS / "tutorial.md") if step.file}
    (folder / "new.csv").write_text(files["new.csv"])
    subprocess.run([sys.executable, "-c", files["table.py"]], cwd=folder, check=True)


BELONGINGS: Mapping[str, Sequence[Callable[[Path], None]]] = {
    "anomalies": [_digits],
    "augmentation": [_pictures("shoes", "boot", "sandal")],
    "before-a-search": [_studies],
    "coming-from": [_studies],
    "first-study": [_churn],
    "images": [_pictures("pets", "cat", "dog")],
    "import": [_elsewhere],
    "own-module": [_wine],
    "pictures": [_studies],
    "plan": [_studies],
    "predictions": [_wine_studies],
    "python": [_churn, _loop],
    "readme": [_customers],
    "series": [_arrays],
    "share-a-report": [_wine_studies],
    "tables": [_wine],
    "text": [_messages],
    "watching": [_studies],
}
"""By the name of the page."""

RUN_BEFORE: Mapping[str, Sequence[str]] = {
    "pictures": ["hpsearch run studies/digits.yaml --set search.pruner=none"],
    "predictions": ["hpsearch run wine.yaml"],
    "share-a-report": ["hpsearch run wine.yaml", "hpsearch run wine-wide.yaml"],
}
"""Commands whose results a page takes for granted."""

NOT_FOLLOWED: Mapping[str, str] = {
    "add-a-family": "is for a clone to change: tests/unit/test_docs_families.py takes its code",
    "containers": "needs Docker and a registry: tests/containers/run.sh follows it",
    "contributing": "is for a clone to change: pip installs, and git gets a hook",
    "fine-tuning": "published weights are downloaded",
    "kubernetes": "needs a cluster",
    "many-machines": "its hosts and its bucket are made up",
    "mlflow": "needs a server: tests/integration/test_tracking.py has one",
    "recipe": "no less of a budget will do: tests/acceptance/test_recipe.py runs one that is small",
}
"""Pages whose commands cannot run here, and why."""

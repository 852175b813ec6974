"""What own-loop.yaml searches: a training loop of its own, with two optimizers and its own loss."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from hpsearch import Run

__all__ = ["evaluate", "train"]

TRAINED, CHECKED, TESTED = slice(0, 1200), slice(1200, 1500), slice(1500, None)


def train(run: Run) -> None:
    """A classifier of digits whose features also have to give the image again."""
    images, classes = _digits()
    encoder, classify, decode = _networks(run)
    main = torch.optim.AdamW([*encoder.parameters(), *classify.parameters()], run.lr)
    other = torch.optim.SGD(decode.parameters(), 10 * run.lr)
    order = torch.Generator().manual_seed(run.seed % 2**32)
    run.save(encoder=encoder, classify=classify, decode=decode, main=main, other=other, order=order)
    for epoch in run.epochs():
        total = 0.0
        for rows in torch.randperm(1200, generator=order).split(64):
            features = encoder(images[TRAINED][rows])
            loss = _loss(classify(features), classes[TRAINED][rows])
            loss = loss + run.weight * (decode(features) - images[TRAINED][rows]).square().mean()
            for optimizer in (main, other):
                optimizer.zero_grad()
            loss.backward()
            for optimizer in (main, other):
                optimizer.step()
            total += loss.item() * len(rows)
        accuracy = _accuracy(encoder, classify, CHECKED)
        print(f"epoch {epoch}: accuracy {accuracy:.4f}")
        run.report(train_loss=total / 1200, accuracy=accuracy)


def evaluate(run: Run, part: str) -> float:
    """The accuracy on rows that the search has not seen, for its finish."""
    encoder, classify, _ = _networks(run)
    run.save(encoder=encoder, classify=classify)  # as they were after the best epoch
    return _accuracy(encoder, classify, TESTED)


def _digits() -> tuple[Tensor, Tensor]:
    found = load_digits()
    images = torch.from_numpy(found.images).float().flatten(1) / 16
    return images, torch.from_numpy(found.target)


def _networks(run: Run) -> tuple[nn.Module, nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Linear(64, run.width), nn.ReLU())
    return encoder, nn.Linear(run.width, 10), nn.Linear(run.width, 64)


@torch.no_grad()
def _accuracy(encoder: nn.Module, classify: nn.Module, rows: slice) -> float:
    images, classes = _digits()
    right = classify(encoder(images[rows])).argmax(1) == classes[rows]
    return float(right.float().mean())


def _loss(scores: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy, by which what is nearly right already counts less."""
    entropy = nn.functional.cross_entropy(scores, classes, reduction="none")
    return ((1 - torch.exp(-entropy)) ** 2 * entropy).mean()

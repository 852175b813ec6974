"""What own-loop.yaml searches: a training loop of its own, with two optimizers and its own loss."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from hpsearch import Run

__all__ = ["train"]


def train(run: Run) -> None:
    """A classifier of digits whose features also have to give the image again."""
    images = torch.from_numpy(load_digits().images).float().flatten(1) / 16
    classes = torch.from_numpy(load_digits().target)
    fit, check = slice(0, 1400), slice(1400, None)

    encoder = nn.Sequential(nn.Linear(64, run.width), nn.ReLU())
    classify, decode = nn.Linear(run.width, 10), nn.Linear(run.width, 64)
    main = torch.optim.AdamW([*encoder.parameters(), *classify.parameters()], run.lr)
    other = torch.optim.SGD(decode.parameters(), 10 * run.lr)
    order = torch.Generator().manual_seed(run.seed % 2**32)
    run.save(encoder=encoder, classify=classify, decode=decode, main=main, other=other, order=order)
    for epoch in run.epochs():
        total = 0.0
        for rows in torch.randperm(1400, generator=order).split(64):
            features = encoder(images[fit][rows])
            loss = _loss(classify(features), classes[fit][rows])
            loss = loss + run.weight * (decode(features) - images[fit][rows]).square().mean()
            for optimizer in (main, other):
                optimizer.zero_grad()
            loss.backward()
            for optimizer in (main, other):
                optimizer.step()
            total += loss.item() * len(rows)
        with torch.no_grad():
            right = classify(encoder(images[check])).argmax(1) == classes[check]
        print(f"epoch {epoch}: {right.sum()} of {len(right)} are right")
        run.report(train_loss=total / 1400, accuracy=right.float().mean())


def _loss(scores: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy, by which what is nearly right already counts less."""
    entropy = nn.functional.cross_entropy(scores, classes, reduction="none")
    return ((1 - torch.exp(-entropy)) ** 2 * entropy).mean()

"""A worker that has nothing to do."""

from __future__ import annotations

import threading

import torch

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.worker.context import Context, Options, Patience
from hpsearch.worker.couriers import Couriers
from hpsearch.worker.keeper import Keeper
from hpsearch.worker.loop import _Worker


def test_it_looks_at_once_and_then_less_and_less_often(sqlite_url: str) -> None:
    ledger = Ledger(Database(sqlite_url))
    keeper = Keeper(ledger, "w")
    options = Options(
        url=sqlite_url, name="w", device="cpu", studies=(), until_done=False, threads=None,
        lease_s=30, checkpoints=None, grace_s=8, patience_s=60,
    )  # fmt: skip
    context = Context(
        ledger, "w", torch.device("cpu"), options, keeper, Patience(60), threading.Event()
    )
    worker = _Worker(context, Couriers(ledger, options))
    assert [worker._once() for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.2]

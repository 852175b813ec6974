"""What has no room on the device is streamed, and gives the same numbers to the last digit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
import torch

from hpsearch.errors import DataError
from hpsearch.handover.trained import Trained
from hpsearch.preflight.overfit_check import examine
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.sources.room import Room
from hpsearch.sources.rows import Streamed
from hpsearch.sources.stream import Stream
from hpsearch.training.array import Array
from tests.unit.training.packing import DEVICE

if TYPE_CHECKING:
    from hpsearch.runner.candidate import Candidate


@pytest.fixture(scope="session")
def streamed() -> Dataset:
    """The rows of `digits`, of which none lie on the device."""
    return load(DataSettings.of("digits", limit=510, memory="1 kB"), DEVICE)


def trained(dataset: Dataset, candidates: list[Candidate], stack: int) -> list[Any]:
    """The states after three epochs."""
    array = Array(dataset, "accuracy", DEVICE, stack=stack)
    for candidate in candidates:
        array.add(candidate, until=3)
    while any(not report.paused for report in array.reports()):
        pass
    states = []
    for key in array.keys:
        saved = array.saved(key)
        assert saved is not None
        curve = [(epoch.value, dict(epoch.metrics)) for epoch in saved.curve]
        states.append((saved.state["model"], curve))
    return states


@pytest.mark.parametrize(("family", "stack"), [("mlp", 1), ("cnn", 1), ("mlp", 3), ("cnn", 3)])
def test_streamed_rows_give_the_same_networks_to_the_last_digit(
    digits, streamed, candidate, family, stack
):
    assert digits.train.resident
    assert not streamed.train.resident
    some = [candidate(key, family, seed=key, dropout=0.2, batch_size=64) for key in range(stack)]
    for (model, curve), (other, its_curve) in zip(
        trained(digits, some, stack), trained(streamed, some, stack), strict=True
    ):
        assert curve == its_curve
        assert all(torch.equal(model[name], other[name]) for name in model)


def test_a_part_gives_the_same_rows_wherever_they_lie(digits, streamed):
    rows = torch.tensor([3, 1, 3, 400])
    for part in ("train", "validation"):
        resident, elsewhere = getattr(digits, part), getattr(streamed, part)
        some = rows.clamp(max=len(resident) - 1)
        for one, other in zip(resident.batch(some), elsewhere.batch(some), strict=True):
            assert torch.equal(one, other)
        assert torch.equal(resident.inputs, elsewhere.inputs)
        assert torch.equal(torch.cat(list(elsewhere.pieces(7))), resident.inputs)
    assert len(streamed.train) == 420
    assert streamed.train.shape == (1, 8, 8)
    assert streamed.train.device_bytes == 420 * 8
    assert any("streamed, as data.memory is 1 kB" in note for note in streamed.record["notes"])


def test_the_smaller_part_stays_where_there_is_room_for_it():
    dataset = load(DataSettings.of("digits", limit=510, memory="50 kB"), DEVICE)
    assert (dataset.train.resident, dataset.validation.resident) == (False, True)


def test_networks_are_measured_and_examined_on_streamed_rows(digits, streamed, candidate):
    one = candidate()
    network = dict.fromkeys(["train", "validation"])
    [(model, _)] = trained(digits, [one], 1)
    measured = Trained("mlp", one.settings, model, digits)
    for part in network:
        assert torch.equal(
            measured.outputs(getattr(digits, part)), measured.outputs(getattr(streamed, part))
        )
    assert examine(one, digits, DEVICE, lambda: False) == examine(
        one, streamed, DEVICE, lambda: False
    )


def test_a_table_is_streamed_too(table):
    text = "x,y\n" + "\n".join(f"{n * 7 % 13},{'ab'[n % 2]}" for n in range(60))
    resident, streamed = table(text), table(text, memory="10 B")
    assert torch.equal(resident.train.inputs, streamed.train.inputs)
    assert not streamed.train.resident


class Squares:
    """Rows that can be sent to another process."""

    def __init__(self, spoilt: int = -1) -> None:
        self.spoilt = spoilt

    def __call__(self, rows: Any) -> Any:
        if self.spoilt in rows:
            raise DataError(f"row {self.spoilt} is damaged")
        return np.stack([np.full(3, row * row, np.float32) for row in rows])


def stream_of(read: Squares) -> Streamed:
    stream = Stream(read, DEVICE, portable=True)
    return Streamed(stream, np.arange(10, 50), torch.arange(40), (3,))


def readers_of(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_rows_are_read_by_processes_that_end_with_the_training():
    part, hears_of_ends = stream_of(Squares(spoilt=49)), signal.getsignal(signal.SIGCHLD)
    state = torch.get_rng_state()
    pieces = part.batches(torch.split(torch.arange(39), 4))
    assert torch.equal(next(pieces)[0][:, 0], torch.tensor([100.0, 121.0, 144.0, 169.0]))
    assert torch.equal(torch.get_rng_state(), state), "dropout would draw other numbers"
    readers = readers_of(os.getpid())
    assert readers
    # An epoch that is broken off leaves nothing behind for the next.
    again = list(part.batches([torch.tensor([0]), torch.tensor([1, 2])]))
    assert [inputs[:, 0].tolist() for inputs, _ in again] == [[100.0], [121.0, 144.0]]
    with pytest.raises(RuntimeError, match="another iterator"):
        list(pieces)
    with pytest.raises(DataError, match=r"^row 49 is damaged$"):
        list(part.batches([torch.tensor([39])]))
    # What one that is lost still owes another reads, and the loss is told nowhere else.
    pieces = part.batches(torch.split(torch.arange(39), 1))
    read = [next(pieces)[0][0, 0].item()]
    assert signal.getsignal(signal.SIGCHLD) == hears_of_ends
    os.kill(readers[0].pid, signal.SIGKILL)
    read += [inputs[0, 0].item() for inputs, _ in pieces]
    assert read == [row * row for row in range(10, 49)]
    part.stream.close()
    gone, alive = psutil.wait_procs(readers, timeout=10)
    assert gone
    assert not alive


class Fatal(Squares):
    """Rows that no process but the one that made them survives."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = os.getpid()

    def __call__(self, rows: Any) -> Any:
        if os.getpid() != self.maker:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(rows)


@pytest.mark.nightly
def test_readers_that_are_lost_each_time_are_an_error():
    with pytest.raises(DataError, match="lost 3 times without a batch: see that there is memory"):
        list(stream_of(Fatal()).batches([torch.tensor([0])]))


_KILLED = """
import os, signal, torch
from tests.unit.training.test_streaming import Squares, readers_of, stream_of

part = stream_of(Squares())
pieces = part.batches([torch.tensor([0])])
if {whole}:
    next(pieces)
else:  # the reader is still loading
    iter(part.stream._loader_now())
print(*(reader.pid for reader in readers_of(os.getpid())), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.nightly
@pytest.mark.parametrize("whole", [False, True])
def test_readers_do_not_outlive_a_worker_that_is_killed(whole):
    program = _KILLED.replace("{whole}", str(whole))
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    readers = [int(pid) for pid in done.stdout.split()]
    assert readers
    deadline = time.monotonic() + 15  # to load takes seconds
    while any(map(psutil.pid_exists, readers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("bound", "size"), [("2 GB", 2 * 10**9), ("1.5 kB", 1500), ("1 KiB", 1024), ("0 B", 0)]
)
def test_a_bound_of_memory_is_what_it_says(bound, size):
    room = Room(bound)
    assert not room.takes(size + 1)
    assert room.takes(size)
    assert not room.takes(1)
    assert bound in room.why


def test_by_default_a_share_of_the_free_memory_may_be_taken():
    available = psutil.virtual_memory().available
    assert Room("auto").takes(available // 8)
    assert not Room("auto").takes(available // 2)

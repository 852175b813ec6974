"""Steps that are recorded do what they do when they are launched one by one. Needs a GPU."""

from __future__ import annotations

import pytest
import torch

from hpsearch.training import devices
from hpsearch.training.stacking.cuda_graphs import Recorded

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")
SIZE = 1000


class Walk:
    """A tensor that each call moves by random steps; the call of a number fails."""

    def __init__(self, fails_at: int = 0, error: Exception | None = None) -> None:
        self.device = torch.device("cuda:0")
        self.place = torch.zeros(SIZE, device=self.device)
        self._calls, self._fails_at, self._error = 0, fails_at, error

    def __call__(self, length: torch.Tensor) -> None:
        self._calls += 1
        self.place.add_(torch.empty(SIZE, device=self.device).uniform_() * length)
        if self._calls == self._fails_at:
            if self._error is not None:
                raise self._error
            torch.empty(1 << 42, device=self.device)

    def after(self, walk, calls: int) -> torch.Tensor:
        """Where it is after so many calls from the start, from seed 1."""
        length = torch.ones(SIZE, device=self.device)
        self.place.zero_()
        with devices.seeded(self.device, 1):
            for _ in range(calls):
                walk(length)
        return self.place.clone()


def test_a_recording_draws_the_same_random_numbers() -> None:
    plain, walk = Walk(), Walk()
    recorded = Recorded(walk, walk.device)
    for calls in (3, 1, 5):  # the second round launches what the first has recorded
        assert torch.equal(walk.after(recorded, calls), plain.after(plain, calls))


def test_other_shapes_have_a_recording_of_their_own() -> None:
    walk = Walk()
    recorded = Recorded(walk, walk.device)
    one, two = (torch.full((n,), 2.0, device=walk.device) for n in (1, SIZE))
    for length in (one, two, one, two, one, two):
        recorded(length)
    assert 0 < walk.place.mean() < 12


@pytest.mark.parametrize("error", [None, torch.OutOfMemoryError("CUDA out of memory")])
def test_what_fails_while_it_is_recorded_leaves_the_device_as_it_was(error) -> None:
    plain, walk = Walk(), Walk(fails_at=2, error=error)
    recorded = Recorded(walk, walk.device)
    recorded(torch.ones(SIZE, device=walk.device))
    with pytest.raises(torch.OutOfMemoryError):
        recorded(torch.ones(SIZE, device=walk.device))
    assert torch.equal(walk.after(walk, 2), plain.after(plain, 2))

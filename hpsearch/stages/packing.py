"""How many candidates a worker holds at once, and which tickets it takes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

__all__ = ["AHEAD", "room", "wish"]

AHEAD = 256
"""Upcoming tickets that are looked at for one of the right shape."""

_FEW = 4
"""Tickets taken at a time where their shapes are not known, and shapes on the device at once: each
is trained in turn, so that more of them make none faster and leave a pruner and a sampler with less
to go by."""

_ROUNDS = 10
"""A sampler that learns should see about so many rounds of results: no more than a tenth of a study
is on one device at once."""

_PART = 8
"""A stack is filled up once an eighth of it is free: each time takes two transactions."""

_SMALL_S = 1.0
"""An epoch of a network that others of unknown shape may be held beside. A large one has the
device, and its memory, to itself."""


def room(slots: int, held: int, tickets: int, *, learns: bool) -> int:
    """Slots to fill beside those `held` of one shape; 0 where only a few are free.

    Args:
        slots: Candidates of that shape that are trained at once.
        held: Those that are there.
        tickets: Of the study.
        learns: Whether its sampler learns from other trials.
    """
    if learns:
        slots = min(slots, max(tickets // _ROUNDS, _FEW))
    free = slots - held
    return free if free * _PART >= slots else 0


def wish(
    held: Sequence[Hashable],
    upcoming: Callable[[], Sequence[Hashable | None]],
    free: Callable[[Hashable, int], int],
    *,
    shaped: bool,
    epoch_s: float,
) -> tuple[int, list[int]]:
    """How many tickets to take, and which of those upcoming rather than others, by their places.

    Args:
        held: The shapes of the candidates that are there.
        upcoming: Looks up the shapes of the next tickets, None where it is not known: that takes
            time, and is done only where it matters.
        free: Of a shape, `room` beside so many of it.
        shaped: Whether candidates differ in shape.
        epoch_s: Seconds that one epoch of one candidate took.
    """
    if not held:
        return _first(upcoming(), free)
    count = Counter(held)
    # What is trained alone for want of company has not been measured.
    rooms = {shape: free(shape, n) for shape, n in count.items() if n > 1}
    most = max(rooms.values(), default=0)
    if not shaped:
        return most, []
    coming = upcoming() if most > 0 or len(held) < _FEW else []
    if coming and coming[0] is not None:
        alike = [at for at, shape in enumerate(coming) if rooms.get(shape, 0) > 0]
        return min(most, len(alike)), alike
    if len(count) >= _FEW or epoch_s > _SMALL_S:
        return 0, []
    return max(min(max(most, _FEW - len(held)), _FEW), 0), []


def _first(
    coming: Sequence[Hashable | None], free: Callable[[Hashable, int], int]
) -> tuple[int, list[int]]:
    """As many of the shape of the first ticket as are trained at once."""
    if not coming or coming[0] is None:
        return 1, []
    alike = [at for at, shape in enumerate(coming) if shape == coming[0]]
    if len(alike) == 1:  # a dry run would not pay
        return 1, alike
    return min(free(coming[0], 0), len(alike)), alike

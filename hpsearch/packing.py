"""How many candidates a device holds at once: what a worker keeps to, and a forecast counts on."""

from __future__ import annotations

__all__ = ["AHEAD", "FEW", "room", "unseen"]

AHEAD = 256
"""Upcoming tickets that are looked at for one of the right shape."""

FEW = 4
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
        slots = min(slots, max(tickets // _ROUNDS, FEW))
    free = slots - held
    return free if free * _PART >= slots else 0


def unseen(held: int, shapes: int, room: int, epoch_s: float) -> int:
    """Tickets to take whose shapes are not known beforehand.

    Args:
        held: Candidates that are there.
        shapes: The shapes they are of.
        room: Slots that are free in the stacks of those.
        epoch_s: What an epoch of one candidate took.
    """
    if shapes >= FEW or epoch_s > _SMALL_S:
        return 0
    return max(min(max(room, FEW - held), FEW), 0)

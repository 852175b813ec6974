"""The processes of one runner: one that has done with a candidate takes the next."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any

from hpsearch.children.here import Guest, Here
from hpsearch.children.process import Child, Nursery
from hpsearch.children.wire import HangUpError

__all__ = ["Processes", "is_told"]

_LOOK_S = 0.25
"""Between two looks at whether one of those that are to come back has."""
_LEAVES_S = 6.0
"""For a child whose trial is over to come back; it ends itself a little earlier."""

_WORDS_S = 1.0
"""For the last words of all that are about to come back, where none is needed any more."""


class Processes:
    """Gives candidates their processes, and takes them back."""

    def __init__(self, nursery: Nursery | Here, places: int) -> None:
        """`places`: how many a device has room for."""
        self._nursery, self._places = nursery, places
        self._idle: list[Child | Guest] = []
        self._leaving: list[tuple[Child | Guest, float]] = []
        """Children whose candidate is gone, and until when they may take to come back."""

    def take(self) -> Child | Guest:
        """One that is idle, or a new one. Raises WorkerError where none can be made."""
        self._welcome(0.0)
        while self._idle:
            child = self._idle.pop()
            if child.ended() is None:
                return child
        while len(self._leaving) >= self._places:
            self._welcome(_LOOK_S)
            if self._idle:
                return self._idle.pop()
        return self._nursery.child()

    def dismiss(self, child: Child | Guest, *, stays: bool | None) -> None:
        """Its candidate is gone while it waits: it is to come back for another one.

        `stays`: what it has said of that, where its code has come back already; None: it has not.
        """
        if not is_told(child, on=False) or stays is False:
            child.kill()
        elif stays:
            child.settle()
            self._idle.append(child)
        else:
            self._leaving.append((child, time.monotonic() + _LEAVES_S))

    def close(self) -> None:
        """End them all, once the last words of those that are about to come back are read."""
        until = time.monotonic() + _WORDS_S
        for child, _ in self._leaving:
            if time.monotonic() < until:
                child.settle()
        for child in (*self._idle, *(child for child, _ in self._leaving)):
            child.kill()

    def _welcome(self, timeout_s: float) -> None:
        """Take back those whose candidate is gone and that are done with it."""
        wires = {child.wire.fileno(): child for child, _ in self._leaving}
        if not wires:
            return
        ready = select.select([*wires], [], [], timeout_s)[0]
        now, staying = time.monotonic(), list[tuple[Child | Guest, float]]()
        for child, until in self._leaving:
            words = _last_words(child) if child.wire.fileno() in ready else None
            if words is not None and words.get("stays"):
                child.settle()
                self._idle.append(child)
            elif words is not None or now >= until or child.ended() is not None:
                child.settle()
                child.kill()
            else:
                staying.append((child, until))
        self._leaving = staying


def _last_words(child: Child | Guest) -> Mapping[str, Any] | None:
    """What a child says whose trial is over, as it has come back or failed after all; None where
    that is something else."""
    try:
        message = child.wire.receive(0.0)
        if message is None or not {"returned", "failed"} & message.keys():
            return None
        child.wire.send({"on": False})
    except HangUpError:
        return {}
    return message


def is_told(child: Child | Guest, *, on: bool) -> bool:
    """Tell a child whether its trial continues; False where it is gone."""
    try:
        child.wire.send({"on": on})
    except HangUpError:
        return False
    return True

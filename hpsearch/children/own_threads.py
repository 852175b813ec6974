"""The CPU threads of own training code: as many as its networks pay for."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from hpsearch.processes.threads import forward_flop, most_threads, one_thread, step_threads

__all__ = ["OwnThreads"]

_LOOKS = 32
"""Ways forward that are looked at: each network that a step has comes among the first few."""


class OwnThreads:
    """The threads of a process that calls own code, which says nothing of its networks before it
    runs: one to begin with, then those that the largest way forward of a module in training pays
    for, in its first steps. Where own code sets PyTorch's threads itself, they are as it wants
    them. Work that is done without modules has one.
    """

    def __init__(self, most: int | None) -> None:
        """
        Args:
            most: Threads that there are; None: as many as PyTorch would take.
        """
        one_thread(most)
        # That PyTorch has such a hook says nothing to whoever compiles a network here.
        warnings.filterwarnings("ignore", ".*global hooks on modules", UserWarning)
        self._ours: bool | None = None
        """Whether it has left them to us; None: it has not been imported yet."""

    @contextmanager
    def imported(self) -> Iterator[None]:
        """Own code is imported inside, the first time it is."""
        if self._ours is not None:
            yield
            return
        torch.set_num_threads(most_threads())
        yield
        self._ours = torch.get_num_threads() == most_threads()
        if self._ours:
            torch.set_num_threads(1)

    @contextmanager
    def called(self) -> Iterator[None]:
        """Own code is called inside."""
        if not self._ours or most_threads() == 1:
            yield
            return
        looks = _Looks()
        try:
            yield
        finally:
            looks.close()


class _Looks:
    """At the modules that are called in one thread, and what they pay for."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._depth, self._seen = 0, 0
        self._flop = self._largest = 0.0
        self._given = 1
        self._hooks = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]

    def close(self) -> None:
        """Look no more; the process has one thread again, if own code has set no other number."""
        self._end()
        if torch.get_num_threads() == self._given:
            torch.set_num_threads(1)

    def _end(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def _concerns(self) -> bool:
        """Whether what is called now is a step of training."""
        return (
            not torch.compiler.is_compiling()
            and torch.is_grad_enabled()
            and threading.get_ident() == self._thread
        )

    def _enter(self, module: nn.Module, _inputs: Any) -> None:
        if not self._concerns():
            return
        if torch.get_num_threads() != self._given:
            self._end()
        elif hasattr(module, "_orig_mod"):  # compiled: its layers are not called
            self._give(float("inf"))
            self._end()
        self._depth += 1

    def _leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        if not self._concerns() or not self._depth:
            return
        self._depth -= 1
        try:
            self._flop += 0.0 if output is None else forward_flop(module, output)
        except Exception:  # what a module returns is its own affair
            self._flop = float("inf")
        if self._depth:
            return
        self._largest, self._flop = max(self._largest, self._flop), 0.0
        self._give(self._largest)
        self._seen += 1
        if self._seen >= _LOOKS:
            self._end()

    def _give(self, flop: float) -> None:
        self._given = step_threads(flop)
        torch.set_num_threads(self._given)

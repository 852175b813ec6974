"""A study as it runs, for the caller: a line on a terminal, a bar in a notebook, and
elsewhere a line whenever there is a better trial."""

from __future__ import annotations

import html
import sys
import time
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Protocol

from hpsearch import passwords
from hpsearch.api.door import in_python
from hpsearch.forecast.countdown import Recent
from hpsearch.insight.words import duration, number, params, span
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hpsearch.insight.snapshot import Snapshot

__all__ = ["Progress", "say_result", "shown_by", "summary"]

_BAR = 20
"""Characters of a bar."""


class Progress(Protocol):
    """Shows a study: a `running.Listener` that comes to an end."""

    def note(self, text: str) -> None:
        """A line of status."""

    def update(self, snapshot: Snapshot) -> None:
        """The study as it is now."""

    def close(self) -> None:
        """Nothing more is shown."""


@contextmanager
def shown_by(wanted: bool) -> Iterator[Progress]:
    """What shows a study, for as long as it is to; nothing is shown where that is not `wanted`."""
    shown = _suited() if wanted else _Silent()
    try:
        yield shown
    finally:
        shown.close()


def say_result(snapshot: Snapshot, shown: Progress) -> None:
    """What a study has come to, in a line."""
    study, best = snapshot.study, snapshot.best
    shown.update(snapshot)
    sentence = f"study {study.name} is {study.state}: {study.ended} of {study.tickets} trials"
    if best is not None:
        sentence += f", best {snapshot.metric} {number(best.value)} (trial {best.number})"
    elif study.state == "done":
        sentence += ", none of which completed"
    shown.note(sentence)


def summary(snapshot: Snapshot) -> str:
    """A study in two lines: its state, its trials, and the best of them."""
    study = snapshot.study
    trials = f"study {study.name}: {study.state}, {study.ended} of {study.tickets} trials"
    counts = f" ({_counts(snapshot)})" if _counts(snapshot) else ""
    return visible("\n  ".join(filter(None, [trials + counts, _best(snapshot)])))


def _suited() -> Progress:
    """What suits this process: a notebook, a terminal, or neither."""
    if (display := _notebook()) is not None:
        return _InNotebook(display)
    return _OnTerminal() if sys.stderr is not None and sys.stderr.isatty() else _Lines()


def _notebook() -> Callable[..., Any] | None:
    """IPython's `display` where its output is a notebook's; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    shown: Callable[..., Any] = display
    return shown


def _note(text: str) -> None:
    if sys.stderr is not None:
        print(visible(passwords.hide(in_python(text))), file=sys.stderr, flush=True)


class _Pace:
    """What is left of a study, since it was first seen."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._recent = Recent()

    def __call__(self, snapshot: Snapshot) -> str:
        tempo = self._recent.tempo(snapshot.progress)
        passed = span(time.monotonic() - self._began)
        if snapshot.study.state != "open":
            return f"{passed}, {snapshot.study.state}"
        if not snapshot.trials:
            return f"{passed}, workers start"
        left = None if tempo is None else snapshot.left(tempo)
        return passed if left is None else f"{passed}, ~{duration(left.expected)} left"


def _counts(snapshot: Snapshot) -> str:
    parts = [f"{snapshot.count(state)} {word}" for state, word in
             (("RUNNING", "running"), ("PRUNED", "pruned"), ("FAIL", "failed"))
             if snapshot.count(state)]  # fmt: skip
    return ", ".join(parts)


def _best(snapshot: Snapshot, *, short: bool = False) -> str:
    leader = snapshot.leader
    if leader is None:
        return ""
    so_far = " so far" if leader.state == "RUNNING" else ""
    value = f"{snapshot.metric} {number(leader.value)}{so_far}"
    return f"best {value}" + ("" if short else f", trial {leader.number}: {params(leader.params)}")


class _Silent:
    def note(self, text: str) -> None: ...

    def update(self, snapshot: Snapshot) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """A line whenever another trial is the best."""

    def __init__(self) -> None:
        self._best: int | None = None
        self._is_new = True

    def note(self, text: str) -> None:
        _note(text)

    def update(self, snapshot: Snapshot) -> None:
        best = snapshot.best.number if snapshot.best is not None else None
        if best != self._best and not self._is_new and snapshot.best is not None:
            study = snapshot.study
            _note(f"{study.name} {study.ended}/{study.tickets} {_best(snapshot)}")
        self._best, self._is_new = best, False

    def close(self) -> None: ...


class _OnTerminal:
    """One line, written over again and again."""

    def __init__(self) -> None:
        self._pace = _Pace()

    def note(self, text: str) -> None:
        self.close()
        _note(text)

    def update(self, snapshot: Snapshot) -> None:
        study, pace, counts = snapshot.study, self._pace(snapshot), _counts(snapshot)
        done = round(_BAR * min(study.ended / max(study.tickets, 1), 1.0))
        bar = "━" * done + "╌" * (_BAR - done)
        count, short = f"{study.ended}/{study.tickets}", _best(snapshot, short=True)
        whole = f"{study.name} {bar} {count}"
        width = get_terminal_size().columns - 1  # the last one would begin another line
        # What may be left out, in turn: the best trial's parameters, the counts, the bar, the pace.
        for words in (
            [whole, pace, counts, _best(snapshot)], [whole, pace, counts, short],
            [whole, pace, short], [study.name, count, pace, short], [count, short],
        ):  # fmt: skip
            text = visible("  ".join(filter(None, words)), lines=False)
            if len(text) <= width:
                break
        print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class _InNotebook:
    """One output of the cell, brought up to date."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._pace = _Pace()
        self._display = display
        self._handle: Any = None
        self._shown = ""

    def note(self, text: str) -> None:
        text = in_python(text)
        self._display(_Html(f"<div>{html.escape(passwords.hide(text))}</div>", text))

    def update(self, snapshot: Snapshot) -> None:
        page = _Html(_page(snapshot, self._pace(snapshot)), _text(snapshot))
        if page.html == self._shown:
            return
        self._shown = page.html
        if self._handle is None:
            self._handle = self._display(page, display_id=True)
        else:
            self._handle.update(page)

    def close(self) -> None: ...


class _Html:
    """What a notebook shows, and its words where it cannot."""

    def __init__(self, page: str, text: str) -> None:
        self.html, self._text = page, text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self._text


def _text(snapshot: Snapshot) -> str:
    study = snapshot.study
    words = [f"{study.name} {study.ended}/{study.tickets}", _counts(snapshot), _best(snapshot)]
    return "  ".join(filter(None, words))


def _page(snapshot: Snapshot, pace: str) -> str:
    study = snapshot.study
    head = f"{study.ended} of {study.tickets} trials"
    line = ", ".join(filter(None, (head, _counts(snapshot), pace)))
    best = _best(snapshot)
    return (
        f"<div><b>{html.escape(study.name)}</b> "
        f'<progress max="{max(study.tickets, 1)}" value="{study.ended}"></progress> '
        f"{html.escape(line)}<br><code>{html.escape(visible(best, lines=False))}</code></div>"
    )

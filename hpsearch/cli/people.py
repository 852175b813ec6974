"""Who trains a study: workers, what they hold, and which studies they cannot serve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.text import Text

from hpsearch.cli.console import call, columns, note, out
from hpsearch.insight.words import span

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.store.values import Work, Worker

__all__ = ["attendance", "unserved", "workers"]


def attendance(snapshot: Snapshot, workers: Sequence[Worker]) -> None:
    """Where nobody is there to train a study that is open, how somebody will."""
    if snapshot.study.state == "open" and not any(worker.is_there for worker in workers):
        begun = len(snapshot.running)
        waiting = f" to continue with {begun} of its trials" if begun else ""
        name = snapshot.study.name
        out.print(f"no worker is there{waiting}: {call(f'worker {name}')}", soft_wrap=True)


_STATES = {"working": "green", "idle": "cyan", "lost": "red", "left": "dim"}


def workers(found: Sequence[Worker]) -> None:
    """A line a worker, and one more for each trial that it holds beside the first."""
    table = columns("host", "pid", "device", "state", "study", "trial", "epoch", "seen",
                   right=("pid", "trial", "epoch", "seen"))  # fmt: skip
    table.padding = (0, 1, 0, 0)  # 80 columns are few for eight
    for column in table.columns:
        column.no_wrap = column.header not in ("host", "device", "study")
    for worker in found:
        who: list[RenderableType] = [_Host(worker.host), str(worker.pid), _device(worker.device)]
        state, seen = Text(worker.state, _STATES[worker.state]), f"{span(worker.silent_s)} ago"
        for work in worker.work or (None,):
            at = _at(work)
            table.add_row(*who, state, *at, seen)
            who, state, seen = ["", "", ""], Text(), ""
    out.print(table)


def unserved(found: Sequence[Worker], lacks: Mapping[str, Mapping[str, str]]) -> None:
    """Which open studies these workers cannot serve, and why: a line a study."""
    lines: dict[tuple[str, str], list[str]] = {}
    for worker in found:
        for study, words in lacks[worker.worker].items():
            lines.setdefault((study, words), []).append(f"{worker.host} {worker.pid}")
    for (study, words), workers in lines.items():
        who = workers[0] if len(workers) == 1 else f"{len(workers)} workers"
        note(f"study {study} is not served by {who}: it needs {words}")


@dataclass(frozen=True)
class _Host:
    """A host's name in one line. Where there is no room its middle goes: pods of one deployment
    differ in their last letters."""

    name: str

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        spare = options.max_width - 1
        tail = spare * 2 // 3
        whole = len(self.name) <= options.max_width
        yield Text(self.name if whole else f"{self.name[: spare - tail]}…{self.name[-tail:]}")

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        return Measurement(min(8, len(self.name)), len(self.name))


def _device(said: str) -> Text:
    """The device as it signed on, without what a list has no use for: only GPUs have a model."""
    name, *model = said.split(", ")
    shown = (
        f"{name} {model[0].removeprefix('NVIDIA ')}" if name.startswith("cuda") and model else name
    )
    return Text(shown, no_wrap=True, overflow="ellipsis")


def _at(work: Work | None) -> tuple[Text | str, str, str]:
    if work is None:
        return "", "", ""
    name = Text(work.study, no_wrap=True, overflow="ellipsis")
    return name, "-" if work.trial is None else str(work.trial), str(work.epoch)

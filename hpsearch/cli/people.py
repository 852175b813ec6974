"""Who trains a study: workers, what they hold, and which studies they cannot serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from hpsearch.cli.console import Name, call, columns, note, out
from hpsearch.insight import commands
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
        study = snapshot.study
        start = call(commands.worker(study, code=commands.code_folder(study)))
        out.print(f"no worker is there{waiting}: run its file again ({call('run FILE')}), or "
                  f"{start}", soft_wrap=True)  # fmt: skip


_STATES = {"working": "green", "idle": "cyan", "lost": "red", "left": "dim"}


def workers(present: Sequence[Worker]) -> None:
    """A line a worker, and one more for each trial that it holds beside the first."""
    table = columns("host", "pid", "device", "state", "study", "trial", "epoch", "seen",
                   right=("pid", "trial", "epoch", "seen"))  # fmt: skip
    table.padding = (0, 1, 0, 0)  # 80 columns are few for eight
    for column in table.columns:
        column.no_wrap = column.header not in ("host", "device", "study")
    for worker in present:
        who: list[RenderableType] = [Name(worker.host), str(worker.pid), _device(worker.device)]
        state, seen = Text(worker.state, _STATES[worker.state]), f"{span(worker.silent_s)} ago"
        for work in worker.work or (None,):
            at = _at(work)
            table.add_row(*who, state, *at, seen)
            who, state, seen = ["", "", ""], Text(), ""
    out.print(table)


def unserved(present: Sequence[Worker], lacks: Mapping[str, Mapping[str, str]]) -> None:
    """Which open studies these workers cannot serve, and why: a line a study."""
    lines: dict[tuple[str, str], list[str]] = {}
    for worker in present:
        for study, words in lacks[worker.worker].items():
            lines.setdefault((study, words), []).append(f"{worker.host} {worker.pid}")
    for (study, words), workers in lines.items():
        who = workers[0] if len(workers) == 1 else f"{len(workers)} workers"
        note(f"study {study} is not served by {who}: it needs {words}")


def _device(device: str) -> Text:
    """The device as it signed on, without what a list has no use for: only GPUs have a model."""
    name, *model = device.split(", ")
    shown = (
        f"{name} {model[0].removeprefix('NVIDIA ')}" if name.startswith("cuda") and model else name
    )
    return Text(shown, no_wrap=True, overflow="ellipsis")


def _at(work: Work | None) -> tuple[Text | str, str, str]:
    if work is None:
        return "", "", ""
    name = Text(work.study, no_wrap=True, overflow="ellipsis")
    return name, "-" if work.trial is None else str(work.trial), str(work.epoch)

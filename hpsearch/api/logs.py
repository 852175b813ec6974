"""What own training code has written in the trials of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch import urls
from hpsearch.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from hpsearch.insight.reader import Reader
    from hpsearch.insight.snapshot import Snapshot, Trial

__all__ = ["Logs", "trial_of"]

_LOOKED_AT = 20
"""Trials of which the last is looked for that has written something."""


@dataclass(frozen=True)
class Logs:
    """The logs of one study, which lie beside its checkpoints."""

    place: str
    """A folder or a URL."""

    @classmethod
    def of(cls, reader: Reader, snapshot: Snapshot, checkpoints: str | None) -> Logs:
        """Those of that study; `checkpoints` names the place of checkpoints, None: the usual one.

        Raises ConflictError where hpsearch trains its networks, of which there are none.
        """
        from hpsearch.checkpoints.places import checkpoint_place

        study = snapshot.study
        if snapshot.spec.train is None:
            raise ConflictError(
                f"study {study.name!r} trains networks of hpsearch, which write no log; what "
                f"became of each trial: hpsearch trials {study.name}"
            )
        return cls(checkpoint_place(reader.database, study, checkpoints))

    @property
    def is_near(self) -> bool:
        """Whether they are files of this machine; at a URL they arrive every ten seconds, and with
        the end of a trial."""
        return urls.folder(self.place) is not None

    def text(self, trial: Trial) -> str:
        """What a trial has written so far: its first MB and its last nine; "" for nothing."""
        if (folder := urls.folder(self.place)) is not None:
            from hpsearch.children.log import text_of

            return text_of(Path(folder), trial.ticket) or ""
        from hpsearch.checkpoints.checkpoint import Checkpoints

        return Checkpoints(self.place).log(trial.ticket).decode(errors="replace")


def trial_of(snapshot: Snapshot, number: int | None, logs: Logs) -> Trial:
    """The trial of that number; None: the last that failed, or else the last that has written
    something, as one that has just begun has not.

    Raises NotFoundError where there is none.
    """
    failed = [trial for trial in snapshot.trials if trial.state == "FAIL"]
    candidates = (failed or list(snapshot.trials)) if number is None else snapshot.trials
    for trial in reversed(candidates):
        if number == trial.number:
            return trial
    if number is None and candidates:
        last = candidates[: -_LOOKED_AT - 1 : -1]
        return next((trial for trial in last if failed or logs.text(trial)), last[0])
    which = "trial" if number is None else f"trial {number}"
    raise NotFoundError(f"study {snapshot.study.name!r} has no {which} yet")

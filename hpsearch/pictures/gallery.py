"""The pictures that are kept beside a study's checkpoints: their names, and where they lie.

PLACE/study-importance.png
PLACE/trial-8-confusion.png

A picture is written as a whole or not at all, so what is there can be shown. Nothing here draws.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.pictures.catalog import PICTURES, named

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["Gallery", "Kept", "uid_of"]

_NAME = re.compile(r"(?:study|trial-(\d+))-([a-z]+)\.png", re.ASCII)
_ID = re.compile(r"([0-9a-f]{32})-[0-9a-f]+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Kept:
    """A picture beside the checkpoints of a study."""

    picture: str
    """Its name in the catalog, such as `confusion`."""
    trial: int | None
    """Optuna's number of its trial; None: it is of the study as a whole."""

    @property
    def name(self) -> str:
        """The name of its file."""
        whose = "study" if self.trial is None else f"trial-{self.trial}"
        return f"{whose}-{self.picture}.png"

    @property
    def title(self) -> str:
        """What it is, for people: `Confusion matrix, trial 8`."""
        title = named(self.picture).title
        return title if self.trial is None else f"{title}, trial {self.trial}"

    @property
    def media_type(self) -> str:
        """As HTTP names it."""
        return "image/png"

    def artifact_id(self, uid: str) -> str:
        """How Optuna knows it as an artifact, where the study has this uid: hexadecimal digits and
        dashes, as the dashboard's addresses take no others."""
        number = 0 if self.trial is None else self.trial + 1
        return f"{uid}-{number:x}-{zlib.crc32(self.picture.encode()):08x}"


def uid_of(artifact_id: str) -> str | None:
    """The uid of the study to which an artifact belongs; None for one that is none of ours."""
    match = _ID.fullmatch(artifact_id)
    return match and match[1]


class Gallery:
    """The pictures of one study. Every method raises CheckpointError where the place is
    unavailable."""

    def __init__(self, place: str, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """`place` is that of the study's checkpoints; `is_wanted` is asked where its folder had to
        be made: whether the study is there still."""
        self._checkpoints = Checkpoints(place, is_wanted)
        self.place = self._checkpoints.place
        """What a user may see of it."""

    @classmethod
    def of(cls, ledger: Ledger, study: Study, option: str | None = None) -> Gallery:
        """That of a study; `option` is where checkpoints lie, if an option or the environment says
        so."""
        place = checkpoint_place(ledger.database, study, option)
        return cls(place, lambda: ledger.is_there(study))

    def kept(self) -> tuple[Kept, ...]:
        """The pictures that are there: the study's own first, then by trial, in the order of the
        catalog."""
        order = {picture.name: place for place, picture in enumerate(PICTURES)}
        pictures = []
        for match in map(_NAME.fullmatch, self._checkpoints.pictures()):
            if match and match[2] in order:
                pictures.append(Kept(match[2], None if match[1] is None else int(match[1])))
        pictures.sort(key=lambda one: (-1 if one.trial is None else one.trial, order[one.picture]))
        return tuple(pictures)

    def content(self, picture: Kept) -> bytes:
        """A picture's PNG."""
        return self._checkpoints.picture(picture.name)

    def put(self, picture: Kept, content: bytes) -> None:
        """Keep a picture, in the place of an earlier one."""
        self._checkpoints.save_picture(picture.name, content)

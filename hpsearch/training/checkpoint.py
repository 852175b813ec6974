"""Checkpoints on disk: never half there, and safe to read.

FOLDER/17.2.pt              the last checkpoint of number 17, written under fence 2
FOLDER/17.2.k3x9.part       one being written, or left by a process that was killed

The fence grows with every holder of a number. One who comes back late writes under its old fence,
and so never over the checkpoint of its successor.
"""

from __future__ import annotations

import contextlib
import io
import re
import uuid
import zipfile
from typing import TYPE_CHECKING, Any

from hpsearch.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Checkpoints"]

_VERSION = 1
_NAME = re.compile(r"(\d+)\.(\d+)(?:\.\w+\.part|\.pt)")


class Checkpoints:
    """The checkpoints below one folder, a number each. No other code knows their paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, number: int) -> Path | None:
        """Where the last checkpoint of that number lies, if there is one."""
        written = [p for p in self._files(lambda n: n == number) if p.suffix == ".pt"]
        return max(written, key=lambda p: int(p.name.split(".")[1]), default=None)

    def save(self, number: int, state: Mapping[str, Any], fence: int = 1) -> None:
        """Put `state` (plain types and tensors) in the place of the last one, all or nothing.

        Raises CheckpointError, the last one intact, where the disk is full or cannot be written.
        """
        import torch

        # Made in memory first: torch.save hides a full disk behind an error of its own.
        buffer = io.BytesIO()
        torch.save({"version": _VERSION, "state": dict(state)}, buffer)
        path = self._folder / f"{number}.{fence}.pt"
        part = path.with_suffix(f".{uuid.uuid4().hex}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("xb") as file:
                file.write(buffer.getbuffer())
            # Not synced: that would take longer than an epoch of a small network. A killed
            # process loses nothing by it, and `load` finds out what a power cut has damaged.
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            raise CheckpointError(
                f"cannot write the checkpoint {path}: {error.strerror or error}; "
                f"the one before is unharmed. Free some space there or choose another folder"
            ) from error

    def load(self, number: int) -> dict[str, Any] | None:
        """The last state saved, its tensors on the CPU; None where there is none.

        Raises CheckpointError for a file that is damaged or of another version. Nothing in the
        file is executed.
        """
        import torch  # here, so that whoever only asks for a path need not wait for it

        path = self.path(number)
        if path is None:
            return None
        try:
            with zipfile.ZipFile(path) as archive:  # torch itself does not look for damage
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # of a damaged file the unpickler makes errors of any kind
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise CheckpointError(
                f"cannot read the checkpoint {path}: {reason}. Remove it to start over"
            ) from error
        version = content.get("version") if isinstance(content, dict) else None
        if version != _VERSION:
            raise CheckpointError(
                f"the checkpoint {path} is of version {version}, this program reads version "
                f"{_VERSION}; remove it to start over"
            )
        state: dict[str, Any] = content["state"]
        return state

    def numbers(self) -> set[int]:
        """The numbers of which there is anything."""
        return {int(path.name.split(".")[0]) for path in self._files(lambda _: True)}

    def remove(self, number: int) -> None:
        """Remove that checkpoint and what was left while writing it; nothing there is fine."""
        for path in self._files(lambda found: found == number):
            path.unlink(missing_ok=True)  # another worker may tidy up at the same time

    def _files(self, chosen: Callable[[int], bool]) -> list[Path]:
        try:
            named = [(path, _NAME.fullmatch(path.name)) for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        return [path for path, match in named if match and chosen(int(match[1]))]

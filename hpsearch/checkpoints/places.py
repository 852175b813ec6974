"""Where a study's files lie, and which files are a study's own."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from hpsearch import files, urls
from hpsearch.errors import CheckpointError, DamagedError, HpsearchError, StudyFileError
from hpsearch.spec import name_in
from hpsearch.spec.registry import PluginError
from hpsearch.spec.source import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from hpsearch.store.engine import Database
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = [
    "checkpoint_place", "checkpoint_root", "default_root", "delete_study", "owner",
    "stays_here",
]  # fmt: skip

_UID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PLACE = re.compile(_NAME.pattern + r"-[0-9a-f]{8}")
"""A study's folder of checkpoints."""
_CHECKPOINT = re.compile(r"\d+\.\d+\.pt", re.ASCII)


def checkpoint_place(database: Database, study: Study, option: str | None = None) -> str:
    """Where a study's checkpoints lie, the same for every worker that can reach it: a folder or
    a URL.

    The option, else `checkpoints` of the study file, else `default_root`. A relative folder
    starts at the study file's.

    Raises DamagedError where the study's row does not name a folder of its own: anyone who can
    write to the database could otherwise have any folder written to or cleared; StudyFileError
    where the place starts at a home folder that is not on this machine.
    """
    if not _UID.fullmatch(study.uid) or not _NAME.fullmatch(study.name):
        raise DamagedError(
            f"the row of study {study.name!r} in {database.name} is damaged: no folder can be "
            f"named after it and its uid {study.uid!r}"
        )
    own = f"{study.name}-{study.uid[:8]}"
    configured = option or study.document.get("checkpoints")
    if configured is not None and (not isinstance(configured, str) or "\0" in configured):
        raise DamagedError(
            f"the row of study {study.name!r} in {database.name} is damaged: where its checkpoints "
            "lie is not known; name their place with --checkpoints"
        )
    try:
        root = checkpoint_root(database, configured, urls.local(study.base))
    except StudyFileError as error:
        raise StudyFileError(f"the checkpoints of study {study.name!r}: {error}") from None
    return str(root / own) if root else urls.below(str(configured), own)


def checkpoint_root(database: Database, configured: str | None, base: Path) -> Path | None:
    """The folder of the studies' checkpoints; None where they lie at a URL.

    Args:
        database: The one that the workers share.
        configured: The place that an option or the study file names.
        base: The study file's folder, where a relative one starts.

    Raises StudyFileError where it starts at a home folder that is not on this machine.
    """
    if not configured:
        return default_root(database)
    folder = urls.folder(configured)
    return None if folder is None else base / urls.local(folder)


def default_root(database: Database) -> Path:
    """Where checkpoints lie that nobody named a place for: beside SQLite's file, else in the
    user's data folder."""
    if database.file:
        return database.file.with_suffix(".checkpoints")
    return user_data_path("hpsearch") / "checkpoints"


def delete_study(ledger: Ledger, study: Study, checkpoints: str | None = None) -> bool:
    """Delete a study with its trials and its checkpoints, for good; whether their place is gone
    too, or has other things in it.

    Raises CheckpointError where its checkpoints cannot be deleted; for want of a package before
    anything is.
    """
    from hpsearch.checkpoints.checkpoint import Checkpoints

    try:
        place = checkpoint_place(ledger.database, study, checkpoints)
    except HpsearchError as error:  # a damaged row is deleted, and nothing that it may lead to
        ledger.delete(study.name)
        raise CheckpointError(
            f"study {study.name} is deleted, but its checkpoints stay: {error}"
        ) from error
    networks = Checkpoints(place)
    ledger.delete(study.name)
    try:
        return networks.clear()
    except CheckpointError as error:
        raise CheckpointError(f"study {study.name} is deleted, but: {error}") from error


def stays_here(database: Database, option: str | None, *configured: str | None) -> bool:
    """Whether checkpoints lie where no other machine finds them, though it may find the database.

    Args:
        database: The one that the workers share.
        option: The place that an option or the environment names.
        configured: The `checkpoints` of each study; none: studies that nobody knows yet.
    """
    named = option or (configured and all(configured))
    return not named and database.file is None


def owner(
    database: Database, studies: Sequence[Study], option: str | None = None
) -> Callable[[Path], str | None]:
    """Says what a path is where a study would be damaged by writing there; None: nothing of it.

    That are the database, the data, the code and the files of its studies and their checkpoints, by
    whatever name or link they are reached, and whatever is named as a checkpoint is: a worker may
    have been started with a place that nobody knows here.

    Args:
        database: The one that the workers share.
        studies: All of its studies.
        option: Where checkpoints lie, if an option or the environment says so.
    """
    own, code = list(_own(database, studies, option)), list(_code_of(studies))

    def find(path: Path) -> str | None:
        real = Path(os.path.realpath(path))
        for other, what in own:
            if _is_same(real, other) or real.is_relative_to(os.path.realpath(other)):
                return what
            if real.is_dir() and Path(os.path.realpath(other)).is_relative_to(real):
                return f"the folder of {what}"
        if _CHECKPOINT.fullmatch(real.name) and _PLACE.fullmatch(real.parent.name):
            return "a checkpoint"
        for folder, words, study in code:
            if real.is_file() and real.is_relative_to(folder) and (
                real.suffix == ".py" or str(real.relative_to(folder)) in words
            ):  # fmt: skip
                return f"the code of study {study!r}"
        return _file_of(real, studies)

    return find


def _own(
    database: Database, studies: Sequence[Study], option: str | None
) -> Iterator[tuple[Path, str]]:
    if database.file:
        for suffix in ("", "-wal", "-shm", "-journal"):
            yield Path(f"{database.file}{suffix}"), "the database"
    for study in studies:
        with contextlib.suppress(HpsearchError):
            for path in _data_of(study):
                yield path, f"the data of study {study.name!r}"
        for named in {option, None}:  # workers may have been started without it
            with contextlib.suppress(HpsearchError):  # of a damaged row, or of another machine's
                place = checkpoint_place(database, study, named)
                if (folder := urls.folder(place)) is not None:
                    yield Path(folder), f"a place of checkpoints of study {study.name!r}"


def _code_of(studies: Sequence[Study]) -> Iterator[tuple[Path, Collection[str], str]]:
    """Folders with code of a study's own, in which each Python file may be imported; with the words
    of the study's command, which may name any other file, and the study's name."""
    for study in studies:
        train = study.document.get("train")
        if study.code is None and not isinstance(train, dict):
            continue
        command = train.get("command") if isinstance(train, dict) else None
        words = [os.path.normpath(word) for word in command if isinstance(word, str)] if isinstance(
            command, list) else []  # fmt: skip
        with contextlib.suppress(HpsearchError, ValueError):  # of a damaged row
            yield Path(os.path.realpath(urls.local(study.base))), words, study.name


def _data_of(study: Study) -> Iterator[Path]:
    data, base = study.document.get("data"), urls.local(study.base)
    if not isinstance(data, dict):  # its row is damaged
        return
    try:
        source = SOURCES.find(str(data.get("source")))
    except PluginError:  # which is not here, then
        source = None
    for path in (data.get(key) for key in (source.files if source else ())):
        if isinstance(path, str):
            yield urls.local(str(base / path))
    root = data.get("root")
    if isinstance(root, str) and source is not None and source.folder:
        yield base / urls.local(root) / source.folder


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return path == Path(os.path.realpath(other))


_MOST_BYTES = 1_000_000
"""Of a study file; see `spec.load`."""


def _file_of(path: Path, studies: Sequence[Study]) -> str | None:
    """Whose study file a path is: of a study that the database has, and that began in its folder.

    One without a name may be that of any of them.
    """
    try:
        text = files.content(path, at_most=_MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    name = name_in(text)
    if name is None:
        return None
    for study in studies:
        if name in ("", study.name):
            with contextlib.suppress(HpsearchError, ValueError):  # of a damaged row
                if _is_same(path.parent, urls.local(study.base)):
                    whose = f"study {name!r} until `hpsearch delete {name}`" if name else "a study"
                    return f"the file of {whose}"
    return None

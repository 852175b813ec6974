"""Files that somebody names: read only where they are files of a bounded size, and written only
where nothing is lost by it.

A pipe or a device in the place of a file would be waited for or read without an end.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import stat
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from hpsearch.errors import ConflictError, DataError, HpsearchError, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "MOST_BYTES", "content", "free", "make_folder", "near", "open_regular", "put", "refusals_told",
    "refuse", "shortest", "taken", "written",
]  # fmt: skip

MOST_BYTES = 1 << 34
"""The largest file that is read: 16 GiB."""

_NAMES = 1000
"""Names in a folder that are compared with one that is not there."""
_LONGEST_NAME = 200
"""Characters of a file's name that a message shows."""

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}
_STREAMS = "/dev/fd/", "/dev/stdin", "/proc/self/fd/"
"""How what a shell has opened for this process is called."""


def shortest(path: str) -> str:
    """A path as it is, or from the current folder."""
    return min(path, os.path.relpath(path), key=len)


def near(path: Path) -> str:
    """What a message about a file or folder that is not there ends with: a name beside it that was
    probably meant, if there is one; else where it was looked for."""
    if not _is_missing(path):
        return ""
    folder = path.absolute().parent
    try:
        names = sorted(os.listdir(folder))[:_NAMES]  # noqa: PTH208  names are all that counts
    except OSError:
        return f"; there is no folder {folder}"
    matches = difflib.get_close_matches(path.name[:_LONGEST_NAME], names, 1, cutoff=0.8)
    return f"; did you mean {path.parent / matches[0]}?" if matches else f"; it is not in {folder}"


def _is_missing(path: Path) -> bool:
    """Whether nothing is there; not where the system refuses to look."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def open_regular(path: Path, *, follow: bool = True, at_most: int = MOST_BYTES) -> BinaryIO:
    """The bytes of a file, to be read; OSError for what is none, or is larger.

    Args:
        path: The file.
        follow: Whether it may be a link to one.
        at_most: Its largest size.
    """
    # Looked at first, since to open a device may do something to it; and again once it is open, as
    # it may have been replaced in between. Without O_NONBLOCK a pipe is waited for.
    _check(path.stat(follow_symlinks=follow), path, at_most)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    flags |= 0 if follow else getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    try:
        _check(os.fstat(descriptor), path, at_most)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(status: os.stat_result, path: Path, at_most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {kind} and not a file", str(path))
    if status.st_size > at_most:
        reason = f"it has {status.st_size:,} bytes, and at most {at_most:,} are read"
        raise OSError(errno.EFBIG, reason, str(path))


def content(path: Path, *, at_most: int = MOST_BYTES, stream: bool = False) -> bytes:
    """All bytes of a file; OSError as `open_regular`.

    With `stream` also of a pipe that the shell has opened for this process, such as /dev/stdin:
    anyone who typed that has an end for it in mind.
    """
    piped = stream and str(path).startswith(_STREAMS) and stat.S_ISFIFO(path.stat().st_mode)
    with path.open("rb") if piped else open_regular(path, at_most=at_most) as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise OSError(errno.EFBIG, f"it has more than {at_most:,} bytes", str(path))
    return data


@contextlib.contextmanager
def written(
    path: Path | None, owner: Callable[[Path], str | None], *, force: bool = False
) -> Iterator[TextIO]:
    """A stream for the text of a new file, which is there as a whole or not at all.

    Args:
        path: The file, whose folder is made where it is missing; None or `-`: standard output. A
            pipe, a terminal or a device such as /dev/null is written to as it is.
        owner: Whose a file is that is never written over, not even with `force`.
        force: Write over a file that is there.

    Raises ConflictError where something is lost by it, HpsearchError where it cannot be written.
    """
    if path is None or str(path) == "-":
        yield sys.stdout
        return
    try:
        if (stream := _stream(path)) is not None:
            with stream:
                yield stream
        else:
            with _beside(path, owner, force=force) as new:
                yield new
    except OSError as error:
        raise HpsearchError(f"{path} cannot be written: {line(error)}") from None


def put(
    path: Path, content: bytes, owner: Callable[[Path], str | None], *, force: bool = False
) -> None:
    """Write a new file, all of it or nothing; the arguments and errors are those of `written`."""
    try:
        with _beside(path, owner, force=force, mode="xb") as new:
            new.write(content)
    except OSError as error:
        raise HpsearchError(f"{path} cannot be written: {line(error)}") from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises HpsearchError where that cannot be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        in_place = isinstance(error, (FileExistsError, NotADirectoryError))
        why = "a file is in its place or above it" if in_place else line(error)
        raise HpsearchError(f"the folder {folder} cannot be made: {why}") from None


def _stream(path: Path) -> TextIO | None:
    """What lies behind the path where that is no file: written to as it is."""
    if str(path) == "/dev/stdout":  # which may be a file: its place in it continues
        return os.fdopen(os.dup(1), "w", encoding="utf-8", newline="")
    if str(path) == "/dev/stderr":
        return os.fdopen(os.dup(2), "w", encoding="utf-8", newline="")
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return path.open("w", encoding="utf-8", newline="")
    return None


@contextlib.contextmanager
def _beside(
    path: Path, owner: Callable[[Path], str | None], *, force: bool, mode: str = "x"
) -> Iterator[Any]:
    """Write beside, then rename: anyone who is killed meanwhile leaves no half file of that
    name."""
    final = Path(os.path.realpath(path))
    refuse(path, owner, force=force)
    make_folder(final.parent)
    beside = final.with_name(f".{final.name[:100]}.{uuid.uuid4().hex}.part")
    try:
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with beside.open(mode, **text) as stream:  # type: ignore[call-overload]
            yield stream
        if force:
            with contextlib.suppress(FileNotFoundError):
                beside.chmod(stat.S_IMODE(final.stat().st_mode))
            refuse(path, owner, force=force)
            beside.replace(final)
        else:
            _put(beside, final)
    except FileExistsError:
        refuse(path, owner, force=False)
        raise
    finally:
        beside.unlink(missing_ok=True)


def _put(beside: Path, final: Path) -> None:
    """Give the file its name unless that is taken: a rename would replace what has it."""
    try:
        os.link(beside, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with final.open("x"):
            pass
        beside.replace(final)


def refuse(path: Path, owner: Callable[[Path], str | None], *, force: bool) -> None:
    """Raise ConflictError where something is there that is not to be replaced."""
    final = Path(os.path.realpath(path))
    if (whose := owner(final)) is not None:
        raise ConflictError(f"{path} is {whose}, and never written over; choose another name")
    if not os.path.lexists(path):
        return
    if not final.is_file() and os.path.lexists(final):
        raise ConflictError(f"{path} is no file that can be written over; choose another name")
    if not force:
        raise taken(path)


def taken(path: Path) -> ConflictError:
    """The error of a file that is there and is not to be written over."""
    return ConflictError(
        f"{path} is there already; choose another name, or write over it with --force"
    )


def free(stem: str, suffix: str = "", mark: str = "-") -> str:
    """The first of `wine-trials.csv`, `wine-trials-2.csv` ... of which nothing is there."""
    count, name = 1, f"{stem}{suffix}"
    while os.path.lexists(name):
        count += 1
        name = f"{stem}{mark}{count}{suffix}"
    return name


@contextlib.contextmanager
def refusals_told() -> Iterator[None]:
    """DataError, with the file's name, where the system refuses a file or folder that is looked at,
    as one without permission or with too long a name."""
    try:
        yield
    except OSError as error:
        name = str(error.filename or "the data")
        shown = name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
        raise DataError(f"cannot read {shown}: {line(error)}") from error

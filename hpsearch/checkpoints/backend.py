"""Named bytes in one place: a folder, or anything that fsspec reaches. Writes are all or nothing.

What goes wrong is an OSError whose `strerror`, or else its text, is one line without passwords.
fsspec and what it needs for a protocol are loaded only for a place that is a URL.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import queue
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from hpsearch import files, passwords, urls
from hpsearch.errors import line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIMIT_S", "PART", "Folder", "Remote", "Shelf", "shelf"]

LIMIT_S = 30.0
"""Most seconds that a place elsewhere may take to answer ..."""
_BYTES_PER_S = 1e6
"""... and beyond that the slowest that bytes may come and go."""

PART = ".part"
"""How the name of what is being written ends."""

# A PUT of these is there as a whole or not at all, and their "folders" need not be made: s3fs
# would make a missing bucket where it is asked for a folder.
_OBJECT_STORES = frozenset(
    ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "tos", "memory")
)


class Shelf(Protocol):
    """A place with named bytes in it."""

    place: str
    """What a user may see of it."""
    advice: str
    """What a user can do where it cannot be used."""

    def names(self) -> list[str]:
        """What is there; nothing where the place itself is not there yet."""

    def path(self, name: str) -> str:
        """What a user can open or name."""

    def open(self, name: str) -> BinaryIO:
        """The bytes of that name, to be read; they can be sought in."""

    def make(self) -> None:
        """Make the place itself, where that has to be done at all."""

    def write(self, name: str, data: bytes) -> None:
        """Put `data` in the place of what has that name, all or nothing.

        FileNotFoundError where the place itself is not there.
        """

    def remove(self, name: str) -> None:
        """Remove that name; nothing there is fine."""

    def check(self) -> None:
        """OSError where the place is a link: what that leads to is not ours to clear."""

    def discard(self) -> bool:
        """Remove the place itself if nothing is in it; whether it is gone."""


def shelf(place: str) -> Shelf:
    """The shelf at a folder's path or a URL.

    Raises OSError for a protocol that fsspec does not know, or whose package is not installed.
    """
    folder = urls.folder(place)
    return Remote(place) if folder is None else Folder(Path(folder))


class Folder:
    """A folder of this machine, or one that is mounted here."""

    advice = "check that this user may read and write there and that it has free space"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def names(self) -> list[str]:
        """What is in the folder."""
        try:
            return [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []

    def path(self, name: str) -> str:
        """Path of the file."""
        return str(self._folder / name)

    def open(self, name: str) -> BinaryIO:
        """The file itself; OSError for a link, a pipe or a device in its place."""
        return files.open_regular(self._folder / name, follow=False)

    def make(self) -> None:
        """Make the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Write beside, then rename."""
        path = self._folder / name
        part = path.with_suffix(f".{uuid.uuid4().hex}{PART}")
        try:
            with part.open("xb") as file:
                file.write(data)
            # Not synced: that would take longer than an epoch of a small network. A killed
            # process loses nothing by it, and `load` finds out what a power cut has damaged.
            part.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise

    def remove(self, name: str) -> None:
        """Remove the file."""
        (self._folder / name).unlink(missing_ok=True)  # another worker may tidy up too

    def check(self) -> None:
        """OSError for a link."""
        if self._folder.is_symlink():
            raise OSError("it is a link to another folder")

    def discard(self) -> bool:
        """Remove the folder where it is empty."""
        try:
            self._folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        return True


class Remote:
    """A place that fsspec reaches by its URL; every call ends in bounded time."""

    advice = (
        "check that the place exists and can be reached from here, and that the credentials are "
        "set and may write there"
    )

    def __init__(self, url: str) -> None:
        passwords.learn(url)
        self.place = passwords.hide(url, known=False)
        self._protocol = urls.scheme(url) or ""
        try:
            from fsspec.core import url_to_fs

            self._fs, root = _within(LIMIT_S, url_to_fs, url)
        except ImportError as error:
            raise OSError(_missing(error)) from None
        except Exception as error:  # of a URL that it cannot use each backend says so in its way
            raise OSError(_line(error)) from None
        self._root: str = root.rstrip("/")

    def names(self) -> list[str]:
        """What is there, as the server says now."""
        try:
            paths: list[str] = self._do("ls", self._root, detail=False)
        except FileNotFoundError:
            return []
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]

    def path(self, name: str) -> str:
        """URL of the object, without a password."""
        return urls.below(self.place, name)

    def open(self, name: str) -> BinaryIO:
        """All of the object, in memory."""
        size = self._do("size", self._at(name))
        if size is not None and size > files.MOST_BYTES:
            raise OSError(f"it has {size:,} bytes, and at most {files.MOST_BYTES:,} are read")
        return io.BytesIO(self._do("cat_file", self._at(name), bytes_=size or 0))

    def make(self) -> None:
        """Make the folder, unless it is one of an object store's."""
        if self._protocol not in _OBJECT_STORES:
            self._do("makedirs", self._root, exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """One PUT to an object store; elsewhere written beside and renamed."""
        if self._protocol in _OBJECT_STORES:
            self._do("pipe_file", self._at(name), data, bytes_=len(data))
            return
        part = self._at(f"{name.rpartition('.')[0]}.{uuid.uuid4().hex}{PART}")
        if not self._do("exists", self._root):  # some backends would make it
            raise FileNotFoundError(errno.ENOENT, "the folder is not there")
        try:
            self._do("pipe_file", part, data, bytes_=len(data))
            self._do("mv", part, self._at(name), bytes_=len(data))
        except OSError:
            with contextlib.suppress(OSError):
                self._do("rm_file", part)
            raise

    def remove(self, name: str) -> None:
        """Remove the object."""
        with contextlib.suppress(FileNotFoundError):
            self._do("rm_file", self._at(name))

    def check(self) -> None:
        """A URL is none."""

    def discard(self) -> bool:
        """Remove the folder where it is empty; those of an object store go with what is in them."""
        if self.names():
            return False
        if self._protocol not in _OBJECT_STORES:
            with contextlib.suppress(FileNotFoundError):
                self._do("rmdir", self._root)
        return True

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _do(self, method: str, *args: Any, bytes_: int = 0, **kwargs: Any) -> Any:
        """Call a method of the file system, in bounded time; OSError whatever goes wrong."""
        # Other workers write there too: a listing from memory would hide it. The call is the one
        # that every backend has; an option to their constructors some refuse.
        self._fs.invalidate_cache()
        call = getattr(self._fs, f"_{method}", None) if self._fs.async_impl else None
        run = _awaited_within
        if call is None or not inspect.iscoroutinefunction(call):
            run, call = _within, getattr(self._fs, method)
        try:
            return run(LIMIT_S + bytes_ / _BYTES_PER_S, call, *args, **kwargs)
        except FileNotFoundError as error:
            raise FileNotFoundError(_line(error)) from None
        except Exception as error:  # the backends' errors have no base of their own
            raise OSError(_line(error)) from None


def _within(limit_s: float, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a call, which is left to itself when the time is over.

    It has a thread of its own: those of an executor would run out, and Python waits for them when
    it ends.
    """
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(*args, **kwargs), None))
        except BaseException as error:  # raised where the call is waited for, whatever it is
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = answers.get(timeout=limit_s)
    except queue.Empty:
        raise _no_answer(limit_s) from None
    if error is not None:
        raise error
    return result


def _awaited_within(limit_s: float, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a coroutine on fsspec's own loop, which cancels it when the time is over."""
    from fsspec.asyn import get_loop, sync
    from fsspec.exceptions import FSTimeoutError

    try:
        return sync(get_loop(), call, *args, timeout=limit_s, **kwargs)
    except FSTimeoutError:
        raise _no_answer(limit_s) from None


def _no_answer(limit_s: float) -> OSError:
    return OSError(f"no answer within {limit_s:.0f} s")


def _missing(error: ImportError) -> str:
    message = _line(error)  # fsspec names the package, which is not always that of the module
    module = getattr(error.__cause__ or error.__context__, "name", None) or ""
    return f"{message} (pip install {module})" if module and module in message else message


def _line(error: BaseException) -> str:
    return passwords.hide(line(error))

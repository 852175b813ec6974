"""Places that are a folder or a URL."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hpsearch.errors import StudyFileError

__all__ = ["below", "folder", "local", "scheme"]

# Two letters at least: `c:` is a drive. A chain such as `simplecache::s3` is one scheme here.
_SCHEME = re.compile(r"([^/\\]{2,})://")
_LOCAL = ("file", "local")


def scheme(place: str) -> str | None:
    """`s3` of `s3://bucket/prefix`; None where `place` is the path of a folder."""
    match = _SCHEME.match(place)
    return match[1] if match else None


def folder(place: str) -> str | None:
    """`place` as a path of this machine, without `file://`; None where it is elsewhere."""
    protocol = scheme(place)
    if protocol is None:
        return place
    return place.removeprefix(f"{protocol}://") if protocol in _LOCAL else None


def local(path: str) -> Path:
    """A path of this machine, with a leading `~` or `~USER` as the home folder that it stands for.

    Raises StudyFileError where there is no such folder here, or no path can be so.
    """
    try:
        if "\0" in path:
            raise ValueError
        os.fsencode(path)
        return Path(path).expanduser()
    except RuntimeError:
        raise StudyFileError(
            f"{path!r} leads nowhere on this machine, which knows no home folder "
            f"{path.partition('/')[0]}; write the folder's path in full"
        ) from None
    except ValueError:
        raise StudyFileError(
            f"{path!r} has characters in it that no path can have; name another folder"
        ) from None


def below(place: str, name: str) -> str:
    """The place of that name in the one at a URL."""
    has_host = place.rstrip("/") != f"{scheme(place)}:"
    return f"{place.rstrip('/') if has_host else place}/{name}"

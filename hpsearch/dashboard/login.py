"""The one login of a dashboard: a user, and a password that lies in a file."""

from __future__ import annotations

import logging
import stat
from dataclasses import dataclass, field
from pathlib import Path

from hpsearch.errors import StudyFileError

__all__ = ["Login", "read_login"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Login:
    """Who may use a dashboard."""

    user: str
    password: str = field(repr=False)


def read_login(user: str | None, password_file: Path | None) -> Login | None:
    """The login of these options; None where neither is given.

    A newline at the end of the file is not part of the password. Raises StudyFileError where one
    of the two is missing, the user has a colon, or the file is empty or cannot be read. A file
    that every user of the machine may read is a warning.
    """
    if not user and password_file is None:
        return None
    if not user or password_file is None:
        missing = "--password-file or HPSEARCH_DASHBOARD_PASSWORD_FILE"
        if not user:
            missing = "--user or HPSEARCH_DASHBOARD_USER"
        raise StudyFileError(f"a login is a user and a password; {missing} is missing")
    if ":" in user:
        raise StudyFileError("the user of a login has no colon: HTTP puts one behind it")
    return Login(user, _password(password_file))


def _password(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        readable_by_all = path.stat().st_mode & stat.S_IROTH
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, a NUL in the path
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise StudyFileError(f"the password file {path} cannot be read: {reason}") from None
    # Reading turned a carriage return before it into nothing, too.
    password = text.removesuffix("\n")
    if not password:
        raise StudyFileError(f"the password file {path} is empty; write a password into it")
    if readable_by_all:
        _log.warning(
            "every user may read the password file %s; "
            "make it readable by the dashboard's user only",
            path,
        )
    return password

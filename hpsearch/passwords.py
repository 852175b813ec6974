"""Passwords that this process has seen, and how they are kept out of whatever it writes.

Two rules hide a password. In its place, before the host of a URL or as the value of a key such as
`password`, it is hidden always, whether it is known or not. Wherever else it stands it is hidden
once a URL that carries it has been learnt: as it was typed, decoded, and encoded again; one of
less than eight characters only where it is a word by itself. Left alone outside its place is what
would garble every message and tell nothing: less than four characters, and what another part of
the URL, the name of the program or the word `password` shows anyway.

`install` puts that, and `terminal.visible`, before tracebacks, log records and warnings. Data for
programs is hidden by the first rule alone (`hide_in`): a password may be a word that such data is
made of.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from hpsearch.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

__all__ = ["excepthook", "hide", "hide_in", "install", "learn"]

_SHOWN = "***"
_SHORTEST, _ANYWHERE = 4, 8
"""Characters from which on a password is hidden outside its place; and within longer words."""

_PUBLIC = ("hpsearch", "password")

# The greedy middle takes in a password with an @ or a / that nobody has encoded.
_IN_URL = re.compile(r"""(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@?#'"]*):([^\s'"<>]*)@""")
# Of a text that is one URL and nothing else, all up to the last @ is password, spaces included;
# \A, as to begin at each character in turn takes minutes for some thousand of them.
_WHOLE_URL = re.compile(r"(?is)\A.*?([a-z][a-z0-9+.-]*://[^\s:/@?#]*):(.*)@")
_IN_QUERY = re.compile(
    r"""(?i)([?&\s;,]|^)([\w.-]*(?:password|passwd|passphrase|pwd|secret|token))"""
    r"""=("[^"]*"|'[^']*'|[^&\s'";,#]+)"""
)
_known: frozenset[str] = frozenset()


def learn(*texts: str | None) -> None:
    """Know the passwords of these URLs from now on; a text without one is no harm."""
    global _known
    _known |= {form for text in texts if text for form in _forms(text)}


def hide(text: object, *, known: bool = True) -> str:
    """`text` with every password in it as ***; where not `known`, only what stands in its place."""
    shown = _IN_URL.sub(rf"\1:{_SHOWN}@", str(text))
    shown = _IN_QUERY.sub(rf"\1\2={_SHOWN}", shown)
    return _pattern(_known).sub(_SHOWN, shown) if known and _known else shown


def hide_in(data: Any) -> Any:
    """Data for programs with what stands in the place of a password as ***, in its texts alone.

    Keys stay, and so do known passwords elsewhere: anyone who reads the data counts on its words.
    """
    match data:
        case str():
            return hide(data, known=False)
        case Mapping():
            return {key: hide_in(value) for key, value in data.items()}
        case list() | tuple():
            return [hide_in(value) for value in data]
        case _:
            return data


def install() -> None:
    """Hide passwords in all tracebacks, log records and warnings of this process."""
    sys.excepthook = excepthook
    threading.excepthook = _in_thread
    sys.unraisablehook = _unraisable
    logging.setLogRecordFactory(_Record)
    if not getattr(warnings.formatwarning, "hides_passwords", False):
        warnings.formatwarning = _hiding(warnings.formatwarning)


def excepthook(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a traceback as Python does, without passwords."""
    sys.stderr.write(_traceback(kind, error, trace))


# --- what is learnt ---------------------------------------------------------------------------


def _forms(url: str) -> Iterator[str]:
    """Every way in which a password of `url` may be written."""
    public = _IN_QUERY.sub("", _WHOLE_URL.sub(r"\1@", url))
    for typed, decoded in _passwords(url):
        for plain in {typed, decoded}:
            if len(plain) < _SHORTEST or plain in public or plain in _PUBLIC:
                continue
            encoded = (
                quote(plain, safe=""),
                quote(plain, safe=" +"),
                quote(plain),
                quote_plus(plain),
            )
            yield from {plain, *encoded, repr(plain)[1:-1], json.dumps(plain)[1:-1]}


def _passwords(url: str) -> Iterator[tuple[str, str]]:
    """The passwords of a URL, as typed and decoded."""
    if match := _WHOLE_URL.match(url):
        # Anyone who reads the URL may take the first @ for its end: what follows is then a host.
        for part in _unfolded(match[2]):
            yield part, unquote(part)
    for match in _IN_QUERY.finditer(url):
        typed = match[3].strip("'\"")
        yield typed, unquote_plus(typed)


def _unfolded(typed: str) -> Iterable[str]:
    return {typed, *re.split(r"[@/]", typed)}


@lru_cache(maxsize=8)
def _pattern(forms: frozenset[str]) -> re.Pattern[str]:
    """Finds any of the forms, the longest first."""
    ordered = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(_worded, ordered)))


def _worded(form: str) -> str:
    pattern = re.escape(form)
    return pattern if len(form) >= _ANYWHERE else rf"(?<![^\W_]){pattern}(?![^\W_])"


# --- where Python writes ----------------------------------------------------------------------


class _Record(logging.LogRecord):
    """A log record without passwords and control characters, whichever handler writes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[0] is not None:
            # A formatter takes the text of a traceback from here where there is one.
            self.exc_text = _traceback(*self.exc_info).rstrip("\n")
        if self.stack_info:
            self.stack_info = visible(hide(self.stack_info))

    def getMessage(self) -> str:  # noqa: N802 - logging's own name
        """The message with its arguments, without passwords."""
        return visible(hide(super().getMessage()))


def _traceback(
    kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> str:
    return visible(hide("".join(traceback.format_exception(kind, error, trace))))


def _in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else "a thread"
        text = _traceback(args.exc_type, args.exc_value, args.exc_traceback)
        sys.stderr.write(visible(hide(f"Exception in {name}:\n")) + text)


def _unraisable(args: sys.UnraisableHookArgs) -> None:
    text = _traceback(args.exc_type, args.exc_value, args.exc_traceback)
    what = f"{args.err_msg or 'Exception ignored in'}: {args.object!r}\n"
    sys.stderr.write(visible(hide(what)) + text)


def _hiding(original: Any) -> Any:
    def formatwarning(*args: Any, **kwargs: Any) -> str:
        return visible(hide(original(*args, **kwargs)))

    formatwarning.hides_passwords = True  # type: ignore[attr-defined]
    return formatwarning

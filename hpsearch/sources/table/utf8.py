"""Text of any usual encoding as UTF-8."""

from __future__ import annotations

import codecs
import re

from hpsearch.errors import DataError

__all__ = ["as_utf8"]

_LOOKED_AT = 1 << 20
"""How far a zero byte is looked for: what is no text has one soon."""

_PART_BYTES = 1 << 20

_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""UTF-32 before UTF-16, whose mark it begins with."""


def as_utf8(name: str, data: bytes, *, complete: bool) -> tuple[bytes, tuple[str, ...]]:
    """A text in UTF-8 without a byte order mark, and a note where its encoding was guessed.

    Args:
        name: What to call the file in an error.
        data: Its bytes.
        complete: Whether these are all; else the last character may be cut off.

    Raises DataError for what is no text.
    """
    bom = next((bom for bom in _BOMS if data.startswith(bom)), b"")
    data = data[len(bom) :]
    encoding = _BOMS.get(bom) or _utf_16(data) or "utf-8"
    if encoding != "utf-8":
        return _recoded(name, data, encoding, complete=complete), ()
    if (zero := data.find(b"\0", 0, _LOOKED_AT)) >= 0:
        number = data.count(b"\n", 0, zero) + 1
        raise DataError(
            f"{name}, line {number}: a zero byte, which no text has; it is no table of a known "
            f"kind, or damaged: save it as CSV or Parquet"
        )
    wrong = _first_wrong(data, complete=complete)
    return (data, ()) if wrong is None else _windows(name, data, wrong)


def _utf_16(data: bytes) -> str | None:
    """The encoding of a text without a mark, every second byte of which is zero.

    Delimiters, digits and line ends are so in any language.
    """
    even, odd = (data[start:2000:2].count(0) * 2 / len(data[:2000]) for start in (0, 1))
    if odd > 0.3 and even < 0.02:
        return "utf-16-le"
    return "utf-16-be" if even > 0.3 and odd < 0.02 else None


def _recoded(name: str, data: bytes, encoding: str, *, complete: bool) -> bytes:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, final=complete).encode()
    except UnicodeError as error:
        raise DataError(f"{name} is damaged: it is no {encoding.upper()} throughout") from error


def _first_wrong(data: bytes, *, complete: bool) -> int | None:
    """Where the first byte is that is not UTF-8; by parts, to make no copy of it all."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _PART_BYTES):
        carried = len(decoder.getstate()[0])
        last = complete and start + _PART_BYTES >= len(data)
        try:
            decoder.decode(data[start : start + _PART_BYTES], final=last)
        except UnicodeDecodeError as error:
            return start - carried + error.start
    return None


def _windows(name: str, data: bytes, wrong: int) -> tuple[bytes, tuple[str, ...]]:
    """A text that is not UTF-8 as Windows-1252, which Latin-1 is a part of."""
    number = data.count(b"\n", 0, wrong) + 1
    where = f"{name}, line {number}"
    if not data[:wrong].isascii():
        raise DataError(f"{where}: not UTF-8, which the lines before are; save the file as UTF-8")
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {number}: neither UTF-8 nor Windows-1252; save the file as UTF-8"
        ) from error
    words = re.split(r"[^\w]", data[wrong - 20 if wrong > 20 else 0 : wrong].decode("cp1252"))
    rest = re.match(r"\w*", data[wrong : wrong + 20].decode("cp1252", "ignore"))
    word = words[-1] + (rest.group() if rest else "")
    return text.encode(), (
        f"the file is not UTF-8 and was read as Windows-1252: line {number} has `{word}`",
    )

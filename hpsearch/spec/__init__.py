"""Study file -> frozen `StudySpec`: every fault at once, with line numbers.

`load` reads a file; `StudySpec.document` is what the database keeps of it, and
`StudySpec.from_document` reads that back; `write` makes a file of one; `schema` is the format for
editors.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from hpsearch.errors import StudyFileError
from hpsearch.files import near, open_regular
from hpsearch.spec.checks import check
from hpsearch.spec.document import MOST_BYTES, read
from hpsearch.spec.faults import Fault, Faults, StudyFaultsError
from hpsearch.spec.models import BudgetSpec, PrunerSpec, SearchSpec, StudySections
from hpsearch.spec.overrides import overlay
from hpsearch.spec.schema import schema
from hpsearch.spec.source import DataSpec
from hpsearch.spec.study import StudySpec, differences
from hpsearch.spec.versions import of as version_of
from hpsearch.spec.writing import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "SCHEMA",
    "SCHEMA_LINE",
    "BudgetSpec",
    "DataSpec",
    "Fault",
    "PrunerSpec",
    "SearchSpec",
    "StudyFaultsError",
    "StudySpec",
    "checked",
    "differences",
    "load",
    "name_in",
    "schema",
    "version_of",
    "write",
]


SCHEMA = "study.schema.json"
"""The file beside a study file that tells an editor what it may say."""
SCHEMA_LINE = f"yaml-language-server: $schema={SCHEMA}"
"""The first line of a study file, after its comment sign, by which an editor finds that."""

_LIST = re.compile(r"(?:(?:[#%].*|---|[ \t]*+)\r?\n)*+\s*+(?:\[|-\s)")
"""The beginning of a text that is no mapping."""
_KEY = re.compile(r"""\b(\w++)["']?\s*+:""")


def load(path: Path, overrides: Sequence[str] = (), code: Path | None = None) -> StudySpec:
    """The study in the file at `path`, checked; StudyFaultsError lists every fault in it.

    Args:
        path: The file.
        overrides: Texts such as `budget.trials=20`. Each replaces one value of the file before
            anything is checked; what follows the equals sign is read as YAML.
        code: The folder of the study's own code, which is read and not run; None: the file's.
    """
    faults = Faults()
    content = read(_text(path), faults)
    for override in overrides:
        overlay(content, override, faults)
    return check(content, faults, str(path), code=path.parent if code is None else code)


def checked(content: object, source: str, code: Path) -> StudySpec:
    """The study of plain values, as a file has them; StudyFaultsError lists every fault.

    Args:
        content: What the file would say.
        source: What to call it.
        code: The folder of the study's own code.
    """
    return check(content, Faults(), source, code=code)


def name_in(text: str) -> str | None:
    """The name of the study that a file's text is of, empty where it leaves that to `--set`; None
    where it is no study file.

    One may be unfinished: it has parameters, or two of the other keys.
    """
    keys = StudySections.model_fields.keys()
    # To parse a large table, or a list of trials, would take seconds.
    if _LIST.match(text) or not _is_study(keys & set(_KEY.findall(text))):
        return None
    content = read(text, Faults())
    if not isinstance(content, dict) or not _is_study(keys & content.keys()):
        return None
    return str(content.get("name", ""))


def _is_study(keys: set[str]) -> bool:
    return "parameters" in keys or len(keys) > 1


def _text(path: Path) -> str:
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise _unreadable(path, f"a study file of at most {MOST_BYTES:,} bytes", "more")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _unreadable(path, "text in UTF-8", f"byte {data[error.start]:#04x}", line) from None
    except FileNotFoundError:
        raise StudyFileError(f"no such file: {path}{near(path)}") from None
    except IsADirectoryError:
        raise StudyFileError(
            f"{path} is a folder, not a study file; hpsearch init {shlex.quote(str(path))} writes "
            "one for data that is in it"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, "a study file that can be read", reason.lower()) from None


def _unreadable(path: Path, expected: str, got: str, line: int | None = None) -> StudyFaultsError:
    return StudyFaultsError(str(path), [Fault("", expected, got, line)])

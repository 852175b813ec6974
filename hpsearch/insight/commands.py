"""The commands that a study's name alone is not enough for: with the folder of its own code, and
leave to run a command, where it needs them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.code import manifest_of
from hpsearch.errors import HpsearchError
from hpsearch.files import shortest

if TYPE_CHECKING:
    from hpsearch.store.values import Study

__all__ = ["code_folder", "fleet", "save", "worker"]

_DIR = "DIR"
"""Stands for the folder of a study's own code where that is not known."""


def worker(study: Study, *, until_done: bool = False, code: str = _DIR) -> str:
    """What starts a worker that can train a study: `worker NAME --code DIR --allow-commands`.

    Args:
        study: The study.
        until_done: Whether the worker leaves when there is no more work.
        code: The folder of its own code.
    """
    words = ["worker", study.name, *(["--until-done"] if until_done else [])]
    return shlex.join([*words, *_options(study, code)])


def fleet(study: Study) -> str:
    """What starts workers on a machine that can train a study, with any others."""
    return shlex.join(["fleet", *_options(study, _DIR)])


def save(study: Study, folder: str, *, code: str = _DIR) -> str:
    """What writes the network of a study to a folder; what own training code has saved is written
    without that code."""
    own = ["--code", code] if study.code and "train" not in study.document else []
    return shlex.join(["best", study.name, "--save", folder, *own])


def _options(study: Study, code: str) -> list[str]:
    kinds = {need.partition(" ")[0] for need in study.needs}
    own = ["--code", code] if "code" in kinds else []
    return own + (["--allow-commands"] if "command" in kinds else [])


def code_folder(study: Study) -> str:
    """The folder of a study's own code as it is named here, where that of its study file is on this
    machine, with Python files; else `DIR`. How they differ from the study's a worker says."""
    if study.code is None:
        return _DIR
    try:
        code = manifest_of(Path(study.base))
    except (HpsearchError, OSError):
        return _DIR
    # A command may be of files of other languages.
    return shortest(study.base) if code.files or code.digest == study.code else _DIR

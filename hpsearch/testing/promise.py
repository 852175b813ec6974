"""What all checks of declarations share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hpsearch.processes.interpreter import snippet

if TYPE_CHECKING:
    from hpsearch.spec.family import Family
    from hpsearch.spec.settings import Setting
    from hpsearch.spec.source import Source
    from hpsearch.spec.task import Task

__all__ = ["check_docs", "check_imports", "promise"]

_TORCH = 3
"""How a fresh Python ends that has PyTorch after a declaration."""


def promise(kept: bool, message: str) -> None:
    """Raise AssertionError with that message unless the promise is kept."""
    if not kept:
        raise AssertionError(message)


def check_docs(doc: str, settings: Iterable[Setting]) -> None:
    """That a declaration and each of its settings are described in a sentence."""
    for what, text in (("it", doc), *((s.name, s.doc) for s in settings)):
        promise(text.strip().endswith("."), f"{what} needs a doc, a sentence that ends with a stop")


def check_imports(declared: Family | Source | Task, function: str) -> None:
    """That Python imports a declaration without PyTorch. Those of hpsearch itself are checked for
    that elsewhere, all at once.

    Args:
        declared: Looked for in the package of `function`.
        function: Dotted path of something that it names.
    """
    package = function.partition(":")[0].partition(".")[0]
    names = [
        name
        for name, module in list(sys.modules.items())
        if package != "hpsearch"
        and name.partition(".")[0] == package
        and any(own is declared for own in vars(module).values())
        and not any(map(_is_check, vars(module).values()))  # a test in the package has PyTorch
    ]
    for name in names:
        code = f"import sys, {name}; sys.exit({_TORCH} * ('torch' in sys.modules))"
        path = os.pathsep.join(filter(None, sys.path))
        done = subprocess.run(
            snippet(code), env={**os.environ, "PYTHONPATH": path}, check=False, capture_output=True
        )
        promise(
            done.returncode != _TORCH,
            f"{name}, which declares {declared.name}, imports torch: every command would wait for "
            f"it; import it in the module of {function}",
        )


def _is_check(value: object) -> bool:
    module = getattr(value, "__module__", None) or getattr(value, "__name__", "")
    return str(module).startswith("hpsearch.testing")

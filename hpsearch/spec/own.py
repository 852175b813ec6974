"""What a study file says of the study's own code, beside the module of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.code import SignatureError, is_reference
from hpsearch.code.signature import positional
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.source import SOURCES
from hpsearch.spec.space import Choices

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping

    from hpsearch.spec.faults import Faults
    from hpsearch.spec.parameters import Draft
    from hpsearch.spec.source import DataSpec

__all__ = ["check_own_data", "check_own_losses", "check_required"]


def check_own_losses(drafts: Mapping[str, Draft], code: pathlib.Path, faults: Faults) -> None:
    """Note losses of the study's own code that are none."""
    draft = drafts.get("loss")
    values = draft.domain.values if draft and isinstance(draft.domain, Choices) else ()
    for number, value in enumerate(values):
        if draft is None or not is_reference(value):
            continue
        path = draft.path if draft.constant else (*draft.path, "values", number)
        try:
            positional(code, str(value), "outputs, targets", 2)
        except SignatureError as error:
            faults.add(path, error.expected, error.got)


def check_own_data(data: DataSpec, code: pathlib.Path, faults: Faults) -> None:
    """Note keys of the data section that should name functions of the study's own code."""
    for key, names in SOURCES[data.source].code.items():
        try:
            positional(code, str(getattr(data, key)), ", ".join(names), len(names))
        except SignatureError as error:
            faults.add(("data", key), error.expected, error.got)


def check_required(family: str, drafts: Mapping[str, Draft], faults: Faults) -> None:
    """Note settings without a default that the study leaves out, or has only under a condition."""
    for setting in FAMILIES[family].settings:
        draft = drafts.get(setting.name)
        if setting.required and draft is None:
            expected = f"{setting.name} ({setting.expected}), as it has no default"
            faults.add(("parameters",), expected, "nothing")
        elif setting.required and draft is not None and draft.when is not None:
            faults.add((*draft.path, "when"), "no condition, as it has no default", "one")

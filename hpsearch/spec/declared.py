"""What the settings that a family or a task declares have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from hpsearch.spec.settings import GROUPS, RESERVED, More, ValueKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hpsearch.spec.settings import Setting

__all__ = ["check_declared"]


def check_declared(settings: Sequence[Setting], taken: Collection[str] = ()) -> None:
    """Raise ValueError where the settings that a family or a task declares are none.

    Args:
        settings: What it declares.
        taken: Names that it cannot have, beside those that are `RESERVED`.
    """
    names = [setting.name for setting in settings]
    for setting in settings:
        if setting.name in RESERVED or setting.name in taken or not setting.name.isidentifier():
            raise ValueError(f"no setting of a family or a task can be called {setting.name!r}")
        if names.count(setting.name) > 1:
            raise ValueError(f"there are two settings {setting.name!r}")
        for field, word, words in (
            ("kind", setting.kind, get_args(ValueKind)),
            ("group", setting.group, GROUPS),
            ("more", setting.more or "capacity", get_args(More)),
        ):
            if word not in words:
                raise ValueError(
                    f"{field} of {setting.name}: expected one of {', '.join(words)}; got {word!r}"
                )
        if not setting.required and not setting.accepts(setting.default):
            raise ValueError(
                f"the default of {setting.name} is no value of it: expected {setting.expected}"
            )

"""Checks one section against its model, and says what pydantic finds in words of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import ValidationError

from hpsearch.spec import settings
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.faults import listed, show
from hpsearch.spec.keys import Section
from hpsearch.spec.models import PrunerSpec, StageSpec
from hpsearch.spec.source import SOURCES, DataSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from hpsearch.spec.faults import Faults, Path

__all__ = ["section"]

_S = TypeVar("_S", bound="Section")

_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("of at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("of at most", "le"),
}
_EXPECTED: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "a name, or keys with values",
    "string_pattern_mismatch": (
        "up to 100 letters, digits, dots, dashes and underscores, the first a letter or digit"
    ),
}


def section(model: type[_S], content: object, path: Path, faults: Faults) -> _S | None:
    """`content` as `model`; None where it has faults, which are noted under `path`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        details = error.errors(include_url=False)
        # Misspelt keys first: that the right one is missing is then no fault of its own.
        for detail in sorted(details, key=lambda d: d["type"] != "extra_forbidden"):
            _note(detail, model, content, path, faults)
    return None


def _note(
    detail: ErrorDetails, model: type[Section], content: object, path: Path, faults: Faults
) -> None:
    keys = _without_tags(detail["loc"])
    here, value, context = (*path, *keys), detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "missing" if here == ("data", "source"):
            faults.add(here, listed(SOURCES.all()), "nothing")
        case "missing":
            faults.add(here, "a value", "nothing")
        case "extra_forbidden":
            names = _names_beside(detail["loc"], model)
            if issubclass(model, DataSpec) and _is_of_another(keys):
                source = _at(content, ("source",))
                faults.add(here, f"no {keys[0]}, as the source is {source}", show(value))
            elif _is_setting(here[-1]):
                got = f"{show(here[-1])}, a setting: it belongs under parameters"
                faults.add(here, listed(names), got)
            else:
                faults.add_unknown(here, names)
        case "one_of":
            faults.add(here, listed(context["names"]), show(value), near=(value, context["names"]))
        case "expected":
            near = (value, context["names"]) if "names" in context else None
            faults.add(here, context["expected"], show(value), near=near)
        case "union_tag_invalid" | "union_tag_not_found":
            value = _at(content, keys)
            here, value = (
                ((*here, "name"), value.get("name")) if isinstance(value, dict) else (here, value)
            )
            got = "nothing" if detail["type"] == "union_tag_not_found" else show(value)
            faults.add(here, listed(settings.PRUNERS), got, near=(value, settings.PRUNERS))
        case kind if kind in _BOUNDS:
            words, key = _BOUNDS[kind]
            limit = context[key]
            noun = "a whole number" if isinstance(limit, int) else "a number"
            faults.add(here, f"{noun} {words} {limit:.15g}", show(value))
        case "model_type" if keys_ := _keys_at(keys, model):
            faults.add(here, f"keys with values: {', '.join(keys_)}", show(value))
        case kind:
            # No other kind comes from the models as they are; pydantic's own words are a net.
            faults.add(here, _EXPECTED.get(kind, detail["msg"]), show(value))


def _is_of_another(keys: Path) -> bool:
    """Whether a key of the data section is one of another source's."""
    return len(keys) == 1 and any(
        keys[0] in source.section.model_fields for source in SOURCES.all().values()
    )


def _is_setting(key: object) -> bool:
    """Whether a key is a setting of any family; `epochs` is one of the budget before all."""
    families = FAMILIES.all().values()
    own = any(key in family.vocabulary().settings for family in families)
    return key != "epochs" and own


def _without_tags(keys: Path) -> Path:
    """`keys` without the names of pruners that pydantic puts in to tell the models apart."""
    return tuple(key for index, key in enumerate(keys) if not _is_tag(keys, index))


def _is_tag(keys: Path, index: int) -> bool:
    beside = index > 0 and keys[index - 1] in ("pruner", "wrapped")
    return beside and keys[index] in settings.PRUNERS


def _below(keys: Path, model: type[Section]) -> type[Section] | None:
    """The one section that a key of the model can hold, where `keys` lead into it."""
    if len(keys) < 2 or keys[0] not in model.model_fields:
        return None
    parts, sections = [model.model_fields[str(keys[0])].annotation], []
    while parts:
        part = parts.pop()
        parts += get_args(part)
        if isinstance(part, type) and issubclass(part, Section):
            sections.append(part)
    return sections[0] if len(sections) == 1 else None


def _names_beside(keys: Path, model: type[Section]) -> list[str]:
    """The keys that the section has in which the last of `keys` stands."""
    if keys[0] == "stages":
        model = StageSpec
    elif below := _below(keys, model):
        model = below
    elif len(keys) > 1:
        model = next(m for m in PrunerSpec.__subclasses__() if _tag(m) == keys[-2])
    return list(model.model_fields)


def _keys_at(keys: Path, model: type[Section]) -> list[str]:
    """The keys of the section itself; none of one below it."""
    names = [] if keys else list(model.model_fields)
    return [*names[:8], "..."] if len(names) > 8 else names


def _tag(model: type[Section]) -> object:
    return get_args(model.model_fields["name"].annotation)[0]


def _at(content: object, keys: Path) -> Any:
    for key in keys:
        content = content[key]  # type: ignore[index]
    return content

"""Sections of a study file, and the types that their values have."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from hpsearch.code import is_reference
from hpsearch.spec.faults import listed
from hpsearch.spec.registry import PluginError, Registry

__all__ = ["Count", "Positive", "Reference", "Section", "Text", "declared", "one_of"]

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


def _reference(value: object) -> object:
    if is_reference(value):
        return value
    expected = "FILE.py:FUNCTION, FILE a path below the folder of the code"
    raise PydanticCustomError("expected", "a function", {"expected": expected})


Reference = Annotated[str, PlainValidator(_reference, json_schema_input_type=str)]


class Section(BaseModel):
    """A mapping with known keys; text is not read as a number, nor 1.0 as a whole number.

    The docstring under a field is what the docs and an editor show for it.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


def one_of(names: Iterable[str]) -> PlainValidator:
    """Accepts one of `names`; the error carries them, so that the nearest can be found."""
    names = tuple(names)

    def check(value: object) -> str:
        if isinstance(value, str) and value in names:
            return value
        raise PydanticCustomError("one_of", "one of the names", {"names": names})

    return PlainValidator(check, json_schema_input_type=Literal[names])


def declared(value: object, registry: Registry[Any], noun: str) -> object:
    """Accepts the name of a declaration; others are looked for only where it is none of ours."""
    try:
        if isinstance(value, str) and registry.find(value):
            return value
    except PluginError as error:
        expected = f"a {noun} that works ({error})"
        raise PydanticCustomError("expected", "a declaration", {"expected": expected}) from None
    names = tuple(registry.all())
    expected = f"{listed(names)}, or a {noun} of a package that is installed here"
    raise PydanticCustomError(
        "expected", "a declaration", {"expected": expected, "names": names}
    )  # fmt: skip

"""Pages from templates: every text that comes from elsewhere is escaped, and no page runs or loads
anything but what is in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hpsearch import passwords
from hpsearch.terminal import visible

__all__ = ["laid_out"]


def laid_out(template: str, facts: Any, context: Mapping[str, Any]) -> str:
    """The page that a template makes of these values.

    Args:
        template: Its name, without `.html.j2`.
        facts: What the page carries for programs: plain values.
        context: By the names of the template. SVG is taken as it is; all else is text.
    """
    style, script = _resource("style.css"), _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(f"{template}.html.j2").render(
        **context, facts=passwords.hide_in(facts), style=Markup(style), script=Markup(script),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )  # fmt: skip


@lru_cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("hpsearch.reports"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    made.filters["svg"] = Markup
    return made


def _shown(value: Any) -> Any:
    """Text without a terminal's orders or a change of direction in it, and without passwords."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(passwords.hide(value))
    return value


def _resource(name: str) -> str:
    return (files("hpsearch.reports") / "templates" / name).read_text(encoding="utf-8")

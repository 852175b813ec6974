"""What mkdocs does beside building: a folder in the navigation is its pages, and links to files
outside of docs/ lead to the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

DOCS = Path(__file__).parent
OUTSIDE = re.compile(r"\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """The configuration with the pages of each folder that `nav` names, `reference/families/`."""
    config.nav = _unfolded(config.nav)
    return config


def _unfolded(entry: Any) -> Any:
    """A part of the navigation, in which the path of a folder becomes its pages by name."""
    if isinstance(entry, list):
        return [_unfolded(one) for one in entry]
    if isinstance(entry, dict):
        return {title: _unfolded(one) for title, one in entry.items()}
    if not entry.endswith("/"):
        return entry
    pages = sorted((DOCS / entry).glob("*.md"))
    return [{page.stem: f"{entry}{page.name}"} for page in pages]


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Links of a page as the site needs them; a link to a file that is not there ends the build."""
    here = (DOCS / page.file.src_uri).parent

    def link(match: re.Match[str]) -> str:
        target = (here / match[1]).resolve()
        if target.is_relative_to(DOCS):
            return match[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri}: {match[1]} does not exist")
        kind = "tree" if target.is_dir() else "blob"
        return f"]({config.repo_url}/{kind}/main/{target.relative_to(DOCS.parent)}{match[2] or ''})"

    return OUTSIDE.sub(link, markdown)

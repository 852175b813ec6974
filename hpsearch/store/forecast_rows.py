"""Forecasts of studies that may not be there yet, read and written inside the ledger's
transactions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.store.engine import upsert
from hpsearch.store.tables import forecasts

__all__ = ["find", "put"]


def put(connection: sa.Connection, digest: str, content: Mapping[str, Any]) -> None:
    """Keep a forecast, in place of an older one of the same study."""
    row = {"digest": digest, "content": json.dumps(content)}
    upsert(connection, forecasts, ("digest",), [row])


def find(connection: sa.Connection, digest: str) -> dict[str, Any] | None:
    """The forecast of a study; None where there is none."""
    query = sa.select(forecasts.c.content).where(forecasts.c.digest == digest)
    text = connection.execute(query).scalar()
    try:
        content = json.loads(text) if text else None
    except (RecursionError, TypeError, ValueError):
        return None  # it can be made again
    return content if isinstance(content, dict) else None

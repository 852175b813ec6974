"""Forecasts of studies that may not be there yet, read and written inside the ledger's
transactions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.store.engine import now, upsert
from hpsearch.store.tables import forecasts

__all__ = ["find", "put"]


def put(connection: sa.Connection, digest: str, device: str, content: Mapping[str, Any]) -> None:
    """Keep a forecast, in place of an older one of the same study on the same device."""
    made_at = connection.execute(sa.select(now())).scalar_one()
    row = {"digest": digest, "device": device, "made_at": made_at, "content": json.dumps(content)}
    upsert(connection, forecasts, ("digest", "device"), [row])


def find(connection: sa.Connection, digest: str) -> dict[str, Any] | None:
    """The newest forecast of a study, whatever the device; None where there is none."""
    query = sa.select(forecasts.c.content).where(forecasts.c.digest == digest)
    text = connection.execute(query.order_by(forecasts.c.made_at.desc()).limit(1)).scalar()
    return None if text is None else json.loads(text)

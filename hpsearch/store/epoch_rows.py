"""hpsearch's rows of epochs, as those read them who bring them elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from itertools import groupby
from operator import itemgetter

import sqlalchemy as sa

from hpsearch.store.optuna_tables import TRIALS
from hpsearch.store.tables import epochs
from hpsearch.store.values import TimedEpoch

__all__ = ["courses"]


def courses(
    connection: sa.Connection, study_id: int, after: Mapping[int, int]
) -> dict[int, list[TimedEpoch]]:
    """The epochs of trials beyond some number each, {trial's number: epoch}, by number."""
    c = TRIALS.c
    query = (
        sa.select(c.number, c.datetime_start, epochs.c.epoch, epochs.c.seconds, epochs.c.metrics)
        .join(epochs, epochs.c.trial_id == c.trial_id)
        .where(c.study_id == study_id, c.number.in_(after))
        .order_by(c.number, epochs.c.epoch)
    )
    curves: dict[int, list[TimedEpoch]] = {number: [] for number in after}
    for number, rows in groupby(connection.execute(query), itemgetter(0)):
        passed_s = 0.0
        for _, start, epoch, seconds, metrics in rows:
            passed_s += seconds
            if epoch > after[number]:
                at_s = start.replace(tzinfo=UTC).timestamp() + passed_s
                curves[number].append(TimedEpoch(epoch, _metrics(metrics), at_s))
    return curves


def _metrics(text: str) -> dict[str, float]:
    """The numbers of an epoch's row; none of one that makes no sense."""
    try:
        content = json.loads(text)
    except (RecursionError, TypeError, ValueError):
        return {}
    items = content.items() if isinstance(content, dict) else ()
    return {name: float(value) for name, value in items if isinstance(value, (int, float))}

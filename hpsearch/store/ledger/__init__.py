"""Tickets, leases, fences, workers and study states: each verb is one transaction.

A ticket is the numbered right to run one trial. A worker holds it by a lease, which ends on the
database's clock unless the worker renews it, and whose fence grows with every lease. Anyone who
comes back late finds a higher fence and is refused. Rows are locked in one order, the study before
its tickets before its leases, so that no two verbs wait for each other.

The verbs lie where their callers would look: `studies` is what a study is and what is found out
about it, `steering` what people ask of it, `stages` how its search moves on and is judged, and
`leases` who trains what.
"""

from __future__ import annotations

from hpsearch.errors import NotFoundError
from hpsearch.store import LEASE_S
from hpsearch.store.engine import Database
from hpsearch.store.ledger.leases import Leases
from hpsearch.store.ledger.stages import Stages
from hpsearch.store.ledger.steering import Steering
from hpsearch.store.ledger.studies import Studies
from hpsearch.store.tables import is_ready, prepare

__all__ = ["Ledger"]


class Ledger(Studies, Steering, Stages, Leases):
    """All the verbs of one database."""

    def __init__(self, database: Database, lease_s: float = LEASE_S, *, make: bool = True) -> None:
        """Creates the tables where they are missing; NotFoundError if that is not to be done."""
        if make:
            prepare(database)
        elif not is_ready(database):
            raise NotFoundError(
                f"{database.name} has no studies and no workers yet; hpsearch run FILE or "
                "hpsearch submit FILE makes them"
            )
        super().__init__(database, lease_s)

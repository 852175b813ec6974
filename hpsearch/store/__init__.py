"""The one door to SQL: studies, tickets and leases, beside Optuna's own tables.

`engine` knows databases, `tables` the schema, `trials` Optuna's rows, `ledger` the verbs (each one
transaction), `mirror` what samplers and pruners read.
"""

__all__ = ["LEASE_S"]

LEASE_S = 30.0
"""Seconds after which a silent worker loses its tickets, by default. It stands here because the
command line shows it, and loads none of the modules below for that."""

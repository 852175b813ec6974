"""The one door to SQL: studies, tickets and leases, beside Optuna's own tables.

`engine` knows databases, `tables` the schema, `trials` Optuna's rows, `ledger` the verbs (each one
transaction), `mirror` what samplers and pruners read.
"""

__all__: list[str] = []

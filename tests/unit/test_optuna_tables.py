"""The store's own words for Optuna's tables say what the Optuna that is installed says."""

from __future__ import annotations

from enum import Enum
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite

from hpsearch.store import optuna_tables, states
from hpsearch.store.frozen import frozen
from hpsearch.store.history import StoredTrial
from hpsearch.store.optuna_private import models

OPTUNAS = models.BaseModel.metadata.tables
DIALECTS = (sqlite.dialect(), postgresql.dialect(), mysql.dialect())


@pytest.mark.parametrize("name", optuna_tables.__all__)
def test_a_table_has_the_columns_of_optunas(name: str) -> None:
    ours: sa.Table = getattr(optuna_tables, name)
    assert columns(ours) == columns(OPTUNAS[ours.name])


def columns(table: sa.Table) -> list[tuple[object, ...]]:
    """Name, type in each database, key, whether it may be NULL, and the words of enumerations."""
    return [
        (column.name, *(column.type.compile(dialect) for dialect in DIALECTS), column.primary_key,
         column.nullable, getattr(column.type, "enums", None), getattr(column.type, "name", None))
        for column in table.columns
    ]  # fmt: skip


def test_no_table_of_optunas_is_forgotten() -> None:
    ours = {getattr(optuna_tables, name).name for name in optuna_tables.__all__}
    assert {*OPTUNAS} - ours == {"version_info"}


@pytest.mark.parametrize(
    ("ours", "optunas"),
    [
        (states.TrialState, optuna.trial.TrialState),
        (states.StudyDirection, optuna.study.StudyDirection),
        (states.ValueKind, models.TrialValueModel.TrialValueType),
        (states.ReportKind, models.TrialIntermediateValueModel.TrialIntermediateValueType),
    ],
)
def test_an_enumeration_has_the_names_and_numbers_of_optunas(
    ours: type[Enum], optunas: type[Enum]
) -> None:
    assert {one.name: one.value for one in ours} == {one.name: one.value for one in optunas}


@pytest.mark.parametrize("optunas", list(optuna.trial.TrialState))
def test_a_state_stands_for_optunas(optunas: Any) -> None:
    ours = states.TrialState[optunas.name]
    assert ours == optunas
    assert {ours: 1}[optunas] == 1
    assert ours.is_finished() is optunas.is_finished()


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (FloatDistribution(1e-4, 0.1, log=True), 0.03),
        (FloatDistribution(0, 1, step=0.25), 0.75),
        (IntDistribution(1, 512, log=True), 64.0),
        (CategoricalDistribution(["sgd", 32, 0.5, None, True, "[64, 32]"]), 0.0),
        (CategoricalDistribution(["sgd", 32, 0.5, None, True, "[64, 32]"]), 1.0),
        (CategoricalDistribution(["sgd", 32, 0.5, None, True, "[64, 32]"]), 3.0),
        (CategoricalDistribution(["sgd", 32, 0.5, None, True, "[64, 32]"]), 4.0),
    ],
)
def test_a_parameter_is_what_optuna_takes_it_for(kind: BaseDistribution, stored: float) -> None:
    trial = StoredTrial(1, 0, states.TrialState.COMPLETE, None, None, values=[0.5])
    trial.drawn["x"] = stored, distribution_to_json(kind)
    ours, optunas = trial.params["x"], frozen(trial).params["x"]
    assert (ours, type(ours)) == (optunas, type(optunas))
    assert ours == kind.to_external_repr(stored)

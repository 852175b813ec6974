"""Optuna's storage interface over the same tables: Optuna's own suite, and what is ours in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.testing.pytest_storages import StorageTestCase

from hpsearch.store.engine import Database
from hpsearch.store.storage import BatchedStorage, open_storage
from tests.conftest import BACKENDS, Servers


@pytest.fixture(scope="module", params=BACKENDS)
def emptied(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Database:
    """A database with tables, for a whole suite: to make one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("contract")
    database = Database(servers.new_database(request.param, folder))
    open_storage(database)
    return database


class TestOptunasContract(StorageTestCase):
    @pytest.fixture
    def storage(self, emptied: Database) -> Iterator[BatchedStorage]:
        storage = open_storage(emptied)
        assert isinstance(storage, BatchedStorage)
        yield storage
        storage.close()
        tables = reversed(models.BaseModel.metadata.sorted_tables)
        data = [t for t in tables if t.name not in ("version_info", "alembic_version")]

        def clear(connection: sa.Connection) -> None:
            for table in data:
                connection.execute(sa.delete(table))

        emptied.write(clear)

"""The services of one region, on a real database, disk and key store. A test that asks for them by another fixture of the same
name in its own directory gets those instead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from eft.db.engine import Database
from tests.fixtures.postgres import PostgresServer, postgres
from tests.fixtures.services import Services, running_services

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with the schema, to be copied."""
    name = postgres.make_database()
    database = Database(postgres.url(name))
    database.upgrade()
    database.engine.dispose()
    return name


@pytest.fixture
def database_kind() -> str:
    """`sqlite` or `postgresql`; a directory whose tests should run on both overrides it."""
    return "sqlite"


@pytest.fixture
def postgresql_url(request: pytest.FixtureRequest, database_kind: str) -> Iterator[str | None]:
    """A PostgreSQL database of the test's own, with the schema; None where the test runs on SQLite."""
    if database_kind == "sqlite":
        yield None
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.make_database(request.getfixturevalue("migrated_database"))
    yield server.url(name)
    server.drop_database(name)


@pytest_asyncio.fixture
async def services(tmp_path: Path, postgresql_url: str | None) -> AsyncIterator[Services]:
    async with running_services(tmp_path, postgresql_url) as running:
        yield running

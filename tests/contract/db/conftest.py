"""Every test of the database runs on both: a SQLite file, and a database of a PostgreSQL server of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
import shutil

import pytest
import pytest_asyncio
from sqlalchemy import Connection

from eft.db.engine import Database
from tests.fixtures.postgres import PostgresServer, postgres

__all__ = ["postgres"]

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.needs("initdb", "postgres"))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with the schema, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "eft.db"
    Database(f"sqlite:///{path}").upgrade()
    return path


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with the schema, to be copied."""
    name = postgres.make_database()
    database = Database(postgres.url(name))
    database.upgrade()
    database.engine.dispose()
    return name


@pytest.fixture(params=["sqlite", POSTGRESQL])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database without any table is."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/eft.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.make_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture(params=["sqlite", POSTGRESQL])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a database with the schema and no row is."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "eft.db")
        yield f"sqlite:///{tmp_path}/eft.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.make_database(request.getfixturevalue("migrated_database"))
    yield server.url(name)
    server.drop_database(name)


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(url)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", POSTGRESQL])
def conn(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A transaction for tests of repositories, which care for nothing but rows; rolled back at the end, so that all of them can
    share one database."""
    if request.param == "sqlite":
        engine = Database(f"sqlite:///{request.getfixturevalue('migrated_file')}").engine
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        engine = Database(server.url(request.getfixturevalue("migrated_database"))).engine
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.rollback()
    engine.dispose()

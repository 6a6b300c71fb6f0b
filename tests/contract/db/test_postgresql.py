"""What is PostgreSQL's own: settings that would lose data, deadlocks, lost connections, errors that a COMMIT hides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
import threading

from psycopg import sql
import pytest
import pytest_asyncio
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from eft.db import cases, uploads
from eft.db import postgresql as adapter
from eft.db.engine import Database
from eft.domain.errors import Busy, StorageFailed, UnsafeSetting
from tests.contract.db.samples import a_case, an_upload
from tests.fixtures.postgres import PostgresServer

pytestmark = pytest.mark.needs("initdb", "postgres")


@pytest.fixture
def name(postgres: PostgresServer, migrated_database: str) -> Iterator[str]:
    made = postgres.make_database(migrated_database)
    yield made
    postgres.drop_database(made)


@pytest_asyncio.fixture
async def database(postgres: PostgresServer, name: str) -> AsyncIterator[Database]:
    opened = Database(postgres.url(name))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def role(postgres: PostgresServer) -> Iterator[str]:
    """A user to spoil the settings of."""
    postgres.run(sql.SQL("CREATE ROLE spoilt LOGIN SUPERUSER"))
    yield "spoilt"
    postgres.run(sql.SQL("DROP ROLE spoilt"))


async def test_a_role_without_synchronous_commit_is_refused(postgres: PostgresServer, name: str, role: str) -> None:
    postgres.run(sql.SQL("ALTER ROLE {} SET synchronous_commit = off").format(sql.Identifier(role)))
    with pytest.raises(UnsafeSetting, match="synchronous_commit"):
        await Database(postgres.url(name, role)).open()


async def test_a_server_without_fsync_is_refused(postgres: PostgresServer, name: str) -> None:
    postgres.run(sql.SQL("ALTER SYSTEM SET fsync = off"))
    postgres.run(sql.SQL("SELECT pg_reload_conf()"))
    try:
        with pytest.raises(UnsafeSetting, match="fsync"):
            for _ in range(100):  # the reload takes a moment
                database = Database(postgres.url(name))
                await database.open()
                await database.close()
                await asyncio.sleep(0.05)
    finally:
        postgres.run(sql.SQL("ALTER SYSTEM RESET fsync"))
        postgres.run(sql.SQL("SELECT pg_reload_conf()"))


async def test_a_database_that_cannot_hold_every_name_is_refused(postgres: PostgresServer) -> None:
    name = postgres.make_database("template0", "SQL_ASCII")
    with pytest.raises(UnsafeSetting, match="SQL_ASCII"):
        await Database(postgres.url(name)).open()
    postgres.drop_database(name)


async def test_a_server_that_is_not_there_is_storage_failed(postgres: PostgresServer) -> None:
    nowhere = replace(postgres, directory=postgres.directory / "nowhere")
    with pytest.raises(StorageFailed):
        await Database(nowhere.url()).open()


async def test_a_deadlock_is_run_again(database: Database) -> None:
    for number in (1, 2):
        await database.write(lambda conn, n=number: cases.insert(conn, a_case(n)))
    meet = threading.Barrier(2)
    runs = []

    def both(conn: Connection, first: str, second: str) -> None:
        runs.append(first)
        cases.lock(conn, first)
        if len(runs) <= 2:
            meet.wait(10)
        found = cases.lock(conn, second)
        assert found is not None
        cases.save(conn, replace(found, comment=found.comment + first))

    await asyncio.gather(
        database.write(lambda conn: both(conn, "C-1", "C-2")), database.write(lambda conn: both(conn, "C-2", "C-1"))
    )
    assert len(runs) == 3
    after = await database.read(lambda conn: [cases.get(conn, each) for each in ("C-1", "C-2")])
    assert [case.comment for case in after if case] == ["C-2", "C-1"]


async def test_an_error_that_was_passed_over_is_not_taken_for_a_commit(database: Database) -> None:
    def work(conn: Connection) -> None:
        cases.insert(conn, a_case())
        with pytest.raises(IntegrityError):
            uploads.insert(conn, an_upload(case_id="nobody"))

    with pytest.raises(StorageFailed, match="passed over"):
        await database.write(work)
    assert await database.read(lambda conn: cases.get(conn, "C-1")) is None


async def test_connections_that_the_server_has_dropped_are_replaced(
    database: Database, postgres: PostgresServer, name: str
) -> None:
    await asyncio.gather(*[database.write(lambda conn, n=n: cases.insert(conn, a_case(n))) for n in range(20)])
    _end_connections(postgres, name)
    await database.write(lambda conn: cases.insert(conn, a_case(100)))
    _end_connections(postgres, name)
    assert await database.read(lambda conn: cases.get(conn, "C-100")) == a_case(100)


async def test_a_connection_that_is_lost_in_the_middle_is_run_again_as_nothing_was_committed(
    database: Database, postgres: PostgresServer, name: str
) -> None:
    runs = []

    def work(conn: Connection) -> None:
        runs.append(1)
        cases.insert(conn, a_case())
        if len(runs) == 1:
            _end_connections(postgres, name)
        conn.execute(text("SELECT 1"))

    await database.write(work)
    assert len(runs) == 2
    assert await database.read(lambda conn: cases.get(conn, "C-1")) == a_case()


async def test_a_connection_that_is_lost_while_it_commits_is_storage_failed_and_not_run_again(
    database: Database, postgres: PostgresServer, name: str
) -> None:
    runs = []

    def work(conn: Connection) -> None:
        runs.append(1)
        cases.insert(conn, a_case())
        _end_connections(postgres, name)

    with pytest.raises(StorageFailed):
        await database.write(work)
    assert len(runs) == 1


async def test_a_row_lock_that_cannot_be_had_is_busy(
    database: Database, postgres: PostgresServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.write(lambda conn: cases.insert(conn, a_case()))
    held, release = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        cases.lock(conn, "C-1")
        held.set()
        release.wait(10)

    def impatient(conn: Connection) -> None:
        conn.execute(text("SET LOCAL lock_timeout = '50ms'"))
        cases.lock(conn, "C-1")

    holding = asyncio.ensure_future(database.write(hold))
    await asyncio.to_thread(held.wait, 10)
    with pytest.raises(Busy):
        await database.write(impatient)
    release.set()
    await holding


async def test_a_full_disk_is_storage_full(database: Database) -> None:
    from eft.domain.errors import StorageFull

    def full(conn: Connection) -> None:
        conn.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"))

    with pytest.raises(StorageFull):
        await database.write(full)


async def test_reads_cannot_write(database: Database) -> None:
    with pytest.raises(StorageFailed):  # 25006, which is also what a server says that has become a standby
        await database.read(lambda conn: cases.insert(conn, a_case()))


async def test_every_connection_has_bounded_waits(database: Database) -> None:
    settings = await database.write(
        lambda conn: [
            conn.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "timezone", "transaction_isolation")
        ]
    )
    assert settings == [f"{adapter.LOCK_S}s", "1min", "UTC", "read committed"]


def _end_connections(postgres: PostgresServer, name: str) -> None:
    postgres.run(sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}").format(sql.Literal(name)))

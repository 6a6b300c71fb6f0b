"""The portal's schema and what relies on the database's transactions, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
import pytest
from sqlalchemy import text

from eft.domain.errors import UnsafeSetting
from eft.domain.person import Role
from eft.portal import case_rows, people, resets, sessions, throttle
from eft.portal.database import Database
from eft.portal.tables import metadata
from tests.fixtures.postgres import PostgresServer
from tests.unit.portal.conftest import CUSTOMER, HASH, Clock
from tests.unit.portal.fake_gateway import FakeGateway


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("initdb", "postgres"))])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'portal.db'}")
        made.upgrade()
        yield made
        made.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.make_database()
    made = Database(server.url(name))
    made.upgrade()
    yield made
    made.close()
    server.drop_database(name)


def somebody(database: Database, clock: Clock) -> people.Person:
    return database.run_here(
        lambda conn: people.create(
            conn, email=CUSTOMER, name="Ann", role=Role.CUSTOMER, organisation="Example", password_hash=HASH, now=clock.now()
        )
    )


def test_the_revisions_make_the_tables_that_the_code_knows_and_may_be_applied_again(database: Database) -> None:
    database.upgrade()
    assert database.run_here(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata)) == []


def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    database.run_here(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = 'p9999'")))
    with pytest.raises(UnsafeSetting):
        database.upgrade()


def test_many_tries_at_once_are_counted_one_by_one(database: Database, clock: Clock) -> None:
    def attempt(_: int) -> bool:
        return database.run_here(lambda conn: throttle.take(conn, throttle.SIGN_IN_BY_ACCOUNT, CUSTOMER, clock.now()))

    with ThreadPoolExecutor(8) as threads:
        allowed = list(threads.map(attempt, range(24)))
    assert sum(allowed) == 10


def test_a_reset_link_that_two_use_at_once_serves_one(database: Database, clock: Clock) -> None:
    person = somebody(database, clock)
    link = database.run_here(lambda conn: resets.issue(conn, person, clock.now()))
    session = database.run_here(lambda conn: sessions.begin(conn, person, clock.now()))
    with ThreadPoolExecutor(4) as threads:
        work = [threads.submit(database.run_here, lambda conn: resets.use(conn, link, HASH, clock.now())) for _ in range(4)]
        assert sum(each.result() is not None for each in work) == 1
    assert database.run_here(lambda conn: sessions.person_of(conn, session, clock.now())) is None


def test_an_instant_comes_back_to_the_microsecond(database: Database, clock: Clock) -> None:
    gateway = FakeGateway("us", clock)
    gateway.put("CS-1")
    clock.instant += timedelta(microseconds=1)
    gateway.close("CS-1")
    database.run_here(lambda conn: case_rows.note_told(conn, "us", gateway.cases["CS-1"], clock.now()))
    known = database.run_here(lambda conn: case_rows.get(conn, "CS-1"))
    assert known is not None
    assert known.closed_at == clock.instant

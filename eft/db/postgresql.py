"""PostgreSQL: a few threads write and a few read, each unit a transaction of its own; the server commits them in groups.

READ COMMITTED with row locks taken explicitly (`lock` in the repositories). A unit that met a deadlock is run again, so that
units must do nothing but database work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import random
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

from eft.db.failures import lost_connection, may_run_again, translate
from eft.db.lanes import Lane, Tally, Unit
from eft.db.pauses import pause
from eft.domain.errors import StorageFailed, UnsafeSetting

WRITERS = 4
READERS = 3
ATTEMPTS = 6
LOCK_S = 30
"""Seconds that a statement waits for a lock before its caller hears Busy."""

MIGRATION_LOCK = 0x656674_6462
"""Of pg_advisory_xact_lock: whoever migrates holds it."""

_SESSION = (
    f"SET lock_timeout = '{LOCK_S}s'",
    "SET idle_in_transaction_session_timeout = '60s'",  # a stopped process must not keep its row locks
    "SET timezone = 'UTC'",
)


class Postgresql:
    """One database of a server. Everything that a connection relies on is checked on each new connection."""

    def __init__(self, url: URL) -> None:
        self.commits = Tally()
        self._engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=WRITERS + READERS + 1,
            max_overflow=0,
            pool_timeout=10,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            connect_args={
                "connect_timeout": 10,
                "application_name": "eft",
                "tcp_user_timeout": 30_000,
                "client_encoding": "utf8",
            },
        )
        event.listen(self._engine, "connect", _prepare)

    def connect(self) -> Connection:
        """Raises UnsafeSetting where the server would lose what it has acknowledged."""
        return self._engine.connect()

    def writer(self) -> Lane:
        return Lane("db-write", lambda: _Writer(self), threads=WRITERS)

    def reader(self) -> Lane:
        return Lane("db-read", lambda: _Reader(self), threads=READERS)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction during which no other process migrates."""
        with self.connect() as conn, conn.begin():
            conn.exec_driver_sql("SET LOCAL lock_timeout = '600s'")
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            yield conn

    @property
    def engine(self) -> Engine:
        return self._engine

    def close(self) -> None:
        self._engine.dispose()


class _Writer:
    def __init__(self, database: Postgresql) -> None:
        self._database = database

    def run(self, units: list[Unit]) -> None:
        for unit in units:
            _until_it_stands(unit, self._commit)

    def close(self) -> None:
        """Connections go back to the pool after each unit."""

    def _commit(self, unit: Unit) -> Any:
        with self._database.connect() as conn:
            result = unit.work(conn)
            if conn.in_transaction():
                _commit(conn)
                self._database.commits.add()
            return result


class _Reader:
    def __init__(self, database: Postgresql) -> None:
        self._single = database.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._snapshot = database.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def run(self, units: list[Unit]) -> None:
        for unit in units:
            _until_it_stands(unit, self._read)

    def close(self) -> None:
        """Connections go back to the pool after each unit."""

    def _read(self, unit: Unit) -> Any:
        with (self._snapshot if unit.snapshot else self._single).connect() as conn:
            return unit.work(conn)


class _CommitFailed(Exception):
    """The connection was lost while it committed: nobody knows whether it did."""


def _until_it_stands(unit: Unit, attempt: Any) -> None:
    """Runs the unit, again where another transaction or a lost connection was in its way, and fills in how it ended."""
    for left in reversed(range(ATTEMPTS)):
        try:
            unit.result, unit.error = attempt(unit), None
            return
        except _CommitFailed as error:
            unit.error = translate(error.__cause__ or error)
            return
        except BaseException as error:  # it is the caller's
            unit.error = translate(error)
            if not left or not (may_run_again(error) or lost_connection(error)):
                return
        pause(random.uniform(0.005, 0.02) * 2 ** (ATTEMPTS - left))  # noqa: S311 no secret


def _commit(conn: Connection) -> None:
    """COMMIT, and certainty that it was one.

    PostgreSQL answers COMMIT with a silent rollback where a statement has failed before and the unit went on regardless.
    """
    status = conn.connection.driver_connection.info.transaction_status  # type: ignore[union-attr]
    if status.name == "INERROR":
        raise StorageFailed("A failed statement was passed over; nothing was stored.", "Contact support.")
    try:
        conn.commit()
    except Exception as error:
        if may_run_again(error):
            raise
        raise _CommitFailed from error


def _prepare(connection: Any, _: object) -> None:
    """What every connection needs before its first statement. Raises UnsafeSetting."""
    connection.autocommit = True
    for name, unsafe, remedy in (
        ("synchronous_commit", {"off"}, "Turn it on for the server, the database and the role."),
        ("fsync", {"off"}, "Turn it on."),
    ):
        (value,) = connection.execute(f"SHOW {name}").fetchone()
        if value in unsafe:
            raise UnsafeSetting(f"PostgreSQL's {name} is {value}: it would lose what was acknowledged.", remedy)
    (encoding,) = connection.execute("SHOW server_encoding").fetchone()
    if encoding != "UTF8":
        raise UnsafeSetting(f"The PostgreSQL database is encoded in {encoding}.", "Create it with the encoding UTF8.")
    for setting in _SESSION:
        connection.execute(setting)
    connection.autocommit = False

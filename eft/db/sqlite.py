"""SQLite: one thread of each process writes, all that waits in one commit; a few threads read.

Durability is SQLite's own: write-ahead log, `synchronous=FULL` (an fdatasync for each commit; sqlite.org/pragma.html). Several
processes may share the file, on a local disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import sqlite3
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from eft.db.failures import is_busy, translate
from eft.db.lanes import Lane, Tally, Unit
from eft.domain.errors import UnsafeSetting

BATCH = 200
"""Units in one commit, so that the first of them does not wait long for the last."""

READERS = 2
LOCK_S = 10
"""Seconds that SQLite itself waits for a lock."""

ATTEMPTS = 3
"""How often a lock is asked for before the caller hears Busy."""

_PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",  # temporary files would lie outside the region's directory
    "PRAGMA journal_size_limit=67108864",
)


class Sqlite:
    """One database file. The file is made at the first connection, readable by its owner alone."""

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:" or url.query:
            raise UnsafeSetting("The SQLite database is not a plain file.", "Set database.url to sqlite:////absolute/path.")
        self._path = Path(url.database)
        self.commits = Tally()
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"timeout": LOCK_S, "isolation_level": None, "cached_statements": 512},
        )
        event.listen(self._engine, "connect", _prepare)

    def connect(self) -> Connection:
        """A connection that begins no transaction by itself. Raises UnsafeSetting where the file cannot be written safely."""
        if not self._path.exists():
            self._create()
        return self._engine.connect()

    def writer(self) -> Lane:
        return Lane("db-write", lambda: _Writer(self), threads=1, most=BATCH)

    def reader(self) -> Lane:
        return Lane("db-read", lambda: _Reader(self), threads=READERS)

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """A transaction during which no other process writes."""
        with self.connect() as conn:
            _begin(_driver(conn), "BEGIN EXCLUSIVE")
            with conn.begin():
                yield conn

    @property
    def engine(self) -> Engine:
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    def _create(self) -> None:
        """An empty file and its directory entry, durable. Never for an existing one: closing it would drop SQLite's locks."""
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class _Session:
    """A connection of one thread's own, made when it is first needed and dropped after a failure."""

    def __init__(self, database: Sqlite) -> None:
        self._database = database
        self._held: Connection | None = None

    def close(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _connection(self) -> Connection:
        if self._held is None:
            self._held = self._database.connect()
        return self._held

    def _drop(self) -> None:
        """Ends whatever goes on in the connection, by closing the file."""
        held, self._held = self._held, None
        if held is not None:
            held.invalidate()
            held.close()


class _Writer(_Session):
    def run(self, units: list[Unit]) -> None:
        try:
            conn = self._connection()
            driver = _driver(conn)
            _begin(driver, "BEGIN IMMEDIATE")
            for unit in units:
                _carry_out(unit, conn, driver)
            driver.execute("COMMIT")
            conn.commit()
            self._database.commits.add()
        except BaseException as error:  # nothing of this is durable, and every caller must hear so
            self._drop()
            for unit in units:
                unit.error = unit.error or translate(error)


def _carry_out(unit: Unit, conn: Connection, driver: sqlite3.Connection) -> None:
    """Runs one unit in a savepoint; its failure is its own. Raises where it took the whole transaction with it (disk full)."""
    driver.execute("SAVEPOINT unit")
    try:
        unit.result = unit.work(conn)
    except BaseException as error:
        unit.error = translate(error)
        if not driver.in_transaction:
            raise
        driver.execute("ROLLBACK TO unit")
    driver.execute("RELEASE unit")


class _Reader(_Session):
    def run(self, units: list[Unit]) -> None:
        for unit in units:
            for _ in range(ATTEMPTS):
                try:
                    unit.result, unit.error = self._read(unit), None
                    break
                except BaseException as error:  # it is the caller's
                    self._drop()
                    unit.error = translate(error)
                    if not is_busy(error):
                        break

    def _read(self, unit: Unit) -> Any:
        conn = self._connection()
        driver = _driver(conn)
        if unit.snapshot:
            driver.execute("BEGIN")
        result = unit.work(conn)
        if unit.snapshot:
            driver.execute("ROLLBACK")
        conn.rollback()
        return result


def _driver(conn: Connection) -> sqlite3.Connection:
    return cast(sqlite3.Connection, conn.connection.driver_connection)


def _begin(driver: sqlite3.Connection, how: str) -> None:
    for left in reversed(range(ATTEMPTS)):
        try:
            driver.execute(how)
            return
        except sqlite3.OperationalError as error:
            if not left or not is_busy(error):
                raise


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    """What every connection needs before its first statement."""
    for left in reversed(range(ATTEMPTS)):
        try:  # another process may be turning a new file into one with a log at this moment
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if not left or not is_busy(error):
                raise
    if mode != "wal":
        raise UnsafeSetting(
            "SQLite cannot keep a write-ahead log where the database is.", "Put the database on a local disk that supports it."
        )
    for pragma in _PRAGMAS:
        connection.execute(pragma)

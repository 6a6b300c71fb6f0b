"""SQLite: one thread of each process writes, all that waits in one commit; a few threads read.

Durability is SQLite's own: write-ahead log, `synchronous=FULL` (an fdatasync for each commit; sqlite.org/pragma.html). Several
processes may share the file, on a local disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import errno
import fcntl
import os
from pathlib import Path
import sqlite3
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from eft.db.failures import is_busy, translate
from eft.db.lanes import Lane, Tally, Unit
from eft.db.pauses import pause
from eft.domain.errors import StorageFailed, StorageFull, UnsafeSetting

BATCH = 200
"""Units in one commit, so that the first of them does not wait long for the last."""

READERS = 2
LOCK_S = 10
"""Seconds that SQLite itself waits for a lock."""

ATTEMPTS = 3
"""How often a lock is asked for, by what is not a writer, before the caller hears Busy."""

WRITER_LOCK_S = 30.0
"""Seconds that the writer whose turn it is asks for the lock before its callers hear Busy."""

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
    def turn_file(self) -> Path:
        """Locked by whichever process is the next to write; empty, for ever."""
        return self._path.with_name(self._path.name + "-turn")

    @property
    def engine(self) -> Engine:
        return self._engine

    def close(self) -> None:
        self._engine.dispose()

    def _create(self) -> None:
        """An empty file and its directory entry, durable. Never for an existing one: closing it would drop SQLite's locks."""
        try:
            os.close(_make(self._path, os.O_EXCL))
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
    def __init__(self, database: Sqlite) -> None:
        super().__init__(database)
        self._turn: int | None = None

    def run(self, units: list[Unit]) -> None:
        try:
            conn = self._connection()
            driver = _driver(conn)
            self._begin(driver)
            for unit in units:
                _carry_out(unit, conn, driver)
            driver.execute("COMMIT")
            conn.commit()
            self._database.commits.add()
        except BaseException as error:  # nothing of this is durable, and every caller must hear so
            self._drop()
            for unit in units:
                unit.error = unit.error or translate(error)

    def close(self) -> None:
        super().close()
        turn, self._turn = self._turn, None
        if turn is not None:
            os.close(turn)

    def _connection(self) -> Connection:
        fresh = self._held is None
        conn = super()._connection()
        if fresh:
            _driver(conn).execute("PRAGMA busy_timeout=0")  # `_begin` waits itself
        return conn

    def _begin(self, driver: sqlite3.Connection) -> None:
        """Begins, when it is this process's turn.

        Left to itself SQLite lets whoever happens to ask at the right moment write, with pauses of up to 0.1 s between two
        askings: among busy workers one was measured to wait for 3 s. So writers queue for the turn, which the kernel gives
        in order of asking; who has it asks often, and passes it on as soon as it writes.
        """
        if self._turn is None:
            self._turn = _make(self._database.turn_file)
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        try:
            waited, rest = 0.0, 0.0002
            while True:
                try:
                    driver.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if waited >= WRITER_LOCK_S or not is_busy(error):
                        raise
                pause(rest)
                waited, rest = waited + rest, min(rest * 1.5, 0.002)
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)


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


def _make(path: Path, exclusively: int = 0) -> int:
    """A descriptor of the file, made where it is not there. Raises FileExistsError, StorageFull, StorageFailed."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | exclusively, 0o600)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull from error
        raise StorageFailed(
            f"database.url: the file {path} cannot be made ({error.strerror}).",
            "Check that its directory exists and that eft may write to it, or correct the setting.",
        ) from error


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

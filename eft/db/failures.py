"""What a database's own errors mean in terms of eft. The one place that knows SQLite's and PostgreSQL's codes."""

from __future__ import annotations

from collections.abc import Callable
import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from eft.domain.errors import Busy, EftError, StorageFailed, StorageFull

BUSY_S = 2
"""When to try again after a lock or a connection could not be had in time."""


def _busy() -> Busy:
    return Busy(BUSY_S)


_SQLITE: dict[int, Callable[[], EftError]] = {
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_IOERR: StorageFailed,
    sqlite3.SQLITE_CANTOPEN: StorageFailed,
    sqlite3.SQLITE_CORRUPT: StorageFailed,
    sqlite3.SQLITE_NOTADB: StorageFailed,
    sqlite3.SQLITE_READONLY: StorageFailed,
    sqlite3.SQLITE_BUSY: _busy,
    sqlite3.SQLITE_LOCKED: _busy,
    sqlite3.SQLITE_PROTOCOL: _busy,
}
"""By primary result code (sqlite.org/rescode.html)."""

_POSTGRESQL: dict[str, Callable[[], EftError]] = {
    "53100": StorageFull,
    "53": _busy,
    "08": StorageFailed,
    "57P": StorageFailed,
    "58": StorageFailed,
    "XX": StorageFailed,
    "25006": StorageFailed,
    "40001": _busy,
    "40P01": _busy,
    "55P03": _busy,
}
"""By SQLSTATE or its beginning, the longest match (PostgreSQL 15, appendix A)."""

_AGAIN = frozenset({"40001", "40P01"})


def translate(error: BaseException) -> BaseException:
    """StorageFull, StorageFailed or Busy where the database means that, with `error` as the cause; otherwise `error` itself."""
    make = _meaning(error)
    if make is None:
        return error
    meant = make()
    meant.__cause__ = error
    return meant


def may_run_again(error: BaseException) -> bool:
    """Whether PostgreSQL rolled the transaction back only because it met another one: deadlock, serialization failure."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _AGAIN


def lost_connection(error: BaseException) -> bool:
    """Whether the connection is gone, so that nothing that was not committed counts."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_busy(error: BaseException) -> bool:
    """Whether a lock of SQLite could not be had in time."""
    return _meaning(error) is _busy


def _meaning(error: BaseException) -> Callable[[], EftError] | None:
    if isinstance(error, PoolExhausted):
        return _busy
    origin = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(origin, sqlite3.Error):
        return _SQLITE.get(getattr(origin, "sqlite_errorcode", -1) & 0xFF)
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(origin, "sqlstate", None)
    if state is None:
        return StorageFailed if error.connection_invalidated or type(origin).__name__ == "OperationalError" else None
    return next((_POSTGRESQL[state[:size]] for size in (5, 3, 2) if state[:size] in _POSTGRESQL), None)

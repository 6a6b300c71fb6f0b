"""The database as the rest of eft uses it: plain functions on a connection go in, results come out, durably."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, make_url

from eft.db import migrate
from eft.db.failures import translate
from eft.db.lanes import Lane
from eft.db.postgresql import Postgresql
from eft.db.sqlite import Sqlite
from eft.domain.errors import UnsafeSetting

__all__ = ["Connection", "Database"]

T = TypeVar("T")

_KINDS: dict[str, type[Sqlite | Postgresql]] = {"sqlite": Sqlite, "postgresql": Postgresql}


class Database:
    """A SQLite file (`sqlite:////absolute/path`) or a PostgreSQL database (`postgresql://user@host/name`).

    Work is a plain function that takes a connection and returns plain values. It runs in a thread, ends no transaction itself,
    has no effect but on the database, and may be run again from its beginning. Whatever it raises reaches the caller, and
    nothing of it is stored.

    Both `read` and `write` raise StorageFull, StorageFailed (disk, connection; after a lost connection during COMMIT nobody knows
    whether it was stored) and Busy (a lock that could not be had). Cancelling who waits cancels no work: it runs to its end.
    """

    def __init__(self, url: str) -> None:
        """Connects to nothing yet. Raises UnsafeSetting for a URL of another kind."""
        kind = _KINDS.get(url.partition("://")[0])
        if kind is None:
            raise UnsafeSetting("database.url names an unknown kind of database.", "Use sqlite:////… or postgresql://….")
        self._backend = kind(make_url(url))
        self._lanes: tuple[Lane, Lane] | None = None

    async def open(self) -> None:
        """Ready for work. Raises UnsafeSetting where the server is not durable or the schema another one; StorageFailed."""
        await asyncio.to_thread(self._check)
        self._lanes = self._backend.reader(), self._backend.writer()

    async def close(self) -> None:
        """Returns when all work that was begun is done. Idempotent."""
        lanes, self._lanes = self._lanes, None
        for lane in lanes or ():
            await asyncio.to_thread(lane.close)
        await asyncio.to_thread(self._backend.close)

    async def read(self, work: Callable[[Connection], T], *, snapshot: bool = True) -> T:
        """The result of work that only reads: everything committed before, and nothing half.

        With `snapshot=False`, cheaper, each statement of the work sees a state of its own: for work of one statement.
        """
        result: T = await self._open_lanes()[0].submit(work, snapshot=snapshot)
        return result

    async def write(self, work: Callable[[Connection], T]) -> T:
        """The result of the work, after its transaction is durable."""
        result: T = await self._open_lanes()[1].submit(work, snapshot=False)
        return result

    def upgrade(self) -> None:
        """Brings the schema to the newest revision, in one transaction. Blocks; any number of processes may do it at once.

        Raises UnsafeSetting where the schema is newer than this program; StorageFull, StorageFailed, Busy.
        """
        with _in_terms_of_eft(), self._backend.alone() as conn:
            migrate.to_newest(conn)

    @property
    def commits(self) -> int:
        """Transactions committed by this process so far: fewer than writes, where those share one."""
        return self._backend.commits.count

    @property
    def engine(self) -> Engine:
        """For tests and migrations of the schema. The rest goes through `read` and `write`."""
        return self._backend.engine

    def _open_lanes(self) -> tuple[Lane, Lane]:
        if self._lanes is None:
            raise RuntimeError("the database is not open")
        return self._lanes

    def _check(self) -> None:
        with _in_terms_of_eft(), self._backend.connect() as conn:
            migrate.check(conn)


@contextmanager
def _in_terms_of_eft() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        meant = translate(error)
        if meant is error:
            raise
        raise meant from error

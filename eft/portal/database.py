"""The portal's database: SQLite or PostgreSQL, its schema brought up to date with Alembic, its work done in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from eft.domain.errors import UnsafeSetting
from eft.portal.tables import SCHEMA

T = TypeVar("T")

_SCRIPTS = Path(__file__).parent / "migrations"


class Database:
    """Every piece of work is one transaction. `url` is `sqlite:///FILE` or `postgresql://…`."""

    def __init__(self, url: str) -> None:
        self.engine = _sqlite(url) if url.startswith("sqlite") else _postgresql(url)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, after its transaction is committed. Runs in a thread."""
        return await asyncio.to_thread(self.run_here, work)

    def run_here(self, work: Callable[[Connection], T]) -> T:
        """The same in the thread that asks."""
        with self.engine.begin() as conn:
            return work(conn)

    def upgrade(self) -> None:
        """Applies every revision that is missing. Raises UnsafeSetting where the schema is one of a newer eft."""
        self.run_here(_to_newest)

    def close(self) -> None:
        self.engine.dispose()


def _sqlite(url: str) -> Engine:
    """Raises UnsafeSetting."""
    file = Path(url.removeprefix("sqlite:///"))
    if not file.parent.is_dir():
        raise UnsafeSetting(f"database.url: there is no directory {file.parent}.", "Create it, or correct the setting.")
    engine = create_engine(url, pool_size=4, max_overflow=12)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, before their first statement
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # A transaction that reads and later writes would fail at the write if another one wrote in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str) -> Engine:
    return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True)


def _to_newest(conn: Connection) -> None:
    known = inspect(conn).has_table("alembic_version")
    if known and conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() == SCHEMA:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise UnsafeSetting(
            "The portal's database is not one that this version of eft knows.",
            "Run the version of eft that made it, or a newer one.",
        ) from error

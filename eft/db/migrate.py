"""The schema's revisions, applied with Alembic. The configuration is made here; there is no ini file."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from eft.db.tables import SCHEMA
from eft.domain.errors import UnsafeSetting

_SCRIPTS = Path(__file__).parent / "migrations"


def to_newest(conn: Connection) -> None:
    """Applies, in the connection's transaction, every revision that is missing. Raises UnsafeSetting for a newer schema."""
    if revision(conn) == SCHEMA:
        return
    from alembic import command  # 20 MiB that a gateway needs once
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = conn
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise UnsafeSetting(
            "The database's schema is unknown to this version of eft.", "Run the version of eft that made it, or a newer one."
        ) from error


def check(conn: Connection) -> None:
    """Raises UnsafeSetting where the schema is not the one that tables.py describes."""
    found = revision(conn)
    if found != SCHEMA:
        raise UnsafeSetting(
            f"The database's schema is {found or 'missing'}; this version of eft needs {SCHEMA}.", "Upgrade the database, or eft."
        )


def revision(conn: Connection) -> str | None:
    """The revision that the database has, None for an empty one."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    return conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()

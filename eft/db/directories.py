"""Directories that a client made in its case. Paths are relative, `/` between components, already checked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select

from eft.db.rows import insert_new
from eft.db.tables import directories
from eft.domain.errors import AlreadyExists, NotFound


def make(conn: Connection, case_id: str, path: str, at: datetime, actor: str) -> None:
    """Raises AlreadyExists."""
    if not insert_new(conn, directories, {"case_id": case_id, "path": path, "created_at": at, "actor": actor}):
        raise AlreadyExists


def remove(conn: Connection, case_id: str, path: str) -> None:
    """That directory alone, not what is below it. Raises NotFound."""
    if conn.execute(delete(directories).where(directories.c.case_id == case_id, directories.c.path == path)).rowcount != 1:
        raise NotFound


def exists(conn: Connection, case_id: str, path: str) -> bool:
    query = select(directories.c.path).where(directories.c.case_id == case_id, directories.c.path == path)
    return conn.execute(query).one_or_none() is not None


def of_case(conn: Connection, case_id: str) -> dict[str, datetime]:
    """Every directory of the case and when it was made, sorted by path."""
    query = select(directories.c.path, directories.c.created_at).where(directories.c.case_id == case_id)
    return dict(sorted((path, at) for path, at in conn.execute(query)))

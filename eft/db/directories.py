"""Directories that a client made in its case. Paths are relative, `/` between components, already checked."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select

from eft.db.paths import Below
from eft.db.rows import insert_new
from eft.db.statements import Statement
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


def made_at(conn: Connection, case_id: str, path: str) -> datetime | None:
    """None where nobody made it."""
    row = _MADE_AT.row(conn, {"its_case": case_id, "its_path": path})
    return None if row is None else row[0]


def is_any_below(conn: Connection, case_id: str, path: str) -> bool:
    return bool(_BELOW.rows(conn, case_id, path))


def of_case(conn: Connection, case_id: str) -> dict[str, datetime]:
    """Every directory of the case and when it was made, sorted by path."""
    query = select(directories.c.path, directories.c.created_at).where(directories.c.case_id == case_id)
    return dict(sorted((path, at) for path, at in conn.execute(query)))


_ITS_CASE = bindparam("its_case", type_=directories.c.case_id.type)
_MADE_AT = Statement(
    select(directories.c.created_at).where(directories.c.case_id == _ITS_CASE, directories.c.path == bindparam("its_path"))
)
_BELOW = Below(select(directories.c.path).where(directories.c.case_id == _ITS_CASE).limit(1), directories.c.path)

"""Which names of a client's directory anything at all has."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from eft.db.in_lists import in_lists
from eft.db.paths import Below
from eft.db.tables import attachments, directories, uploads


def taken(conn: Connection, case_id: str, directory: str, most: int) -> set[str] | None:
    """The names directly in `directory` (`""`: the root) that an upload, an attachment, in whatever state, or a directory has, or
    leads to something below. None where more than `most` rows would have to be looked at for one of the three kinds."""
    start = len(directory) + 1 if directory else 0
    found: set[str] = set()
    for below in _BELOW:
        rows = below.rows(conn, case_id, directory, most=most + 1)
        if len(rows) > most:
            return None
        found.update([path[start:].partition("/")[0] for (path,) in rows])
    return found


def had(conn: Connection, case_id: str, asked: Collection[str]) -> set[str]:
    """Those of a few names that an upload or an attachment of the case has, in whatever state."""
    found: set[str] = set()
    for some in in_lists(asked):
        for table in (uploads, attachments):
            query = select(table.c.name).where(table.c.case_id == case_id, table.c.name.in_(some))
            found.update(conn.execute(query).scalars())
    return found


_BELOW = tuple(
    Below(
        select(path)
        .where(path.table.c.case_id == bindparam("its_case", type_=path.table.c.case_id.type))
        .limit(bindparam("most")),
        path,
    )
    for path in (uploads.c.name, attachments.c.name, directories.c.path)
)

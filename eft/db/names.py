"""Which names of a client's directory anything at all has."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from eft.db.paths import Below
from eft.db.statements import Statement
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
    left = list(asked)
    while left:
        some, left = left[:_AT_ONCE], left[_AT_ONCE:]
        given = {f"name_{at}": some[min(at, len(some) - 1)] for at in range(_AT_ONCE)}
        for statement in _HAD:
            found.update(name for (name,) in statement.rows(conn, {"its_case": case_id, **given}))
    return found


_AT_ONCE = 32
_HAD = tuple(
    Statement(
        select(table.c.name).where(
            table.c.case_id == bindparam("its_case", type_=table.c.case_id.type),
            table.c.name.in_([bindparam(f"name_{at}", type_=table.c.name.type) for at in range(_AT_ONCE)]),
        )
    )
    for table in (uploads, attachments)
)
_BELOW = tuple(
    Below(
        select(path)
        .where(path.table.c.case_id == bindparam("its_case", type_=path.table.c.case_id.type))
        .limit(bindparam("most")),
        path,
    )
    for path in (uploads.c.name, attachments.c.name, directories.c.path)
)

"""Rows whose path lies below another: names are paths, and a directory is there as soon as something is in it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, bindparam

from eft.db.statements import Row, Statement

_AFTER = chr(ord("/") + 1)
"""What is below `a` lies between `a/` and `a0`, in the order of code points."""
_BEHIND_ALL = chr(0x10FFFF) * 64
"""No name is longer, and none has a greater character: what is below the root lies before it."""


class Below:
    """A SELECT of one case's rows, of those whose `path` is below a given one. `query` binds the case as `its_case`."""

    def __init__(self, query: Select[Any], path: Column[Any]) -> None:
        # SQLite compares bytes, by an index; PostgreSQL has to be told to.
        orders: dict[str, ColumnElement[Any]] = {"sqlite": path, "postgresql": path.collate("C")}
        first, after = (bindparam(name, type_=path.type) for name in ("first", "after"))
        self._by_dialect = {
            dialect: Statement(query.where(and_(order >= first, order < after))) for dialect, order in orders.items()
        }

    def rows(self, conn: Connection, case_id: str, path: str, **more: object) -> list[Row]:
        """`path`: `""` is the root. `more`: what else the query binds."""
        first, after = (f"{path}/", f"{path}{_AFTER}") if path else ("", _BEHIND_ALL)
        given = {"its_case": case_id, "first": first, "after": after, **more}
        return self._by_dialect[conn.dialect.name].rows(conn, given)

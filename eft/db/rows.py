"""Between rows and the records they stand for, whose fields have the columns' names."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")


def values(table: Table, record: object) -> dict[str, Any]:
    """The record's fields, by column."""
    return {column.name: getattr(record, column.name) for column in table.columns}


def record(kind: type[T], row: Row[Any]) -> T:
    """The record that this row stands for; the row has exactly its columns."""
    return kind(**row._mapping)


def insert_new(conn: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Inserts the row, or changes nothing where a key or a unique column is taken; says whether it inserted.

    Unlike a failed INSERT this leaves a PostgreSQL transaction usable. A second inserter waits for the first one's end.
    """
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    query = insert(table).values(row).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    return conn.execute(query).rowcount == 1

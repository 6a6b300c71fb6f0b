"""Where a page of a list ended: an opaque text for the client, the key of the last row for us."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Select, literal, tuple_

from eft.db.columns import from_microseconds, to_microseconds
from eft.domain.errors import Invalid

MOST = 1000
"""Rows on one page, whatever is asked for."""


def encode(at: datetime, key: str) -> str:
    """The cursor of a row, from the instant and the id that the list is sorted by."""
    return urlsafe_b64encode(f"{to_microseconds(at)}.{key}".encode()).decode().rstrip("=")


def decode(cursor: str) -> tuple[datetime, str]:
    """What `encode` was given. Raises Invalid for anything that did not come from it."""
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        at, dot, key = text.partition(".")
        if not dot or not key or "\0" in key:
            raise ValueError
        return from_microseconds(int(at)), key
    except (ValueError, NotBase64, OverflowError) as error:
        raise Invalid("The cursor is not one that this list gave.", "Start again without a cursor.") from error


def page(query: Select[Any], at: Column[Any], key: Column[Any], cursor: str | None, limit: int) -> Select[Any]:
    """The query, newest first, going on after `cursor`. It asks for one row more than `limit`, which tells whether there is more.

    Rows that come in meanwhile are newer than the cursor, so that no page repeats or misses a row.
    """
    if cursor is not None:
        last_at, last_key = decode(cursor)
        query = query.where(tuple_(at, key) < tuple_(literal(last_at, at.type), literal(last_key, key.type)))
    return query.order_by(at.desc(), key.desc()).limit(bounded(limit) + 1)


def bounded(limit: int) -> int:
    """`limit`, within 1 and MOST."""
    return max(1, min(limit, MOST))

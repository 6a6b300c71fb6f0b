"""The audit log: one row for each act, written in the transaction that does it. Rows are never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from eft.db import cursors
from eft.db.rows import record as as_record
from eft.db.statements import Statement
from eft.db.tables import audit
from eft.domain.actor import Actor
from eft.domain.errors import Invalid

_INSERT = Statement(audit.insert().inline(), keys=("at", "actor", "address", "action", "case_id", "subject", "outcome", "detail"))
"""`inline`: the new id is not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One act: who (`actor`, from `address`), when, what (`noun.verb`), on what (`subject`, of a case or none), how it ended."""

    id: int
    at: datetime
    actor: str
    address: str
    action: str
    case_id: str | None
    subject: str
    outcome: str
    detail: Mapping[str, Any]


def record(
    conn: Connection,
    *,
    at: datetime,
    actor: Actor,
    action: str,
    case_id: str | None,
    subject: str = "",
    outcome: str = "ok",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Adds one row. `detail` is JSON and holds no secret."""
    _INSERT.run(
        conn,
        {
            "at": at,
            "actor": actor.name,
            "address": actor.address,
            "action": action,
            "case_id": case_id,
            "subject": subject,
            "outcome": outcome,
            "detail": dict(detail or {}),
        },
    )


def page(conn: Connection, cursor: str | None, limit: int, *, case_id: str | None = None) -> tuple[list[AuditRecord], str | None]:
    """At most `limit` records, of one case or of all, newest first, and the cursor of the next page or None.

    Raises Invalid for a bad cursor.
    """
    query = select(audit).order_by(audit.c.id.desc()).limit(cursors.bounded(limit) + 1)
    if case_id is not None:
        query = query.where(audit.c.case_id == case_id)
    if cursor is not None:
        query = query.where(audit.c.id < _row_id(cursor))
    rows = conn.execute(query).all()
    kept = [as_record(AuditRecord, row) for row in rows[: cursors.bounded(limit)]]
    return kept, cursors.encode(kept[-1].at, str(kept[-1].id)) if len(rows) > len(kept) else None


def last_at(conn: Connection, action: str) -> datetime | None:
    """When that was last done, None if never."""
    query = select(audit.c.at).where(audit.c.action == action).order_by(audit.c.id.desc()).limit(1)
    return conn.execute(query).scalar_one_or_none()


def _row_id(cursor: str) -> int:
    _, key = cursors.decode(cursor)
    if not (key.isdecimal() and len(key) <= 18):
        raise Invalid("The cursor is not one that this list gave.", "Start again without a cursor.")
    return int(key)

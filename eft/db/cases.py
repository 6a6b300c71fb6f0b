"""Cases: what the gateway knows of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, select, update

from eft.db import cursors
from eft.db.in_lists import in_lists
from eft.db.rows import insert_new, record, values
from eft.db.statements import Records
from eft.db.tables import cases
from eft.domain.case import Case, CaseStatus, PurgeState
from eft.domain.errors import AlreadyExists, CasePurging, NotFound

_BY_ID = select(cases).where(cases.c.id == bindparam("id"))
_GET, _LOCK = Records(Case, _BY_ID), Records(Case, _BY_ID.with_for_update())
_SAVE = update(cases).where(cases.c.id == bindparam("its_id"))


def insert(conn: Connection, case: Case) -> None:
    """A new case. Raises AlreadyExists, which leaves the transaction as it was."""
    if not insert_new(conn, cases, values(cases, case)):
        raise AlreadyExists


def get(conn: Connection, case_id: str) -> Case | None:
    return _GET.one(conn, {"id": case_id})


def lock(conn: Connection, case_id: str) -> Case | None:
    """The case; nobody else changes it before this transaction ends. (On SQLite a writer is alone anyway.)"""
    return _LOCK.one(conn, {"id": case_id})


def save(conn: Connection, case: Case) -> None:
    """Every field. Lock it first. Raises NotFound."""
    row = values(cases, case)
    if conn.execute(_SAVE.values(row), {"its_id": case.id}).rowcount != 1:
        raise NotFound


def page(conn: Connection, cursor: str | None, limit: int) -> tuple[list[Case], str | None]:
    """At most `limit` cases, newest first, and the cursor of the next page or None. Raises Invalid for a bad cursor."""
    rows = conn.execute(cursors.page(select(cases), cases.c.created_at, cases.c.id, cursor, limit)).all()
    kept = [record(Case, row) for row in rows[: cursors.bounded(limit)]]
    return kept, cursors.encode(kept[-1].created_at, kept[-1].id) if len(rows) > len(kept) else None


def closed_before(conn: Connection, instant: datetime) -> list[Case]:
    """Closed cases whose data is not purged yet: with `closed_at` at or before the instant, held ones too, and those whose purge
    has begun, whatever the clock says now. The longest closed first."""
    query = select(cases).where(
        cases.c.status == CaseStatus.CLOSED,
        cases.c.purge != PurgeState.PURGED,
        or_(cases.c.closed_at <= instant, cases.c.purge == PurgeState.PURGING),
    )
    return [record(Case, row) for row in conn.execute(query.order_by(cases.c.closed_at, cases.c.id))]


def untouched_by_uid(conn: Connection, uids: Collection[str]) -> list[Case]:
    """The cases that have one of these uids and of which no purge has begun, as far as this database knows."""
    found: list[Case] = []
    for asked in in_lists(uids):
        query = select(cases).where(cases.c.uid.in_(asked), cases.c.purge == PurgeState.NONE)
        found.extend(record(Case, row) for row in conn.execute(query))
    return found


def set_key_slot(conn: Connection, case_id: str, slot: int) -> int:
    """The slot of the case's key: `slot`, or the one that somebody else set before (then `slot` is not needed).

    Raises NotFound; CasePurging where the case's data is being purged or has been.
    """
    conn.execute(
        update(cases)
        .where(cases.c.id == case_id, cases.c.key_slot.is_(None), cases.c.purge == PurgeState.NONE)
        .values(key_slot=slot)
    )
    case = get(conn, case_id)
    if case is None:
        raise NotFound
    if case.key_slot is None or case.purge is not PurgeState.NONE:
        raise CasePurging
    return case.key_slot

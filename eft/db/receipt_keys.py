"""The keys that sign receipts: the public half of each that ever signed, and where the key store has the private one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from eft.db.rows import insert_new, record, values
from eft.db.tables import receipt_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptKey:
    """One key. `turn` counts the keys of the region from 1, without a gap; the last one signs. `public_key` is 32 raw bytes.

    A retired key has no `slot`: its private half is destroyed, and what it signed still verifies.
    """

    kid: str
    public_key: bytes
    slot: int | None
    made_at: datetime
    turn: int
    retired_at: datetime | None = None


def all_keys(conn: Connection) -> list[ReceiptKey]:
    """Newest first: the first one signs."""
    return [record(ReceiptKey, row) for row in conn.execute(select(receipt_keys).order_by(receipt_keys.c.turn.desc()))]


def current(conn: Connection) -> ReceiptKey | None:
    """The key that signs."""
    row = conn.execute(select(receipt_keys).order_by(receipt_keys.c.turn.desc()).limit(1)).one_or_none()
    return None if row is None else record(ReceiptKey, row)


def succeed(conn: Connection, key: ReceiptKey) -> bool:
    """Makes `key` the one that signs, and retires the one before its turn. Of several at one turn exactly one succeeds."""
    if not insert_new(conn, receipt_keys, values(receipt_keys, key)):
        return False
    before = update(receipt_keys).where(receipt_keys.c.turn < key.turn, receipt_keys.c.retired_at.is_(None))
    conn.execute(before.values(retired_at=key.made_at))
    return True


def forget_slot(conn: Connection, kid: str) -> None:
    """The private half of a retired key is destroyed."""
    conn.execute(update(receipt_keys).where(receipt_keys.c.kid == kid).values(slot=None))

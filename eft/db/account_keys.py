"""Public keys that are registered with temporary accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from eft.db.rows import insert_new, record, values
from eft.db.tables import account_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """One registered key. `kind`, `bits`, `comment`, `blob` and `fingerprint` as in eft.domain.public_key; `added_by` as the
    audit log names who did."""

    id: str
    account_id: str
    fingerprint: str
    kind: str
    bits: int
    comment: str
    blob: bytes
    added_at: datetime
    added_by: str


def insert(conn: Connection, key: AccountKey) -> bool:
    """Adds the key; False where the account has it already."""
    return insert_new(conn, account_keys, values(account_keys, key))


def of_account(conn: Connection, account_id: str) -> list[AccountKey]:
    """Its keys, newest first."""
    query = select(account_keys).where(account_keys.c.account_id == account_id)
    rows = conn.execute(query.order_by(account_keys.c.added_at.desc(), account_keys.c.id.desc()))
    return [record(AccountKey, row) for row in rows]


def find(conn: Connection, account_id: str, fingerprint: str) -> AccountKey | None:
    """The account's key of that fingerprint."""
    query = select(account_keys).where(account_keys.c.account_id == account_id, account_keys.c.fingerprint == fingerprint)
    row = conn.execute(query).one_or_none()
    return None if row is None else record(AccountKey, row)


def remove(conn: Connection, account_id: str, key_id: str) -> AccountKey | None:
    """Takes one key of the account away; gives it, or None where there is none."""
    mine = (account_keys.c.account_id == account_id) & (account_keys.c.id == key_id)
    row = conn.execute(select(account_keys).where(mine).with_for_update()).one_or_none()
    if row is None:
        return None
    conn.execute(delete(account_keys).where(mine))
    return record(AccountKey, row)


def clear(conn: Connection, account_id: str) -> None:
    """Takes all keys of the account away."""
    conn.execute(delete(account_keys).where(account_keys.c.account_id == account_id))

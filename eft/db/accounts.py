"""Temporary SFTP accounts. A password is here only as its hash; where it can be shown from is a slot of the key store."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, or_, select, update

from eft.db.in_lists import in_lists
from eft.db.rows import insert_new, record, values
from eft.db.tables import accounts
from eft.domain.account import TemporaryAccount
from eft.domain.errors import AlreadyExists

_BY_USERNAME = select(accounts).where(accounts.c.username == bindparam("username"))


def insert(conn: Connection, account: TemporaryAccount) -> None:
    """A new account. Raises AlreadyExists where its user name is taken."""
    if not insert_new(conn, accounts, values(accounts, account)):
        raise AlreadyExists


def by_username(conn: Connection, username: str) -> TemporaryAccount | None:
    """The account, alive or not."""
    row = conn.execute(_BY_USERNAME, {"username": username}).one_or_none()
    return None if row is None else record(TemporaryAccount, row)


def alive_of_case(conn: Connection, case_id: str, now: datetime) -> TemporaryAccount | None:
    """The case's account that may be used at this instant, the newest one."""
    query = select(accounts).where(accounts.c.case_id == case_id, _alive(now))
    row = conn.execute(query.order_by(accounts.c.created_at.desc(), accounts.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else record(TemporaryAccount, row)


def revoke_case(conn: Connection, case_id: str, now: datetime) -> list[TemporaryAccount]:
    """Ends every account of the case that is alive; returns them as they are now. Lock the case first."""
    living = select(accounts).where(accounts.c.case_id == case_id, _alive(now)).with_for_update()
    ids = [row.id for row in conn.execute(living)]
    if not ids:
        return []
    conn.execute(update(accounts).where(accounts.c.id.in_(ids)).values(revoked_at=now))
    return [record(TemporaryAccount, row) for row in conn.execute(select(accounts).where(accounts.c.id.in_(ids)))]


def alive(conn: Connection, ids: Collection[str], now: datetime) -> set[str]:
    """Those of these accounts (ids) that may be used at this instant."""
    found: set[str] = set()
    for asked in in_lists(ids):
        query = select(accounts.c.id).where(accounts.c.id.in_(asked), _alive(now))
        found.update(conn.execute(query).scalars())
    return found


def secrets_due(conn: Connection, now: datetime) -> list[TemporaryAccount]:
    """Accounts that are over, expired or revoked, whose password can still be shown from its slot."""
    over = or_(accounts.c.expires_at <= now, accounts.c.revoked_at.is_not(None))
    query = select(accounts).where(accounts.c.secret_slot.is_not(None), over).order_by(accounts.c.expires_at, accounts.c.id)
    return [record(TemporaryAccount, row) for row in conn.execute(query)]


def clear_secret(conn: Connection, account_id: str) -> None:
    """Forgets the slot, once the key store has erased it, and the hash with it. Idempotent."""
    conn.execute(update(accounts).where(accounts.c.id == account_id).values(secret_slot=None, password_hash=""))


def _alive(now: datetime) -> ColumnElement[bool]:
    return and_(accounts.c.revoked_at.is_(None), accounts.c.expires_at > now)

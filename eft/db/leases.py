"""Leases: which process does a job that only one may do at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, or_, update

from eft.db.rows import insert_new
from eft.db.tables import leases


def acquire(conn: Connection, name: str, holder: str, now: datetime, seconds: float) -> bool:
    """Takes or renews the lease for so many seconds from now. False where another holder's has not run out.

    One that would run longer than a new one comes from before the clock was set back, and counts as run out.
    """
    until = now + timedelta(seconds=seconds)
    free = or_(leases.c.holder == holder, leases.c.expires_at <= now, leases.c.expires_at > until)
    taken = conn.execute(update(leases).where(leases.c.name == name, free).values(holder=holder, expires_at=until))
    return taken.rowcount == 1 or insert_new(conn, leases, {"name": name, "holder": holder, "expires_at": until})


def release(conn: Connection, name: str, holder: str) -> None:
    """Gives the lease up early, where it is this holder's. Idempotent."""
    conn.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))

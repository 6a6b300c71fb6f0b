"""How often something may be tried: counted before it is tried, so that many tries at once do not slip through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection, delete, func, insert, select

from eft.portal.tables import attempts


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `tries` within `span`."""

    kind: str
    tries: int
    span: timedelta


SIGN_IN_BY_ACCOUNT = Limit("sign-in-account", 10, timedelta(minutes=15))
SIGN_IN_BY_ADDRESS = Limit("sign-in-address", 50, timedelta(minutes=15))
RESET_BY_ACCOUNT = Limit("reset-account", 3, timedelta(hours=1))
RESET_BY_ADDRESS = Limit("reset-address", 20, timedelta(hours=1))
_LONGEST = timedelta(hours=2)


def take(conn: Connection, limit: Limit, subject: str, now: datetime) -> bool:
    """Notes one try of `subject`; False where it is one too many, which is then not counted."""
    key = _key(limit, subject)
    if conn.dialect.name == "postgresql":  # SQLite's transactions take turns by themselves
        conn.execute(select(func.pg_advisory_xact_lock(func.hashtext(key))))
    conn.execute(delete(attempts).where(attempts.c.at < now - _LONGEST))
    since = now - limit.span
    tried = conn.execute(select(func.count()).where(attempts.c.subject == key, attempts.c.at > since)).scalar_one()
    if tried >= limit.tries:
        return False
    conn.execute(insert(attempts).values(subject=key, at=now))
    return True


def forget(conn: Connection, limit: Limit, subject: str) -> None:
    """After a success: nothing was tried."""
    conn.execute(delete(attempts).where(attempts.c.subject == _key(limit, subject)))


def _key(limit: Limit, subject: str) -> str:
    return f"{limit.kind}:{sha256(subject.encode()).hexdigest()[:40]}"

"""Sessions, kept here so that they can be ended; the browser holds a random secret, the portal its digest."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
import secrets

from sqlalchemy import Connection, delete, insert, select, update

from eft.domain.errors import NotFound
from eft.portal import people
from eft.portal.people import Person
from eft.portal.tables import sessions

COOKIE = "__Host-eft-portal"
IDLE = timedelta(hours=2)
LONGEST = timedelta(hours=12)
_TOUCH_EVERY = timedelta(minutes=1)


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def begin(conn: Connection, person: Person, now: datetime) -> str:
    """A new session of `person`: the secret for its cookie. Sessions that are over are cleared away."""
    conn.execute(delete(sessions).where((sessions.c.created_at < now - LONGEST) | (sessions.c.touched_at < now - IDLE)))
    secret = new_secret()
    conn.execute(insert(sessions).values(hash=digest(secret), person_id=person.id, created_at=now, touched_at=now))
    return secret


def person_of(conn: Connection, secret: str, now: datetime) -> Person | None:
    """Whose session it is; None where it is unknown or over."""
    found = conn.execute(select(sessions).where(sessions.c.hash == digest(secret))).one_or_none()
    if found is None or now >= found.created_at + LONGEST or now >= found.touched_at + IDLE:
        return None
    if now >= found.touched_at + _TOUCH_EVERY:
        conn.execute(update(sessions).where(sessions.c.hash == found.hash).values(touched_at=now))
    try:
        return people.get(conn, found.person_id)
    except NotFound:
        return None


def end(conn: Connection, secret: str) -> None:
    conn.execute(delete(sessions).where(sessions.c.hash == digest(secret)))


def digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()

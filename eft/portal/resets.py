"""Links that set a new password: random, good once and for half an hour."""

from __future__ import annotations

from datetime import datetime, timedelta
import secrets

from sqlalchemy import Connection, delete, insert, select

from eft.portal import people
from eft.portal.people import Person
from eft.portal.sessions import digest
from eft.portal.tables import resets

GOOD_FOR = timedelta(minutes=30)


def issue(conn: Connection, person: Person, now: datetime) -> str:
    """The secret of a new link for `person`."""
    conn.execute(delete(resets).where(resets.c.expires_at <= now))
    secret = secrets.token_urlsafe(32)
    conn.execute(insert(resets).values(hash=digest(secret), person_id=person.id, expires_at=now + GOOD_FOR))
    return secret


def person_of(conn: Connection, secret: str, now: datetime) -> Person | None:
    """Whom the link is for; None where it is unknown, used or expired. Does not use it up."""
    found = conn.execute(select(resets).where(resets.c.hash == digest(secret))).one_or_none()
    if found is None or now >= found.expires_at:
        return None
    return people.get(conn, found.person_id)


def use(conn: Connection, secret: str, password_hash: str, now: datetime) -> Person | None:
    """Sets the password and uses up the link; ends that person's sessions. None where it is not good any more."""
    person = person_of(conn, secret, now)
    if person is None or not conn.execute(delete(resets).where(resets.c.hash == digest(secret))).rowcount:
        return None
    people.set_password(conn, person.id, password_hash)
    return person

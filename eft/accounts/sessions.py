"""The browser sessions of the Transfer Files page: one person, one region, the cases that were opened from the portal.

A cookie stands for a session. Opening a second case adds it, so that two pop-ups work side by side; another person's launch
replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
import re
import secrets

from eft.db import launches as rows
from eft.db.engine import Connection, Database
from eft.db.launches import PageSession
from eft.domain.clock import Clock
from eft.domain.person import Person

LIFETIME = timedelta(days=7)
"""A case may be seen for so long after it was opened from the portal."""

IDLE = timedelta(hours=24)
"""A session that nothing came from for so long is over."""

TOUCH = timedelta(minutes=5)
"""How exactly the last use is known: a long upload writes to the database no more often."""

_COOKIE = re.compile(r"eft_([a-z0-9-]{1,32})_page_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who a cookie stands for, and the cases that they may see now."""

    session_id: str
    person: Person
    case_ids: frozenset[str]


class PageSessions:
    """Looks cookies up. Only their SHA-256 is stored."""

    def __init__(self, *, database: Database, clock: Clock, region: str) -> None:
        self._database = database
        self._clock = clock
        self._region = region

    async def visitor(self, cookie: str) -> Visitor | None:
        """Whom the cookie stands for; None where it is unknown or over. Keeps the session alive."""
        found = _COOKIE.fullmatch(cookie)
        if found is None or found.group(1) != self._region:
            return None
        digest = hash_of(cookie)
        session = await self._database.read(lambda conn: rows.session_by_hash(conn, digest))
        now = self._clock.now()
        if session is None or not is_alive(session, now):
            return None
        if now - session.touched_at >= TOUCH:
            await self._database.write(lambda conn: rows.touch(conn, session.id, now))
        return Visitor(session.id, session.person, frozenset(case for case, until in session.grants.items() if now < until))

    async def forget_expired(self) -> int:
        """Removes sessions that are over. Returns how many."""
        now = self._clock.now()
        return await self._database.write(lambda conn: rows.forget_sessions(conn, now, now - IDLE))


def is_alive(session: PageSession, now: datetime) -> bool:
    return now < session.expires_at and now < session.touched_at + IDLE


def open_session(conn: Connection, cookie: str | None, person: Person, case_id: str, now: datetime, region: str) -> str:
    """The cookie of a session in which `person` may see the case: the one that was sent, where it is theirs and alive; a new one
    otherwise. Somebody else's session in the same browser ends."""
    until = now + LIFETIME
    before = rows.session_by_hash(conn, hash_of(cookie)) if cookie is not None else None
    if cookie is not None and before is not None and is_alive(before, now) and before.person.is_same_as(person):
        if rows.grant(conn, before.id, case_id, until, now):
            rows.rename(conn, before.id, person)
            return cookie
    elif before is not None:
        rows.delete_session(conn, before.id)
    fresh = f"eft_{region}_page_{secrets.token_urlsafe(32)}"
    session = PageSession(
        id=secrets.token_hex(16), hash=hash_of(fresh), person=person, created_at=now, expires_at=until, touched_at=now
    )
    rows.insert_session(conn, session)
    rows.grant(conn, session.id, case_id, until, now)
    return fresh


def hash_of(secret: str) -> str:
    """What is stored of a ticket or a cookie: 256 random bits need no slow hash."""
    return sha256(secret.encode()).hexdigest()

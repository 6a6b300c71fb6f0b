"""Launch tickets, and the browser sessions they turn into. Only the SHA-256 of a ticket or a cookie is here, in hex."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from eft.db.rows import insert_new
from eft.db.tables import launch_tickets, page_grants, page_sessions
from eft.domain.person import Person

_SESSION_BY_HASH = select(page_sessions).where(page_sessions.c.hash == bindparam("hash"))
_GRANTS = select(page_grants.c.case_id, page_grants.c.expires_at).where(page_grants.c.session_id == bindparam("session_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTicket:
    """A ticket for one case: good until, and not at, `expires_at`, and until it is used. `hash` in hex."""

    hash: str
    case_id: str
    person: Person
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSession:
    """One person's browser. `grants` has, by case id, until when the case may be seen; `expires_at` is the last of them.
    `touched_at` is when it was last used, to within some minutes."""

    id: str
    hash: str
    person: Person
    created_at: datetime
    expires_at: datetime
    touched_at: datetime
    grants: dict[str, datetime] = field(default_factory=dict)


def insert_ticket(conn: Connection, ticket: LaunchTicket) -> None:
    conn.execute(
        launch_tickets.insert(),
        {
            "hash": ticket.hash,
            "case_id": ticket.case_id,
            **_of_person(ticket.person),
            "created_at": ticket.created_at,
            "expires_at": ticket.expires_at,
            "used_at": ticket.used_at,
        },
    )


def ticket_by_hash(conn: Connection, hash: str) -> LaunchTicket | None:
    """The ticket, used and expired ones too, until they are forgotten."""
    row = conn.execute(select(launch_tickets).where(launch_tickets.c.hash == hash)).one_or_none()
    if row is None:
        return None
    return LaunchTicket(
        hash=row.hash,
        case_id=row.case_id,
        person=_person(row),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )


def use_ticket(conn: Connection, hash: str, now: datetime) -> bool:
    """Uses the ticket up. True for exactly one caller, and not from its expiry on."""
    good = (launch_tickets.c.hash == hash, launch_tickets.c.used_at.is_(None), launch_tickets.c.expires_at > now)
    return conn.execute(update(launch_tickets).where(*good).values(used_at=now)).rowcount == 1


def forget_tickets(conn: Connection, before: datetime) -> int:
    """Removes tickets that expired before that; how many."""
    return conn.execute(delete(launch_tickets).where(launch_tickets.c.expires_at < before)).rowcount


def insert_session(conn: Connection, session: PageSession) -> None:
    """A new session, without its grants."""
    conn.execute(
        page_sessions.insert(),
        {
            "id": session.id,
            "hash": session.hash,
            **_of_person(session.person),
            "created_at": session.created_at,
            "expires_at": session.expires_at,
            "touched_at": session.touched_at,
        },
    )


def session_by_hash(conn: Connection, hash: str) -> PageSession | None:
    """The session with its grants, over or not."""
    row = conn.execute(_SESSION_BY_HASH, {"hash": hash}).one_or_none()
    if row is None:
        return None
    return PageSession(
        id=row.id,
        hash=row.hash,
        person=_person(row),
        created_at=row.created_at,
        expires_at=row.expires_at,
        touched_at=row.touched_at,
        grants={grant.case_id: grant.expires_at for grant in conn.execute(_GRANTS, {"session_id": row.id})},
    )


def grant(conn: Connection, session_id: str, case_id: str, expires_at: datetime, now: datetime) -> bool:
    """The session may see the case until then, and lives as long. False where the session is gone meanwhile."""
    alive = update(page_sessions).where(page_sessions.c.id == session_id)
    if conn.execute(alive.values(expires_at=expires_at, touched_at=now)).rowcount != 1:
        return False
    row = {"session_id": session_id, "case_id": case_id, "expires_at": expires_at}
    if not insert_new(conn, page_grants, row):
        again = update(page_grants).where(page_grants.c.session_id == session_id, page_grants.c.case_id == case_id)
        conn.execute(again.values(expires_at=expires_at))
    return True


def touch(conn: Connection, session_id: str, now: datetime) -> None:
    """The session was used; never set back."""
    older = (page_sessions.c.id == session_id, page_sessions.c.touched_at < now)
    conn.execute(update(page_sessions).where(*older).values(touched_at=now))


def rename(conn: Connection, session_id: str, person: Person) -> None:
    """The name that the page calls its person by."""
    conn.execute(update(page_sessions).where(page_sessions.c.id == session_id).values(**_of_person(person)))


def delete_session(conn: Connection, session_id: str) -> bool:
    """Removes the session and its grants; whether there was one."""
    return conn.execute(delete(page_sessions).where(page_sessions.c.id == session_id)).rowcount == 1


def forget_sessions(conn: Connection, now: datetime, untouched_since: datetime) -> int:
    """Removes sessions that are over: expired at this instant, or last used at that one or before; how many."""
    over = (page_sessions.c.expires_at <= now) | (page_sessions.c.touched_at <= untouched_since)
    return conn.execute(delete(page_sessions).where(over)).rowcount


def forget_case(conn: Connection, case_id: str) -> None:
    """No session may see the case any more, and no ticket for it is good."""
    conn.execute(delete(page_grants).where(page_grants.c.case_id == case_id))
    conn.execute(delete(launch_tickets).where(launch_tickets.c.case_id == case_id))


def _of_person(person: Person) -> dict[str, Any]:
    return {"name": person.name, "email": person.email, "role": person.role}


def _person(row: Row[Any]) -> Person:
    return Person(row.name, row.email, row.role)

"""What customers ask of staff: a temporary account (K21), and reopenings, which staff are told of (K19)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
import secrets
from typing import Any

from sqlalchemy import Connection, insert, select, update

from eft.portal.people import Person
from eft.portal.tables import cases, organisations, people, requests


class Kind(StrEnum):
    ACCOUNT = "account"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked by `name` (`email`) of the organisation that the case belongs to."""

    id: str
    case_id: str
    subject: str
    region: str
    organisation: str
    kind: Kind
    name: str
    email: str
    text: str
    created_at: datetime
    done_at: datetime | None


def ask(conn: Connection, case_id: str, kind: Kind, person: Person, text: str, now: datetime) -> None:
    """Notes a request. One for an account that waits already is not made twice."""
    if kind is Kind.ACCOUNT and waiting(conn, case_id, kind):
        return
    conn.execute(
        insert(requests).values(
            id=secrets.token_hex(16), case_id=case_id, kind=kind.value, person_id=person.id, text=text, created_at=now
        )
    )


def waiting(conn: Connection, case_id: str, kind: Kind) -> Request | None:
    """The oldest request of that kind that waits."""
    found = conn.execute(
        _SELECT.where(requests.c.case_id == case_id, requests.c.kind == kind.value, requests.c.done_at.is_(None)).order_by(
            requests.c.created_at
        )
    ).first()
    return None if found is None else _request(found)


def queue(conn: Connection) -> list[Request]:
    """Everything that waits for staff, the oldest first."""
    return [_request(row) for row in conn.execute(_SELECT.where(requests.c.done_at.is_(None)).order_by(requests.c.created_at))]


def reopenings(conn: Connection, case_id: str) -> list[Request]:
    """With what new information the case was reopened, the newest first."""
    of_case = _SELECT.where(requests.c.case_id == case_id, requests.c.kind == Kind.REOPEN.value)
    return [_request(row) for row in conn.execute(of_case.order_by(requests.c.created_at.desc()))]


def get(conn: Connection, request_id: str) -> Request | None:
    found = conn.execute(_SELECT.where(requests.c.id == request_id)).one_or_none()
    return None if found is None else _request(found)


def done(conn: Connection, request_id: str, person: Person, now: datetime) -> None:
    """Takes a request off the queue. Repeatable."""
    change = update(requests).where(requests.c.id == request_id, requests.c.done_at.is_(None))
    conn.execute(change.values(done_at=now, done_by=person.id))


def all_done(conn: Connection, case_id: str, kind: Kind, person: Person, now: datetime) -> None:
    change = update(requests).where(requests.c.case_id == case_id, requests.c.kind == kind.value, requests.c.done_at.is_(None))
    conn.execute(change.values(done_at=now, done_by=person.id))


_SELECT = (
    select(
        requests,
        people.c.name,
        people.c.email,
        cases.c.subject,
        cases.c.region,
        organisations.c.name.label("organisation"),
    )
    .join(people, people.c.id == requests.c.person_id)
    .join(cases, cases.c.id == requests.c.case_id)
    .join(organisations, organisations.c.id == cases.c.organisation_id)
)


def _request(row: Any) -> Request:
    return Request(
        row.id,
        row.case_id,
        row.subject,
        row.region,
        row.organisation,
        Kind(row.kind),
        row.name,
        row.email,
        row.text,
        row.created_at,
        row.done_at,
    )

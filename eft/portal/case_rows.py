"""The portal's copy of its cases: whose each is, where it lives, and what was last known of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from eft.portal import people
from eft.portal.people import Person
from eft.portal.tables import cases, organisations
from eft.portal.tables import people as people_table

LISTED = 200
"""Cases on one page of a list."""


class View(StrEnum):
    """The lists that customers know (R26)."""

    OPEN = "open"
    MY_CLOSED = "my-closed"
    ALL_CLOSED = "all-closed"


@dataclass(frozen=True, slots=True)
class KnownCase:
    """A case as the portal last knew it."""

    id: str
    region: str
    organisation_id: str
    organisation: str
    contact: str | None
    subject: str
    status: str
    sub_status: str | None
    created_at: datetime
    closed_at: datetime | None
    undone_closing: datetime | None
    seen_at: datetime

    @property
    def is_closed(self) -> bool:
        return self.status == "closed"


def get(conn: Connection, case_id: str) -> KnownCase | None:
    found = conn.execute(_SELECT.where(cases.c.id == case_id)).one_or_none()
    return None if found is None else _known(found)


def listed(conn: Connection, person: Person, view: View) -> list[KnownCase]:
    """What `person` may see of that view, newest first, at most LISTED."""
    conditions: list[ColumnElement[bool]] = [cases.c.status != "closed" if view is View.OPEN else cases.c.status == "closed"]
    if not person.is_staff:
        conditions.append(cases.c.organisation_id == person.organisation_id)
    if view is View.MY_CLOSED:
        conditions.append(cases.c.contact_id == person.id)
    order = cases.c.created_at.desc() if view is View.OPEN else cases.c.closed_at.desc()
    return [_known(row) for row in conn.execute(_SELECT.where(and_(*conditions)).order_by(order, cases.c.id).limit(LISTED))]


def may_see(person: Person, case: KnownCase) -> bool:
    """Staff see all cases, customers those of their organisation."""
    return person.is_staff or person.organisation_id == case.organisation_id


def note_told(conn: Connection, region: str, told: dict[str, Any], now: datetime) -> None:
    """Takes over what the gateway of `region` tells of a case.

    Two things are not taken over. A case of that id in another region: the first region keeps it. And a closing that was
    undone by a reopening, or an older one: a gateway that tells of it was put back to an earlier day, and must not purge.
    """
    closed_at = instant(told["closed_at"])
    facts = {
        "organisation_id": people.organisation_id(conn, told["organisation"]),
        "subject": told["subject"],
        "status": told["status"],
        "sub_status": told["sub_status"],
        "closed_at": closed_at,
        "seen_at": now,
    }
    known = get(conn, told["id"])
    if known is None:
        created_at = instant(told["created_at"]) or now
        conn.execute(insert(cases).values(id=told["id"], region=region, created_at=created_at, **facts))
        return
    if known.region != region:
        return
    if closed_at is not None and known.undone_closing is not None and closed_at <= known.undone_closing:
        return
    if known.is_closed and closed_at is None:
        facts["undone_closing"] = known.closed_at
    conn.execute(update(cases).where(cases.c.id == known.id).values(**facts))


def is_news(known: KnownCase | None, told: dict[str, Any]) -> bool:
    """Whether what a gateway tells differs from what is known."""
    return known is None or (known.organisation, known.subject, known.status, known.sub_status, known.closed_at) != (
        told["organisation"],
        told["subject"],
        told["status"],
        told["sub_status"],
        instant(told["closed_at"]),
    )


def of_region(conn: Connection, region: str) -> dict[str, KnownCase]:
    return {row.id: _known(row) for row in conn.execute(_SELECT.where(cases.c.region == region))}


def note_seen(conn: Connection, region: str, now: datetime) -> None:
    """Everything of that region was just looked at."""
    conn.execute(update(cases).where(cases.c.region == region).values(seen_at=now))


def set_contact(conn: Connection, case_id: str, person_id: str, *, keep: bool = False) -> None:
    """Makes somebody the case's contact; with `keep` only where it has none."""
    change = update(cases).where(cases.c.id == case_id)
    conn.execute((change.where(cases.c.contact_id.is_(None)) if keep else change).values(contact_id=person_id))


def instant(text: str | None) -> datetime | None:
    """An RFC 3339 time, exact to the microsecond."""
    return None if text is None else datetime.fromisoformat(text)


_SELECT = (
    select(cases, organisations.c.name.label("organisation"), people_table.c.name.label("contact"))
    .join(organisations, organisations.c.id == cases.c.organisation_id)
    .outerjoin(people_table, people_table.c.id == cases.c.contact_id)
)


def _known(row: Any) -> KnownCase:
    return KnownCase(
        row.id,
        row.region,
        row.organisation_id,
        row.organisation,
        row.contact,
        row.subject,
        row.status,
        row.sub_status,
        row.created_at,
        row.closed_at,
        row.undone_closing,
        row.seen_at,
    )

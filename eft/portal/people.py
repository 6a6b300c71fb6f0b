"""Who may sign in: customers of an organisation, and staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
import re
import secrets
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from eft.domain.errors import Invalid, NotFound
from eft.domain.person import EMAIL, Role
from eft.portal.tables import organisations, people, resets, sessions


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a password here. `organisation` is a name; staff have none."""

    id: str
    email: str
    name: str
    role: Role
    organisation_id: str | None
    organisation: str | None

    @property
    def is_staff(self) -> bool:
        return self.role is Role.STAFF


def clean_email(text: str) -> str:
    """An e-mail address as it is stored and compared: in small letters. Raises Invalid for what is none."""
    email = text.strip().lower()
    if not re.match(EMAIL, email) or len(email) > 254:
        raise Invalid("This is not an e-mail address.", "Correct it; it looks like name@example.com.")
    return email


def organisation_id(conn: Connection, name: str) -> str:
    """The id of the organisation of that name, which is made where there is none."""
    known = conn.execute(select(organisations.c.id).where(organisations.c.name == name)).scalar_one_or_none()
    if known is not None:
        return str(known)
    made = secrets.token_hex(16)
    conn.execute(insert(organisations).values(id=made, name=name))
    return made


def organisation_names(conn: Connection) -> list[str]:
    return [str(name) for name in conn.execute(select(organisations.c.name).order_by(organisations.c.name)).scalars()]


def create(
    conn: Connection, *, email: str, name: str, role: Role, organisation: str | None, password_hash: str, now: datetime
) -> Person:
    """Somebody new. Raises Invalid for an address that is taken, or a customer without an organisation."""
    email = clean_email(email)
    if by_email(conn, email) is not None:
        raise Invalid("There is somebody with this e-mail address already.", "Use another address, or set a new password.")
    if role is Role.CUSTOMER and not organisation:
        raise Invalid("A customer belongs to an organisation.", "Name the organisation.")
    made = secrets.token_hex(16)
    conn.execute(
        insert(people).values(
            id=made,
            email=email,
            name=name,
            role=role.value,
            organisation_id=organisation_id(conn, organisation) if organisation else None,
            password_hash=password_hash,
            created_at=now,
        )
    )
    return get(conn, made)


def get(conn: Connection, person_id: str) -> Person:
    """Raises NotFound."""
    found = conn.execute(_SELECT.where(people.c.id == person_id)).one_or_none()
    if found is None:
        raise NotFound("There is no such person.", "Look them up with: eft portal user list")
    return _person(found)


def by_email(conn: Connection, email: str) -> Person | None:
    found = conn.execute(_SELECT.where(people.c.email == email.strip().lower())).one_or_none()
    return None if found is None else _person(found)


def everybody(conn: Connection) -> list[Person]:
    return [_person(row) for row in conn.execute(_SELECT.order_by(people.c.email))]


def password_hash_of(conn: Connection, person_id: str) -> str:
    return str(conn.execute(select(people.c.password_hash).where(people.c.id == person_id)).scalar_one())


def set_password_of(conn: Connection, email: str, password_hash: str) -> None:
    """The same as set_password, by e-mail address. Raises NotFound."""
    person = by_email(conn, email)
    if person is None:
        raise NotFound("There is nobody with this e-mail address.", "Look it up with: eft portal user list")
    set_password(conn, person.id, password_hash)


def set_password(conn: Connection, person_id: str, password_hash: str) -> None:
    """Sets the password and ends every session and reset link of that person."""
    conn.execute(update(people).where(people.c.id == person_id).values(password_hash=password_hash))
    conn.execute(delete(sessions).where(sessions.c.person_id == person_id))
    conn.execute(delete(resets).where(resets.c.person_id == person_id))


_SELECT = select(
    people.c.id,
    people.c.email,
    people.c.name,
    people.c.role,
    people.c.organisation_id,
    organisations.c.name.label("organisation"),
).outerjoin(organisations, organisations.c.id == people.c.organisation_id)


def _person(row: Any) -> Person:
    return Person(row.id, row.email, row.name, Role(row.role), row.organisation_id, row.organisation)

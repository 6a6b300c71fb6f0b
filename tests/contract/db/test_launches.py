"""The repository of launch tickets and browser sessions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection

from eft.db import cases, launches
from eft.db.engine import Database
from eft.db.launches import LaunchTicket, PageSession
from eft.domain.person import Person, Role
from tests.contract.db.samples import MICROSECOND, NOW, SECOND, a_case, hexes

ADA = Person("Ada", "ada@example.com", Role.CUSTOMER)
MINUTE = timedelta(seconds=60)
WEEK = timedelta(days=7)


def a_ticket(number: int = 1, case_id: str = "C-1") -> LaunchTicket:
    return LaunchTicket(hash=f"{number:064x}", case_id=case_id, person=ADA, created_at=NOW, expires_at=NOW + MINUTE)


def a_session(number: int = 1) -> PageSession:
    return PageSession(id=hexes(number), hash=f"{number:064x}", person=ADA, created_at=NOW, expires_at=NOW + WEEK, touched_at=NOW)


@pytest.fixture
def rows(conn: Connection) -> Connection:
    """Two cases."""
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_case(2))
    return conn


def test_a_ticket_comes_back_as_it_was_stored(rows: Connection) -> None:
    launches.insert_ticket(rows, a_ticket())
    assert launches.ticket_by_hash(rows, a_ticket().hash) == a_ticket()
    assert launches.ticket_by_hash(rows, f"{2:064x}") is None


def test_a_ticket_is_used_once_and_until_not_at_its_expiry(rows: Connection) -> None:
    for number in (1, 2):
        launches.insert_ticket(rows, a_ticket(number))
    last = NOW + MINUTE - MICROSECOND
    assert not launches.use_ticket(rows, a_ticket(1).hash, NOW + MINUTE)
    assert launches.use_ticket(rows, a_ticket(1).hash, last)
    assert not launches.use_ticket(rows, a_ticket(1).hash, last)
    assert launches.ticket_by_hash(rows, a_ticket(1).hash) == replace(a_ticket(1), used_at=last)
    assert launches.ticket_by_hash(rows, a_ticket(2).hash) == a_ticket(2)


async def test_of_many_that_use_a_ticket_at_once_one_does(database: Database) -> None:
    def prepare(conn: Connection) -> None:
        cases.insert(conn, a_case(1))
        launches.insert_ticket(conn, a_ticket())

    await database.write(prepare)
    used = await asyncio.gather(
        *(database.write(lambda conn: launches.use_ticket(conn, a_ticket().hash, NOW + SECOND)) for _ in range(20))
    )
    assert sum(used) == 1


def test_tickets_are_forgotten_once_they_expired_before_an_instant(rows: Connection) -> None:
    launches.insert_ticket(rows, a_ticket())
    assert launches.forget_tickets(rows, NOW + MINUTE) == 0
    assert launches.forget_tickets(rows, NOW + MINUTE + MICROSECOND) == 1


def test_a_session_comes_back_with_its_grants(rows: Connection) -> None:
    launches.insert_session(rows, a_session())
    assert launches.session_by_hash(rows, a_session().hash) == a_session()
    assert launches.grant(rows, hexes(1), "C-1", NOW + WEEK, NOW)
    assert launches.grant(rows, hexes(1), "C-2", NOW + WEEK + SECOND, NOW + SECOND)
    assert launches.grant(rows, hexes(1), "C-1", NOW + WEEK + 2 * SECOND, NOW + 2 * SECOND)
    assert launches.session_by_hash(rows, a_session().hash) == replace(
        a_session(),
        expires_at=NOW + WEEK + 2 * SECOND,
        touched_at=NOW + 2 * SECOND,
        grants={"C-1": NOW + WEEK + 2 * SECOND, "C-2": NOW + WEEK + SECOND},
    )
    assert launches.session_by_hash(rows, f"{2:064x}") is None


def test_a_session_that_is_gone_is_granted_nothing(rows: Connection) -> None:
    assert not launches.grant(rows, hexes(1), "C-1", NOW + WEEK, NOW)


def test_a_touch_is_never_set_back(rows: Connection) -> None:
    launches.insert_session(rows, a_session())
    launches.touch(rows, hexes(1), NOW + SECOND)
    launches.touch(rows, hexes(1), NOW)
    found = launches.session_by_hash(rows, a_session().hash)
    assert found is not None
    assert found.touched_at == NOW + SECOND


def test_a_deleted_session_takes_its_grants_along(rows: Connection) -> None:
    for number in (1, 2):
        launches.insert_session(rows, a_session(number))
        launches.grant(rows, hexes(number), "C-1", NOW + WEEK, NOW)
    assert launches.delete_session(rows, hexes(1))
    assert not launches.delete_session(rows, hexes(1))
    assert launches.session_by_hash(rows, a_session(1).hash) is None
    other = launches.session_by_hash(rows, a_session(2).hash)
    assert other is not None
    assert set(other.grants) == {"C-1"}


@pytest.mark.parametrize(
    ("now", "untouched_since", "forgotten"),
    [
        (NOW + WEEK, NOW - SECOND, 1),
        (NOW + WEEK - MICROSECOND, NOW - MICROSECOND, 0),
        (NOW + SECOND, NOW, 1),
    ],
)
def test_sessions_that_are_over_are_forgotten(rows: Connection, now: datetime, untouched_since: datetime, forgotten: int) -> None:
    launches.insert_session(rows, a_session())
    launches.grant(rows, hexes(1), "C-1", NOW + WEEK, NOW)
    assert launches.forget_sessions(rows, now, untouched_since) == forgotten


def test_a_forgotten_case_is_seen_by_no_session_and_opened_by_no_ticket(rows: Connection) -> None:
    launches.insert_session(rows, a_session())
    for case in ("C-1", "C-2"):
        launches.grant(rows, hexes(1), case, NOW + WEEK, NOW)
    launches.insert_ticket(rows, a_ticket(1, "C-1"))
    launches.insert_ticket(rows, a_ticket(2, "C-2"))
    launches.forget_case(rows, "C-1")
    found = launches.session_by_hash(rows, a_session().hash)
    assert found is not None
    assert set(found.grants) == {"C-2"}
    assert launches.ticket_by_hash(rows, a_ticket(1).hash) is None
    assert launches.ticket_by_hash(rows, a_ticket(2).hash) is not None


def test_renaming_changes_what_a_person_is_called(rows: Connection) -> None:
    launches.insert_session(rows, a_session())
    launches.rename(rows, hexes(1), replace(ADA, name="Ada King"))
    found = launches.session_by_hash(rows, a_session().hash)
    assert found is not None
    assert found.person == replace(ADA, name="Ada King")

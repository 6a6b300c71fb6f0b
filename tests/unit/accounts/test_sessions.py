"""How long a browser session lasts, and whose it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from eft.accounts.launches import Admission, Over
from eft.accounts.sessions import Visitor, hash_of
from eft.db import launches as rows
from eft.domain.case import RETENTION, SubStatus
from eft.domain.person import Person, Role
from eft.retention import records
from tests.fixtures.services import MICROSECOND, STAFF, Services

ADA = Person("Ada", "ada@example.com", Role.CUSTOMER)
HOUR = timedelta(hours=1)


async def launched(services: Services, case_id: str = "C-1", person: Person = ADA, cookie: str | None = None) -> str:
    ticket, _ = await services.launches.issue(case_id, person, STAFF)
    admission = await services.launches.redeem(ticket, cookie, "192.0.2.9")
    assert isinstance(admission, Admission)
    return admission.cookie


async def test_a_cookie_stands_for_a_person_and_the_cases_they_opened(services: Services) -> None:
    await services.open_case("C-1")
    await services.open_case("C-2")
    cookie = await launched(services)
    assert await launched(services, "C-2", Person("Ada King", "ADA@example.com", Role.CUSTOMER), cookie) == cookie
    visitor = await services.sessions.visitor(cookie)
    assert isinstance(visitor, Visitor)
    assert (visitor.person.name, visitor.case_ids) == ("Ada King", {"C-1", "C-2"})


@pytest.mark.parametrize("cookie", ["", "x", "eft_us_page_" + "a" * 43, "eft_emea_page_" + "a" * 43, "eft_us_up_" + "a" * 43])
async def test_what_is_no_cookie_of_ours_stands_for_nobody(services: Services, cookie: str) -> None:
    assert await services.sessions.visitor(cookie) is None


async def test_a_session_ends_24_hours_after_its_last_use(services: Services) -> None:
    await services.open_case()
    cookie = await launched(services)
    services.clock.advance(24 * HOUR - MICROSECOND)
    assert await services.sessions.visitor(cookie) is not None
    services.clock.advance(24 * HOUR - MICROSECOND)
    assert await services.sessions.visitor(cookie) is not None
    services.clock.advance(24 * HOUR)
    assert await services.sessions.visitor(cookie) is None


async def test_a_case_is_seen_for_seven_days_however_busy_its_page_is(services: Services) -> None:
    await services.open_case("C-1")
    await services.open_case("C-2")
    cookie = await launched(services)
    for _ in range(7 * 24 - 1):
        services.clock.advance(HOUR)
        assert await services.sessions.visitor(cookie) is not None
    await launched(services, "C-2", cookie=cookie)
    services.clock.advance(HOUR - MICROSECOND)
    visitor = await services.sessions.visitor(cookie)
    assert visitor is not None
    assert visitor.case_ids == {"C-1", "C-2"}
    services.clock.advance(MICROSECOND)
    visitor = await services.sessions.visitor(cookie)
    assert visitor is not None
    assert visitor.case_ids == {"C-2"}


async def test_a_busy_session_writes_once_in_five_minutes(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    await services.open_case()
    cookie = await launched(services)
    touched: list[str] = []
    touch = rows.touch

    def counted(conn: rows.Connection, session_id: str, now: object) -> None:
        touched.append(session_id)
        touch(conn, session_id, now)  # type: ignore[arg-type]

    monkeypatch.setattr(rows, "touch", counted)
    for _ in range(60):
        services.clock.advance(timedelta(seconds=10))
        await services.sessions.visitor(cookie)
    assert len(touched) == 2


async def test_sessions_that_are_over_are_deleted(services: Services) -> None:
    await services.open_case()
    await launched(services)
    assert await services.sessions.forget_expired() == 0
    services.clock.advance(24 * HOUR)
    assert await services.sessions.forget_expired() == 1


async def test_a_dead_session_is_not_brought_back_by_a_launch(services: Services) -> None:
    await services.open_case()
    cookie = await launched(services)
    services.clock.advance(24 * HOUR)
    fresh = await launched(services, cookie=cookie)
    assert fresh != cookie
    assert await services.sessions.visitor(cookie) is None
    assert await services.sessions.visitor(fresh) is not None


async def test_a_purge_leaves_no_session_or_ticket_of_its_case(services: Services) -> None:
    await services.open_case("C-1")
    await services.open_case("C-2")
    cookie = await launched(services)
    ticket, _ = await services.launches.issue("C-1", ADA, STAFF)
    await launched(services, "C-2", cookie=cookie)
    await services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    services.clock.advance(RETENTION)
    now = services.clock.now()
    _, case = await services.database.write(lambda conn: records.begin(conn, "C-1", now, None, asked=False, actor=STAFF))
    await services.database.write(lambda conn: records.finish(conn, case, now, STAFF))
    session = await services.database.read(lambda conn: rows.session_by_hash(conn, hash_of(cookie)))
    assert session is not None
    assert set(session.grants) == {"C-2"}
    assert await services.launches.redeem(ticket, None, "") is Over.UNKNOWN

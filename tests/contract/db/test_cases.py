"""The repository of cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, StatementError

from eft.db import cases
from eft.domain.case import CaseStatus, PurgeState, SubStatus
from eft.domain.errors import AlreadyExists, CasePurging, Invalid, NotFound
from tests.contract.db.samples import MICROSECOND, NOW, SECOND, a_case, a_closed_case, hexes


def test_a_case_comes_back_as_it_was_stored(conn: Connection) -> None:
    full = a_closed_case(
        organisation="مثال 例 💥",
        subject="",
        sub_status=SubStatus.NO_RESPONSE,
        comment="line\nline",
        hold_reason="a court asked",
        key_slot=7,
        purge=PurgeState.PURGED,
        purging_since=NOW,
        purged_at=NOW + SECOND,
    )
    cases.insert(conn, full)
    assert cases.get(conn, full.id) == full
    assert cases.lock(conn, full.id) == full


def test_an_unknown_case_is_none(conn: Connection) -> None:
    assert cases.get(conn, "C-1") is None
    assert cases.lock(conn, "C-1") is None


def test_case_ids_differ_by_case_of_letters(conn: Connection) -> None:
    cases.insert(conn, a_case(1, id="abc"))
    assert cases.get(conn, "ABC") is None


def test_an_existing_case_is_not_inserted_again_and_the_transaction_goes_on(conn: Connection) -> None:
    cases.insert(conn, a_case())
    with pytest.raises(AlreadyExists):
        cases.insert(conn, a_case(subject="another"))
    assert cases.get(conn, "C-1") == a_case()


def test_two_cases_never_share_a_uid(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    with pytest.raises(AlreadyExists):
        cases.insert(conn, a_case(2, uid=hexes(1)))


def test_save_changes_every_field(conn: Connection) -> None:
    cases.insert(conn, a_case())
    changed = a_closed_case(organisation="b", subject="c", comment="d", hold_reason="e", key_slot=1)
    cases.save(conn, changed)
    assert cases.get(conn, "C-1") == changed
    cases.save(conn, a_case())
    assert cases.get(conn, "C-1") == a_case()


def test_save_of_an_unknown_case_is_not_found(conn: Connection) -> None:
    with pytest.raises(NotFound):
        cases.save(conn, a_case())


@pytest.mark.parametrize("wrong", [a_case(closed_at=NOW), a_case(status=CaseStatus.CLOSED)], ids=["open", "closed"])
def test_a_case_has_a_closing_time_exactly_when_it_is_closed(conn: Connection, wrong: object) -> None:
    with pytest.raises(IntegrityError):
        cases.insert(conn, wrong)  # type: ignore[arg-type]


def test_times_keep_their_microseconds_and_come_back_as_utc(conn: Connection) -> None:
    elsewhere = datetime(2026, 11, 23, 5, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=-7)))
    cases.insert(conn, a_closed_case(closed_at=elsewhere, created_at=datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)))
    found = cases.get(conn, "C-1")
    assert found is not None
    assert found.closed_at == elsewhere
    assert found.closed_at.tzinfo is UTC
    assert found.created_at == datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused(conn: Connection) -> None:
    with pytest.raises(StatementError, match="time zone"):
        cases.insert(conn, a_case(created_at=NOW.replace(tzinfo=None)))


def test_pages_are_newest_first_and_miss_or_repeat_nothing_while_cases_come_in(conn: Connection) -> None:
    for number in range(1, 8):
        cases.insert(conn, a_case(number, created_at=NOW + (number // 3) * SECOND))  # several at one instant
    first, cursor = cases.page(conn, None, 3)
    cases.insert(conn, a_case(9, created_at=NOW + 60 * SECOND))
    seen = [case.id for case in first]
    while cursor is not None:
        found, cursor = cases.page(conn, cursor, 3)
        seen += [case.id for case in found]
    assert seen == ["C-7", "C-6", "C-5", "C-4", "C-3", "C-2", "C-1"]


def test_a_page_that_ends_with_the_list_has_no_cursor(conn: Connection) -> None:
    assert cases.page(conn, None, 3) == ([], None)
    for number in range(3):
        cases.insert(conn, a_case(number))
    found, cursor = cases.page(conn, None, 3)
    assert len(found) == 3
    assert cursor is None


@pytest.mark.parametrize("asked", [-5, 0, 10**9])
def test_a_page_has_a_sensible_size_whatever_is_asked_for(conn: Connection, asked: int) -> None:
    cases.insert(conn, a_case())
    assert cases.page(conn, None, asked)[0] == [a_case()]


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "MTIzNDU", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5Lng", "MS4A", "a" * 5000])
def test_a_cursor_that_was_not_given_is_invalid(conn: Connection, cursor: str) -> None:
    with pytest.raises(Invalid):
        cases.page(conn, cursor, 10)


def test_closed_before_finds_what_may_be_due(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_closed_case(2, NOW + MICROSECOND))
    cases.insert(conn, a_closed_case(3, NOW))
    cases.insert(conn, a_closed_case(4, NOW - SECOND, hold_reason="held"))
    cases.insert(conn, a_closed_case(5, NOW - 2 * SECOND, purge=PurgeState.PURGING))
    cases.insert(conn, a_closed_case(6, NOW - SECOND, purge=PurgeState.PURGED))
    assert [case.id for case in cases.closed_before(conn, NOW)] == ["C-5", "C-4", "C-3"]


def test_untouched_by_uid_finds_those_of_which_no_purge_has_begun(conn: Connection) -> None:
    cases.insert(conn, a_closed_case(1))
    cases.insert(conn, a_closed_case(2, purge=PurgeState.PURGING))
    cases.insert(conn, a_case(3))
    asked = [hexes(number) for number in range(1, 1200)]
    assert {case.id for case in cases.untouched_by_uid(conn, asked)} == {"C-1", "C-3"}
    assert cases.untouched_by_uid(conn, []) == []


def test_the_first_key_slot_stays(conn: Connection) -> None:
    cases.insert(conn, a_case())
    assert cases.set_key_slot(conn, "C-1", 5) == 5
    assert cases.set_key_slot(conn, "C-1", 6) == 5
    assert cases.get(conn, "C-1") == replace(a_case(), key_slot=5)


def test_a_purged_case_gets_no_key(conn: Connection) -> None:
    cases.insert(conn, a_closed_case(purge=PurgeState.PURGED))
    with pytest.raises(CasePurging):
        cases.set_key_slot(conn, "C-1", 5)
    with pytest.raises(NotFound):
        cases.set_key_slot(conn, "C-2", 5)

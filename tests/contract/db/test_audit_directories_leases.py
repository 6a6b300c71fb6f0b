"""The repositories of the audit log, of clients' directories and of leases."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from eft.db import audit, cases, directories, leases
from eft.domain.actor import Actor
from eft.domain.errors import AlreadyExists, Invalid, NotFound
from tests.contract.db.samples import MICROSECOND, NOW, SECOND, a_case

CRM = Actor("token:crm", "192.0.2.1")


def _record(conn: Connection, case_id: str | None, subject: str) -> None:
    audit.record(conn, at=NOW, actor=CRM, action="case.close", case_id=case_id, subject=subject)


def test_an_act_comes_back_as_it_was_recorded(conn: Connection) -> None:
    detail = {"reason": "日本 💥 \x00", "size": 2**53, "nested": {"list": [1, None, True]}}
    audit.record(
        conn, at=NOW, actor=CRM, action="upload.publish", case_id="no such case", subject="x", outcome="refused", detail=detail
    )
    [found], cursor = audit.page(conn, None, 10)
    assert cursor is None
    assert found == audit.AuditRecord(
        id=found.id, at=NOW, actor="token:crm", address="192.0.2.1", action="upload.publish",
        case_id="no such case", subject="x", outcome="refused", detail=detail,
    )  # fmt: skip


def test_the_log_is_paged_newest_first_as_a_whole_or_by_case(conn: Connection) -> None:
    for number in range(7):
        _record(conn, f"C-{number % 2}", str(number))
    seen: list[str] = []
    cursor = None
    while True:
        found, cursor = audit.page(conn, cursor, 3)
        seen += [record.subject for record in found]
        _record(conn, "C-0", "later")
        if cursor is None:
            break
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]
    of_case, _ = audit.page(conn, None, 100, case_id="C-1")
    assert [record.subject for record in of_case] == ["5", "3", "1"]


@pytest.mark.parametrize("cursor", ["x", "MS5hYmM", "MS4xMTExMTExMTExMTExMTExMTExMTExMQ", "MS7CsQ"])
def test_a_cursor_that_the_log_did_not_give_is_invalid(conn: Connection, cursor: str) -> None:
    with pytest.raises(Invalid):
        audit.page(conn, cursor, 10)


def test_a_directory_is_made_once_and_removed_once(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_case(2))
    directories.make(conn, "C-1", "b/c", NOW, "sftp:x")
    directories.make(conn, "C-1", "b", NOW + SECOND, "sftp:x")
    with pytest.raises(AlreadyExists):
        directories.make(conn, "C-1", "b", NOW, "sftp:x")
    assert directories.made_at(conn, "C-1", "b") is not None
    assert directories.made_at(conn, "C-2", "b") is None
    assert directories.made_at(conn, "C-1", "B") is None
    assert list(directories.of_case(conn, "C-1").items()) == [("b", NOW + SECOND), ("b/c", NOW)]
    directories.remove(conn, "C-1", "b")
    with pytest.raises(NotFound):
        directories.remove(conn, "C-1", "b")
    assert directories.of_case(conn, "C-1") == {"b/c": NOW}


def test_a_lease_is_one_holders_until_it_runs_out(conn: Connection) -> None:
    assert leases.acquire(conn, "jobs", "a", NOW, 10)
    assert not leases.acquire(conn, "jobs", "b", NOW + 10 * SECOND - MICROSECOND, 10)
    assert leases.acquire(conn, "other", "b", NOW, 10)
    assert leases.acquire(conn, "jobs", "a", NOW + 5 * SECOND, 10)
    assert not leases.acquire(conn, "jobs", "b", NOW + 10 * SECOND, 10)
    assert leases.acquire(conn, "jobs", "b", NOW + 15 * SECOND, 10)
    assert not leases.acquire(conn, "jobs", "a", NOW + 16 * SECOND, 10)


def test_a_lease_that_was_given_up_can_be_had_at_once(conn: Connection) -> None:
    assert leases.acquire(conn, "jobs", "a", NOW, 10)
    leases.release(conn, "jobs", "b")
    assert not leases.acquire(conn, "jobs", "b", NOW, 10)
    leases.release(conn, "jobs", "a")
    leases.release(conn, "jobs", "a")
    assert leases.acquire(conn, "jobs", "b", NOW, 10)


def test_a_directory_has_what_stands_below_it_and_not_beside_it(conn: Connection) -> None:
    cases.insert(conn, a_case(1))
    cases.insert(conn, a_case(2))
    for path in ("a/b", "a!", "a0", "A/x", "ä/y"):
        directories.make(conn, "C-1", path, NOW, "sftp:x")
    assert [path for path in ("a", "A", "ä", "a0", "a/b", "x") if directories.is_any_below(conn, "C-1", path)] == ["a", "A", "ä"]
    assert not directories.is_any_below(conn, "C-2", "a")

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from eft.db import cases
from eft.db.engine import Connection
from eft.domain.case import RETENTION, Case, CaseStatus, PurgeState, SubStatus
from eft.domain.errors import (
    CaseClosed,
    CasePurging,
    ClosedDifferently,
    Invalid,
    NotFound,
    ReopenByTelephone,
    ReopenTooLate,
)
from eft.domain.upload import Completeness, Source, UploadState
from eft.transfers import Intent
from tests.fixtures.services import CUSTOMER, MICROSECOND, STAFF, START, Services


async def put(services: Services, status: CaseStatus, closed_at: datetime | None = None, subject: str = "Crash") -> Case:
    case, _ = await services.cases.put(
        "C-1", organisation="Example", subject=subject, status=status, closed_at=closed_at, actor=STAFF
    )
    return case


async def close(services: Services, sub_status: SubStatus = SubStatus.RESOLVED) -> Case:
    return await services.cases.close("C-1", sub_status=sub_status, comment="done", actor=STAFF)


async def reopen(services: Services, *, by_customer: bool) -> Case:
    return await services.cases.reopen("C-1", reason="more logs", by_customer=by_customer, actor=STAFF)


async def test_putting_a_case_twice_changes_nothing(services: Services) -> None:
    first = await services.open_case()
    again, created = await services.cases.put(
        "C-1", organisation="Example", subject="Crash", status=CaseStatus.OPEN, closed_at=None, actor=STAFF
    )
    assert (again, created) == (first, False)
    assert await services.actions("C-1") == ["case.create"]


async def test_putting_describes_a_case_anew(services: Services) -> None:
    await services.open_case()
    case = await put(services, CaseStatus.AWAITING_INFO, subject="Crash at start")
    assert (case.subject, case.status) == ("Crash at start", CaseStatus.AWAITING_INFO)
    assert await services.actions("C-1") == ["case.create", "case.status", "case.describe"]


async def test_an_unknown_case_that_is_closed_is_made_closed(services: Services) -> None:
    closed_at = START - timedelta(days=3)
    case = await put(services, CaseStatus.CLOSED, closed_at)
    assert (case.status, case.closed_at, case.purge_at) == (CaseStatus.CLOSED, closed_at, closed_at + RETENTION)


async def test_putting_closed_is_closing(services: Services) -> None:
    await services.open_case()
    upload_id = await services.begin("C-1", "dump.bin", b"x" * 100, 200)
    case = await put(services, CaseStatus.CLOSED, START)
    assert (case.status, case.closed_at) == (CaseStatus.CLOSED, START)
    assert [upload.state for upload in await services.transfers.unfinished("C-1")] == [UploadState.FROZEN]
    await put(services, CaseStatus.OPEN)
    assert [(upload.id, upload.state) for upload in await services.transfers.unfinished("C-1")] == [
        (upload_id, UploadState.RECEIVING)
    ]


async def test_a_closing_time_in_the_future_is_refused(services: Services) -> None:
    with pytest.raises(Invalid):
        await put(services, CaseStatus.CLOSED, START + MICROSECOND)
    assert (await put(services, CaseStatus.CLOSED, START)).closed_at == START


async def test_a_closing_time_on_an_open_case_is_refused(services: Services) -> None:
    with pytest.raises(Invalid):
        await put(services, CaseStatus.OPEN, START)


async def test_another_closing_time_on_a_closed_case_is_refused_and_none_is_kept(services: Services) -> None:
    await put(services, CaseStatus.CLOSED, START)
    services.clock.advance(timedelta(days=1))
    with pytest.raises(ClosedDifferently):
        await put(services, CaseStatus.CLOSED, START + timedelta(hours=1))
    assert (await put(services, CaseStatus.CLOSED)).closed_at == START


async def test_leaving_closed_is_a_reopening_by_staff(services: Services) -> None:
    await put(services, CaseStatus.CLOSED, START)
    services.clock.advance(RETENTION * 2)
    case = await put(services, CaseStatus.SOLUTION_PROPOSED)
    assert (case.status, case.closed_at, case.purge_at) == (CaseStatus.SOLUTION_PROPOSED, None, None)


async def test_closing_is_repeatable_and_the_first_time_counts(services: Services) -> None:
    await services.open_case()
    first = await close(services)
    services.clock.advance(timedelta(hours=1))
    assert await close(services, SubStatus.CANCELLED) == first
    assert (await services.actions("C-1")).count("case.close") == 1


async def test_closing_freezes_uploads_and_publishes_what_was_settling(services: Services) -> None:
    await services.open_case()
    frozen = await services.begin("C-1", "frozen.bin", b"f" * 100_000, 200_000)
    reception = await services.transfers.begin("C-1", _intent("settling.log"))
    reception.offer(b"s" * 100_000)
    await reception.settle(600)
    await close(services)
    await services.transfers.tick()
    listed, _ = await services.transfers.attachments("C-1", None, 10)
    assert [attachment.name for attachment in listed] == ["settling.log"]
    with pytest.raises(CaseClosed):
        await services.transfers.take(frozen, case_id="C-1")


async def test_after_reopening_a_frozen_upload_goes_on_to_its_end(services: Services) -> None:
    await services.open_case()
    upload_id = await services.begin("C-1", "dump.bin", b"a" * 100_000, 100_004)
    await close(services)
    services.clock.advance(timedelta(days=20))
    await reopen(services, by_customer=True)
    reception = await services.transfers.take(upload_id, case_id="C-1")
    assert reception.offset == 100_000
    reception.offer(b"tail")
    attachment = await reception.finish(Completeness.DECLARED)
    assert await services.content(attachment.id) == b"a" * 100_000 + b"tail"


async def test_a_writer_that_is_at_work_is_refused_at_its_next_commit(services: Services) -> None:
    await services.open_case()
    reception = await services.transfers.begin("C-1", _intent("dump.bin"))
    reception.offer(b"a" * 100_000)
    await reception.commit()
    await close(services)
    reception.offer(b"b" * 100_000)
    with pytest.raises(CaseClosed):
        await reception.commit()
    await reception.release()


@pytest.mark.parametrize(("after", "allowed"), [(RETENTION - MICROSECOND, True), (RETENTION, False)])
async def test_a_customer_may_reopen_until_thirty_days_are_over(services: Services, after: timedelta, allowed: bool) -> None:
    await services.open_case()
    await close(services)
    services.clock.advance(after)
    if allowed:
        assert (await reopen(services, by_customer=True)).status is CaseStatus.OPEN
    else:
        with pytest.raises(ReopenTooLate):
            await reopen(services, by_customer=True)
        assert (await reopen(services, by_customer=False)).status is CaseStatus.OPEN


async def test_a_case_closed_for_want_of_an_answer_is_reopened_by_staff_alone(services: Services) -> None:
    await services.open_case()
    await close(services, SubStatus.NO_RESPONSE)
    with pytest.raises(ReopenByTelephone):
        await reopen(services, by_customer=True)
    assert (await reopen(services, by_customer=False)).status is CaseStatus.OPEN


async def test_reopening_an_open_case_leaves_its_status(services: Services) -> None:
    await services.open_case()
    await put(services, CaseStatus.AWAITING_INFO)
    assert (await reopen(services, by_customer=True)).status is CaseStatus.AWAITING_INFO


async def test_reopened_and_closed_again_thirty_new_days_begin(services: Services) -> None:
    await services.open_case()
    await close(services)
    services.clock.advance(timedelta(days=29))
    await reopen(services, by_customer=True)
    services.clock.advance(timedelta(days=1))
    assert (await close(services)).purge_at == START + timedelta(days=60)


async def test_a_hold_is_kept_over_closing_and_released_by_hand(services: Services) -> None:
    await services.open_case()
    await services.cases.hold("C-1", reason="litigation", actor=STAFF)
    await close(services)
    assert (await services.cases.get("C-1")).hold_reason == "litigation"
    await services.cases.release_hold("C-1", STAFF)
    await services.cases.release_hold("C-1", STAFF)
    assert (await services.cases.get("C-1")).hold_reason is None
    assert (await services.actions("C-1"))[-1] == "case.release"


async def test_a_hold_comes_too_late_for_a_purge_that_has_begun(services: Services) -> None:
    await services.open_case()
    await close(services)
    await _mark(services, PurgeState.PURGING)
    with pytest.raises(CasePurging):
        await services.cases.hold("C-1", reason="litigation", actor=STAFF)
    with pytest.raises(CasePurging):
        await reopen(services, by_customer=False)


async def test_a_case_reopened_after_its_purge_has_a_new_name_in_storage(services: Services) -> None:
    before = await services.open_case()
    await close(services)
    await _mark(services, PurgeState.PURGED)
    after = await reopen(services, by_customer=False)
    assert (after.purge, after.key_slot) == (PurgeState.NONE, None)
    assert after.uid != before.uid


async def test_cases_are_listed_newest_first_in_pages(services: Services) -> None:
    for number in range(5):
        services.clock.advance(timedelta(seconds=1))
        await services.open_case(f"C-{number}")
    first, cursor = await services.cases.page(None, 3)
    rest, end = await services.cases.page(cursor, 3)
    assert [case.id for case in first + rest] == ["C-4", "C-3", "C-2", "C-1", "C-0"]
    assert end is None


async def test_an_unknown_case_is_not_found(services: Services) -> None:
    with pytest.raises(NotFound):
        await services.cases.get("C-1")
    with pytest.raises(NotFound):
        await close(services)
    with pytest.raises(NotFound):
        await services.cases.hold("C-1", reason="x", actor=STAFF)


@pytest.mark.parametrize("case_id", ["", "a" * 65, "a/b", "a b", "ä", "a\0", "a\n"])
async def test_a_case_id_has_plain_characters(services: Services, case_id: str) -> None:
    with pytest.raises(Invalid):
        await services.cases.put(
            case_id, organisation="Example", subject="x", status=CaseStatus.OPEN, closed_at=None, actor=STAFF
        )


async def test_closing_says_who_and_why_in_the_audit_log(services: Services) -> None:
    await services.open_case()
    await services.accounts.issue("C-1", STAFF)
    await close(services)
    closing = [record for record in await services.audited("C-1") if record.action in ("case.close", "account.revoke")]
    assert [(record.action, record.actor, record.address) for record in closing] == [
        ("account.revoke", "token:portal", "192.0.2.7"),
        ("case.close", "token:portal", "192.0.2.7"),
    ]
    assert closing[0].detail["why"] == "case-closed"
    assert closing[1].detail["comment"] == "done"


def _intent(name: str) -> Intent:
    return Intent(name=name, source=Source.SFTP, actor=CUSTOMER)


async def _mark(services: Services, purge: PurgeState) -> None:
    def work(conn: Connection) -> None:
        case = cases.lock(conn, "C-1")
        assert case is not None
        cases.save(conn, replace(case, purge=purge))

    await services.database.write(work)

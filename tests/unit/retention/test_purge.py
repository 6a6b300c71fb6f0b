from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from eft.db import cases, directories
from eft.db.engine import Connection
from eft.domain.attachment import AttachmentState
from eft.domain.case import RETENTION, Case, CaseStatus, PurgeState, SubStatus
from eft.domain.errors import CasePurging, NotFound, Purged, ReopenTooLate, StorageFailed
from eft.domain.retention import CaseSystemAnswer, Verdict
from eft.domain.upload import Source
from eft.retention.purge import READER_GRACE_S, Purge
from tests.fixtures.services import MICROSECOND, STAFF, START, Services


class Answering:
    """A case system that gives one answer."""

    def __init__(self, answer: CaseSystemAnswer | None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def ask(self, case_id: str) -> CaseSystemAnswer | None:
        self.asked.append(case_id)
        return self.answer


def purge_of(services: Services, **options: Any) -> Purge:
    async def sleep(seconds: float) -> None:
        services.clock.advance(timedelta(seconds=seconds))

    ports = {"database": services.database, "keys": services.keys, "segments": services.segments, **options}
    return Purge(clock=services.clock, sleep=sleep, **ports)


async def fill(services: Services, case_id: str = "C-1") -> Case:
    """A case with a large file, a small one, a hand-back and an unfinished upload."""
    await services.open_case(case_id)
    await services.store(case_id, "large.bin", b"L" * 200_000)
    await services.store(case_id, "small.txt", b"small")
    await services.store(case_id, "fix.bin", b"F" * 100_000, Source.SUPPORT)
    await services.begin(case_id, "unfinished.bin", b"u" * 100_000, 300_000)
    await services.database.write(lambda conn: directories.make(conn, case_id, "logs", START, "sftp:x"))
    return await services.cases.get(case_id)


async def close(services: Services, case_id: str = "C-1") -> Case:
    return await services.cases.close(case_id, sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)


async def assert_purged(services: Services, before: Case) -> None:
    """Key destroyed, bytes gone, tombstones left."""
    after = await services.cases.get(before.id)
    assert after.purge is PurgeState.PURGED
    assert after.purged_at is not None
    assert after.key_slot is None
    assert before.key_slot is not None
    with pytest.raises(Purged):
        services.keys.case_key(before.key_slot, before.uid)
    assert services.segments.absent(before.uid)
    listed, _ = await services.transfers.attachments(before.id, None, 100)
    assert {item.name for item in listed} == {"large.bin", "small.txt", "fix.bin"}
    for item in listed:
        assert (item.state, item.inline, item.manifest) == (AttachmentState.PURGED, None, None)
        assert item.gone_at is not None
        with pytest.raises(Purged):
            await services.content(item.id)
    assert await services.transfers.unfinished(before.id) == []
    assert await services.database.read(lambda conn: directories.of_case(conn, before.id)) == {}


@pytest.mark.parametrize(
    ("after", "purged"), [(RETENTION - MICROSECOND, False), (RETENTION, True), (RETENTION + timedelta(days=400), True)]
)
async def test_thirty_days_after_the_close_to_the_instant(services: Services, after: timedelta, purged: bool) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(after)
    report = await purge_of(services).run_due()
    assert report.purged == (["C-1"] if purged else [])
    assert report.failed == {}
    if purged:
        await assert_purged(services, before)
    else:
        assert [await services.content(item.id) for item in (await services.transfers.attachments("C-1", None, 9))[0]]


async def test_nothing_of_an_open_case_is_purged_however_old(services: Services) -> None:
    await fill(services)
    services.clock.advance(timedelta(days=4000))
    assert (await purge_of(services).run_due()).purged == []
    assert (await purge_of(services).purge("C-1")).kept == {"C-1": Verdict.NOT_CLOSED}


async def test_a_reopened_case_is_never_purged_and_closed_again_begins_thirty_new_days(services: Services) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION - timedelta(seconds=1))
    await services.cases.reopen("C-1", reason="again", by_customer=True, actor=STAFF)
    services.clock.advance(timedelta(seconds=1))
    assert (await purge_of(services).run_due()).purged == []
    await close(services)
    services.clock.advance(RETENTION - timedelta(seconds=1))
    assert (await purge_of(services).run_due()).purged == []
    services.clock.advance(timedelta(seconds=1))
    assert (await purge_of(services).run_due()).purged == ["C-1"]
    await assert_purged(services, before)


async def test_a_case_under_a_legal_hold_is_never_purged(services: Services) -> None:
    before = await fill(services)
    await services.cases.hold("C-1", reason="litigation", actor=STAFF)
    await close(services)
    services.clock.advance(RETENTION * 10)
    report = await purge_of(services).run_due()
    assert (report.purged, report.kept) == ([], {"C-1": Verdict.HELD})
    await services.cases.release_hold("C-1", STAFF)
    assert (await purge_of(services).run_due()).purged == ["C-1"]
    await assert_purged(services, before)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (None, Verdict.UNKNOWN),
        (CaseSystemAnswer("open", None), Verdict.DISAGREES),
        (CaseSystemAnswer("closed", None), Verdict.DISAGREES),
        (CaseSystemAnswer("closed", START + timedelta(seconds=1)), Verdict.DISAGREES),
    ],
)
async def test_nothing_is_purged_while_the_case_system_is_silent_or_disagrees(
    services: Services, answer: CaseSystemAnswer | None, verdict: Verdict
) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    case_system = Answering(answer)
    purge = purge_of(services, case_system=case_system)
    for _ in range(3):
        assert (await purge.run_due()).kept == {"C-1": verdict}
    assert (await services.actions("C-1")).count("purge.withheld") == 1
    case_system.answer = CaseSystemAnswer("closed", START)
    assert (await purge.run_due()).purged == ["C-1"]
    await assert_purged(services, before)


async def test_the_case_system_is_not_asked_of_a_case_that_is_held_or_half_purged(services: Services) -> None:
    await fill(services)
    await services.cases.hold("C-1", reason="litigation", actor=STAFF)
    await close(services)
    services.clock.advance(RETENTION)
    case_system = Answering(None)
    await purge_of(services, case_system=case_system).run_due()
    assert case_system.asked == []


async def test_a_case_reopened_while_the_case_system_answers_is_kept(services: Services) -> None:
    await fill(services)
    await close(services)
    services.clock.advance(RETENTION)

    class Reopening(Answering):
        async def ask(self, case_id: str) -> CaseSystemAnswer | None:
            await services.cases.reopen(case_id, reason="again", by_customer=False, actor=STAFF)
            return self.answer

    report = await purge_of(services, case_system=Reopening(CaseSystemAnswer("closed", START))).run_due()
    assert (report.purged, report.kept) == ([], {"C-1": Verdict.NOT_CLOSED})


async def test_nobody_reopens_a_case_while_it_is_purged(services: Services) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    refused: list[bool] = []

    purge = purge_of(services)

    async def sleep(_: float) -> None:
        for by_customer, refusal in ((True, ReopenTooLate), (False, CasePurging)):
            with pytest.raises(refusal):
                await services.cases.reopen("C-1", reason="again", by_customer=by_customer, actor=STAFF)
        with pytest.raises(CasePurging):
            await services.cases.hold("C-1", reason="late", actor=STAFF)
        refused.append(True)

    purge._sleep = sleep
    assert (await purge.run_due()).purged == ["C-1"]
    assert refused == [True]
    await assert_purged(services, before)


async def test_bytes_are_deleted_only_after_readers_had_time_to_notice(services: Services) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    waited: list[tuple[float, bool, bool]] = []
    purge = purge_of(services)

    async def sleep(seconds: float) -> None:
        assert before.key_slot is not None
        with pytest.raises(Purged):
            services.keys.case_key(before.key_slot, before.uid)
        state = (await services.cases.get("C-1")).purge
        waited.append((seconds, services.segments.absent(before.uid), state is PurgeState.PURGING))

    purge._sleep = sleep
    await purge.run_due()
    assert waited == [(READER_GRACE_S, False, True)]


async def test_after_a_purge_staff_may_reopen_and_what_comes_then_lives(services: Services) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    await purge_of(services).run_due()
    after = await services.cases.reopen("C-1", reason="again", by_customer=False, actor=STAFF)
    assert after.uid != before.uid
    sent = await services.store("C-1", "large.bin", b"again" * 20_000)
    assert await services.content(sent.id) == b"again" * 20_000
    assert await purge_of(services).apply_tombstones() == []
    assert await services.content(sent.id) == b"again" * 20_000
    await close(services)
    services.clock.advance(RETENTION)
    assert (await purge_of(services).run_due()).purged == ["C-1"]
    assert {tombstone.case for tombstone in services.keys.tombstones()} == {before.uid, after.uid}


async def test_a_case_that_never_had_a_byte_is_purged_too(services: Services) -> None:
    await services.open_case()
    await close(services)
    services.clock.advance(RETENTION)
    assert (await purge_of(services).run_due()).purged == ["C-1"]
    assert (await purge_of(services).run_due()).purged == []


class Crash(BaseException):
    """The process is gone."""


class Breaking:
    """Lets `calls` calls through and dies at the next: before its work is done, or just after."""

    def __init__(self, calls: int, *, after: bool) -> None:
        self.left = calls
        self.after = after

    def around(self, target: object, *names: str) -> Any:
        return _Broken(self, target, names)

    def passes(self) -> bool:
        self.left -= 1
        return self.left >= 0


class _Broken:
    def __init__(self, breaking: Breaking, target: object, names: tuple[str, ...]) -> None:
        self._breaking, self._target, self._names = breaking, target, names

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._target, name)
        if name not in self._names:
            return real
        breaking = self._breaking

        def call(*args: Any, **kwargs: Any) -> Any:
            if breaking.passes():
                return real(*args, **kwargs)
            if breaking.after:
                real(*args, **kwargs)
            raise Crash

        async def call_later(*args: Any, **kwargs: Any) -> Any:
            if breaking.passes():
                return await real(*args, **kwargs)
            if breaking.after:
                await real(*args, **kwargs)
            raise Crash

        return call_later if name == "write" else call


STEPS = 5
"""Begin, destroy, delete, absent, finish."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(STEPS))
async def test_a_crash_between_any_two_steps_comes_to_the_same_end(services: Services, step: int, after: bool) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    breaking = Breaking(step, after=after)
    dying = purge_of(
        services,
        database=breaking.around(services.database, "write"),
        keys=breaking.around(services.keys, "destroy_case_key"),
        segments=breaking.around(services.segments, "delete_case", "absent"),
    )
    with pytest.raises(Crash):
        await dying.run_due()
    report = await purge_of(services).run_due()
    assert (report.failed, report.kept) == ({}, {})
    await assert_purged(services, before)
    done = [action for action in await services.actions("C-1") if action.startswith("purge.")]
    assert done == ["purge.begin", "purge.done"]


async def test_there_are_no_more_steps_than_those_that_were_crashed(services: Services) -> None:
    await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    breaking = Breaking(1000, after=False)
    purge = purge_of(
        services,
        database=breaking.around(services.database, "write"),
        keys=breaking.around(services.keys, "destroy_case_key"),
        segments=breaking.around(services.segments, "delete_case", "absent"),
    )
    await purge.run_due()
    assert 1000 - breaking.left == STEPS


async def test_a_purge_that_has_begun_goes_on_whatever_is_said_then(services: Services) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    breaking = Breaking(0, after=False)
    with pytest.raises(Crash):
        await purge_of(services, keys=breaking.around(services.keys, "destroy_case_key")).run_due()
    services.clock.set_to(START)
    assert (await purge_of(services, case_system=Answering(None)).run_due()).purged == ["C-1"]
    await assert_purged(services, before)


async def test_a_failure_in_one_case_is_reported_and_the_others_go_on(services: Services) -> None:
    bad, good = await fill(services, "C-1"), await fill(services, "C-2")
    await close(services, "C-1")
    await close(services, "C-2")
    services.clock.advance(RETENTION)

    class Failing:
        def delete_case(self, case: str) -> None:
            if case == bad.uid:
                raise StorageFailed
            services.segments.delete_case(case)

        def absent(self, case: str) -> bool:
            return services.segments.absent(case)

    purge = purge_of(services, segments=Failing())
    for _ in range(2):
        report = await purge.run_due()
        assert report.failed == {"C-1": "storage-failed"}
    await assert_purged(services, good)
    assert (await services.actions("C-1")).count("purge.failed") == 1
    assert (await purge_of(services).run_due()).purged == ["C-1"]
    await assert_purged(services, bad)


async def test_bytes_that_are_still_there_are_a_failure(services: Services) -> None:
    await fill(services)
    await close(services)
    services.clock.advance(RETENTION)

    class Keeping:
        def delete_case(self, case: str) -> None:
            return

        def absent(self, case: str) -> bool:
            return services.segments.absent(case)

    assert (await purge_of(services, segments=Keeping()).run_due()).failed == {"C-1": "storage-failed"}
    assert (await services.cases.get("C-1")).purge is PurgeState.PURGING


async def test_two_runs_at_once_purge_once(services: Services) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    await asyncio.gather(purge_of(services).run_due(), purge_of(services).run_due())
    await assert_purged(services, before)
    assert (await services.actions("C-1")).count("purge.done") == 1


async def test_a_plan_says_what_would_go_and_changes_nothing(services: Services) -> None:
    await fill(services, "C-1")
    await fill(services, "C-2")
    await fill(services, "C-3")
    await services.cases.hold("C-2", reason="litigation", actor=STAFF)
    await close(services, "C-1")
    await close(services, "C-2")
    services.clock.advance(RETENTION)
    planned = {plan.case_id: plan for plan in await purge_of(services).plan()}
    assert {case_id: plan.verdict for case_id, plan in planned.items()} == {"C-1": Verdict.DUE, "C-2": Verdict.HELD}
    assert (planned["C-1"].attachments, planned["C-1"].size, planned["C-1"].unfinished) == (3, 300_005, 1)
    assert (await services.cases.get("C-1")).purge is PurgeState.NONE


async def test_one_case_is_purged_only_where_it_is_due(services: Services) -> None:
    with pytest.raises(NotFound):
        await purge_of(services).purge("C-404")
    await fill(services)
    await close(services)
    assert (await purge_of(services).purge("C-1")).kept == {"C-1": Verdict.NOT_YET}
    services.clock.advance(RETENTION)
    assert (await purge_of(services).purge("C-1")).purged == ["C-1"]
    assert (await purge_of(services).purge("C-1")).purged == []


@pytest.mark.parametrize("was_open", [False, True])
async def test_tombstones_are_applied_to_a_restored_database(services: Services, was_open: bool) -> None:
    before = await fill(services)
    await close(services)
    services.clock.advance(RETENTION)
    assert before.key_slot is not None
    destroyed_at = services.clock.now()
    services.keys.destroy_case_key(before.key_slot, before.uid, destroyed_at)
    if was_open:
        await services.database.write(lambda conn: _as_it_was(conn, before))
    services.clock.advance(timedelta(days=3))
    assert await purge_of(services).apply_tombstones() == ["C-1"]
    await assert_purged(services, before)
    after = await services.cases.get("C-1")
    assert after.status is CaseStatus.CLOSED
    assert after.purging_since == destroyed_at
    assert await purge_of(services).apply_tombstones() == []


def _as_it_was(conn: Connection, case: Case) -> None:
    cases.save(conn, replace(case, status=CaseStatus.OPEN, closed_at=None, sub_status=None, comment=""))

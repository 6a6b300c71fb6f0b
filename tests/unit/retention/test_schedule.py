from __future__ import annotations

import asyncio
from datetime import timedelta

from eft.domain.account import LIFETIME
from eft.domain.case import RETENTION, PurgeState, SubStatus
from eft.retention.purge import Purge
from eft.retention.rotation import EVERY, KeyRotation
from eft.retention.schedule import PURGE_EVERY_S, Schedule
from tests.fixtures.services import STAFF, START, Services


async def at_once(_: float) -> None:
    return


def schedule_of(services: Services, holder: str = "one") -> Schedule:
    purge = Purge(database=services.database, keys=services.keys, segments=services.segments, clock=services.clock, sleep=at_once)
    return Schedule(
        database=services.database,
        clock=services.clock,
        holder=holder,
        accounts=services.accounts,
        tokens=services.tokens,
        launches=services.launches,
        sessions=services.sessions,
        purge=purge,
        rotation=KeyRotation(database=services.database, keys=services.keys, clock=services.clock),
    )


async def tick(services: Services, *schedules: Schedule, seconds: int = 1) -> None:
    """Lets so many seconds pass, each with its look at the clock."""
    for _ in range(seconds):
        services.clock.advance(timedelta(seconds=1))
        for schedule in schedules:
            await schedule.tick()
            if schedule._purging is not None:
                await schedule._purging


async def close(services: Services) -> None:
    await services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)


async def purge_state(services: Services) -> PurgeState:
    return (await services.cases.get("C-1")).purge


async def test_a_password_is_erased_within_a_second_of_its_expiry(services: Services) -> None:
    await services.open_case()
    await services.accounts.issue("C-1", STAFF)
    schedule = schedule_of(services)
    services.clock.advance(LIFETIME - timedelta(seconds=5))
    await tick(services, schedule, seconds=4)
    assert services.keys.check().secrets == 1
    await tick(services, schedule)
    assert services.keys.check().secrets == 0


async def test_a_case_is_purged_in_the_second_in_which_its_time_comes(services: Services) -> None:
    await services.open_case()
    await close(services)
    schedule = schedule_of(services)
    services.clock.advance(RETENTION - timedelta(seconds=40))
    await tick(services, schedule, seconds=39)
    assert await purge_state(services) is PurgeState.NONE
    await tick(services, schedule)
    assert await purge_state(services) is PurgeState.PURGED


async def test_a_case_that_was_kept_is_looked_at_again_in_half_a_minute(services: Services) -> None:
    await services.open_case()
    await close(services)
    await services.cases.hold("C-1", reason="litigation", actor=STAFF)
    schedule = schedule_of(services)
    services.clock.advance(RETENTION)
    await tick(services, schedule, seconds=2)
    await services.cases.release_hold("C-1", STAFF)
    await tick(services, schedule, seconds=int(PURGE_EVERY_S) + 1)
    assert await purge_state(services) is PurgeState.PURGED


async def test_a_wall_clock_that_jumps_is_noticed_at_once(services: Services) -> None:
    await services.open_case()
    await close(services)
    schedule = schedule_of(services)
    await tick(services, schedule, seconds=2)
    services.clock.set_to(START + RETENTION)
    await tick(services, schedule)
    assert await purge_state(services) is PurgeState.PURGED


async def test_one_worker_acts_and_another_takes_over_when_it_is_gone(services: Services) -> None:
    first, second = schedule_of(services, "one"), schedule_of(services, "two")
    await tick(services, first, second, seconds=10)
    assert (first._leads, second._leads) == (True, False)
    await tick(services, second, seconds=10)
    assert second._leads


async def test_a_worker_that_stops_in_order_hands_over(services: Services) -> None:
    first, second = schedule_of(services, "one"), schedule_of(services, "two")
    await tick(services, first, second)
    await first.close()
    await tick(services, second, seconds=2)
    assert second._leads


async def test_a_clock_set_back_does_not_leave_the_work_to_a_dead_worker(services: Services) -> None:
    dead = schedule_of(services, "dead")
    services.clock.set_to(START + timedelta(days=40))
    await tick(services, dead)
    services.clock.set_to(START)
    living = schedule_of(services, "living")
    await tick(services, living)
    assert living._leads


async def test_a_purge_under_way_delays_no_other_look_at_the_clock(services: Services) -> None:
    await services.open_case()
    await services.accounts.issue("C-1", STAFF)
    schedule = schedule_of(services)
    waiting = asyncio.Event()

    async def never(*_: object) -> None:
        await waiting.wait()

    schedule._purge.run_due = never  # type: ignore[method-assign,assignment]
    await schedule.tick()
    assert schedule._purging is not None
    services.clock.advance(LIFETIME)
    await schedule.tick()
    assert not schedule._purging.done()
    assert services.keys.check().secrets == 0
    await schedule.close()
    assert schedule._purging.cancelled()


async def test_a_job_that_fails_keeps_no_other_from_its_turn(services: Services) -> None:
    await services.open_case()
    await close(services)
    services.clock.advance(RETENTION)
    schedule = schedule_of(services)

    async def fails() -> int:
        raise RuntimeError("broken")

    schedule._accounts.erase_due = fails  # type: ignore[method-assign]
    await tick(services, schedule)
    assert await purge_state(services) is PurgeState.PURGED


async def test_the_master_key_is_rotated_a_week_after_the_last_time(services: Services) -> None:
    schedule = schedule_of(services)
    await tick(services, schedule)
    before = services.keys.check().generation
    services.clock.advance(EVERY - timedelta(seconds=10))
    await tick(services, schedule)
    assert services.keys.check().generation == before
    services.clock.advance(timedelta(minutes=11))
    await tick(services, schedule)
    assert services.keys.check().generation == before + 1
    await tick(services, schedule, seconds=3)
    assert services.keys.check().generation == before + 1

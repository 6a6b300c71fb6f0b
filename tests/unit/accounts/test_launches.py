"""Tickets that open the Transfer Files page once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from eft.accounts.launches import Admission, Over
from eft.domain.case import SubStatus
from eft.domain.errors import CaseClosed, NotFound, WrongRegion
from eft.domain.person import Person, Role
from tests.fixtures.services import MICROSECOND, STAFF, START, Services

ADA = Person("Ada", "ada@example.com", Role.CUSTOMER)


async def test_of_any_number_at_once_one_is_admitted(services: Services) -> None:
    await services.open_case()
    ticket, expires_at = await services.launches.issue("C-1", ADA, STAFF)
    assert expires_at == START + timedelta(seconds=60)
    outcomes = await asyncio.gather(*(services.launches.redeem(ticket, None, "192.0.2.9") for _ in range(20)))
    assert sum(isinstance(outcome, Admission) for outcome in outcomes) == 1
    assert outcomes.count(Over.USED) == 19


async def test_a_ticket_is_good_until_and_not_at_its_expiry(services: Services) -> None:
    await services.open_case()
    first, _ = await services.launches.issue("C-1", ADA, STAFF)
    second, _ = await services.launches.issue("C-1", ADA, STAFF)
    services.clock.advance(timedelta(seconds=60) - MICROSECOND)
    assert isinstance(await services.launches.redeem(first, None, ""), Admission)
    services.clock.advance(MICROSECOND)
    assert await services.launches.redeem(second, None, "") is Over.EXPIRED
    assert await services.launches.redeem(first, None, "") is Over.USED


async def test_an_unknown_ticket_and_what_is_none(services: Services) -> None:
    assert await services.launches.redeem("eft_us_launch_" + "a" * 43, None, "") is Over.UNKNOWN
    assert await services.launches.redeem("eft_mars_launch_" + "a" * 43, None, "") is Over.UNKNOWN
    for text in ("", "eft_us_up_" + "a" * 43, "eft_us_launch_" + "a" * 44):
        with pytest.raises(NotFound):
            await services.launches.redeem(text, None, "")
    with pytest.raises(WrongRegion) as caught:
        await services.launches.redeem("eft_apac_launch_" + "a" * 43, None, "")
    assert (caught.value.region, caught.value.url) == ("apac", "https://eftgateway-apac.example:8443")


async def test_only_an_open_case_is_launched(services: Services) -> None:
    with pytest.raises(NotFound):
        await services.launches.issue("C-1", ADA, STAFF)
    await services.open_case()
    await services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    with pytest.raises(CaseClosed):
        await services.launches.issue("C-1", ADA, STAFF)


async def test_tickets_and_cookies_are_stored_as_hashes_alone(services: Services) -> None:
    await services.open_case()
    ticket, _ = await services.launches.issue("C-1", ADA, STAFF)
    admission = await services.launches.redeem(ticket, None, "")
    assert isinstance(admission, Admission)
    stored = services.stored_bytes()
    for secret in (ticket, admission.cookie):
        assert secret.rpartition("_")[2][-20:].encode() not in stored


async def test_launches_are_audited_by_who_asked_and_who_came(services: Services) -> None:
    await services.open_case()
    ticket, _ = await services.launches.issue("C-1", ADA, STAFF)
    for _ in range(2):
        await services.launches.redeem(ticket, None, "192.0.2.9")
    entries = [entry for entry in await services.audited("C-1") if entry.action.startswith("launch.")]
    assert [(entry.action, entry.actor, entry.address, entry.outcome) for entry in entries] == [
        ("launch.issue", "token:portal", "192.0.2.7", "done"),
        ("launch.redeem", "customer:ada@example.com", "192.0.2.9", "done"),
        ("launch.redeem", "customer:ada@example.com", "192.0.2.9", "refused"),
    ]

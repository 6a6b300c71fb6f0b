"""The launch call, an account without its password, and whom a case system acts for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from eft.accounts.launches import Admission
from tests.fixtures.services import STAFF, START
from tests.unit.api.conftest import SETTINGS, Caller, assert_problem

ADA = {"name": "Ada L.", "email": "ada@example.com", "role": "customer"}


async def test_a_launch_is_an_address_on_the_regions_own_host_for_60_seconds(caller: Caller) -> None:
    await caller.open_case()
    answer = await caller.http.post("cases/C-1/launch", json={"actor": ADA})
    assert answer.status_code == 201
    told = answer.json()
    assert set(told) == {"url", "expires_at"}
    assert told["url"].startswith(f"{SETTINGS.page_url}/launch/eft_us_launch_")
    assert datetime.fromisoformat(told["expires_at"]) == START + timedelta(seconds=60)
    admitted = await caller.services.launches.redeem(told["url"].rsplit("/", 1)[1], None, "192.0.2.9")
    assert isinstance(admitted, Admission)
    assert admitted.case_id == "C-1"


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"actor": "ada@example.com"},
        {"actor": {**ADA, "role": "admin"}},
        {"actor": {**ADA, "email": "ada"}},
        {"actor": {**ADA, "email": "ada@example.com\n"}},
        {"actor": {**ADA, "email": "a b@example.com"}},
        {"actor": {**ADA, "name": ""}},
        {"actor": {**ADA, "name": "A\0"}},
        {"actor": {"email": "ada@example.com", "role": "customer"}},
        {"actor": ADA, "ttl_s": 5},
    ],
)
async def test_a_launch_for_nobody_in_particular_is_refused(caller: Caller, body: Any) -> None:
    await caller.open_case()
    assert_problem(await caller.http.post("cases/C-1/launch", json=body), 422, "invalid-request")


async def test_a_launch_needs_an_open_case_and_the_scope(caller: Caller) -> None:
    assert_problem(await caller.http.post("cases/C-404/launch", json={"actor": ADA}), 404, "not-found")
    await caller.open_case()
    await caller.close_case()
    assert_problem(await caller.http.post("cases/C-1/launch", json={"actor": ADA}), 403, "case-closed")
    weak = await caller.services.tokens.issue_api("weak", ["cases:write"], STAFF)
    answer = await caller.http.post("cases/C-1/launch", json={"actor": ADA}, headers={"Authorization": f"Bearer {weak}"})
    assert_problem(answer, 403, "scope-missing")


async def test_a_ticket_is_in_no_file_of_the_gateway(caller: Caller) -> None:
    await caller.open_case()
    url = (await caller.http.post("cases/C-1/launch", json={"actor": ADA})).json()["url"]
    assert url.rsplit("_", 1)[1].encode() not in caller.services.stored_bytes()


async def test_an_account_is_shown_without_its_password_and_that_is_no_reveal(caller: Caller) -> None:
    await caller.open_case()
    assert_problem(await caller.http.get("cases/C-1/sftp-account?password=false"), 404, "not-found")
    made = (await caller.http.post("cases/C-1/sftp-account")).json()
    shown = await caller.http.get("cases/C-1/sftp-account?password=false")
    assert shown.status_code == 200
    assert shown.json() == {key: value for key, value in made.items() if key != "password"}
    assert "account.reveal" not in await caller.services.actions("C-1")
    assert (await caller.http.get("cases/C-1/sftp-account")).json() == made
    assert "account.reveal" in await caller.services.actions("C-1")


async def test_whom_a_case_system_acts_for_is_in_the_audit_log_beside_its_token(caller: Caller) -> None:
    await caller.open_case()
    answer = await caller.http.post("cases/C-1/sftp-account", headers={"Eft-Actor": "grace@example.com"})
    assert answer.status_code == 201
    assert (await caller.services.audited("C-1"))[-1].actor == "grace@example.com (via token:portal)"
    assert (await caller.services.audited("C-1"))[0].actor == "token:portal"


@pytest.mark.parametrize("told", ["grace", "a b@example.com", "a@b@c (via token:crm)", "@", "x" * 300 + "@example.com"])
async def test_an_actor_that_is_no_address_is_refused(caller: Caller, told: str) -> None:
    await caller.open_case()
    assert_problem(await caller.http.post("cases/C-1/sftp-account", headers={"Eft-Actor": told}), 422, "invalid-request")
    assert "account.issue" not in await caller.services.actions("C-1")

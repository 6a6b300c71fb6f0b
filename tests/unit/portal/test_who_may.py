"""Every address of the portal, and for each: nobody signed in, a customer of another organisation, the case's customer, staff."""

from __future__ import annotations

import pytest

from eft.portal.app import ADDRESSES, Address
from eft.portal.door import Access
from tests.unit.portal.conftest import CUSTOMER, STAFF, STRANGER, House

OF_A_CASE = [each for each in ADDRESSES if "{case_id}" in each.path]
OF_STAFF = [each for each in ADDRESSES if each.access is Access.STAFF]
FIELDS = {
    "sub_status": "resolved",
    "comment": "Solved.",
    "reason": "New trace.",
    "text": "Please.",
    "email": "x@example.com",
    "password": "y",
    "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBC3p9K6PIVeDPoG4szLLweg9NsbOr633YJtEdC5R9no",
    "key": "k1",
}


def path_of(address: Address) -> str:
    known = {"{case_id}": "CS-1", "{attachment_id}": "a1", "{request_id}": "r1", "{secret}": "s"}
    path = address.path
    for part, value in known.items():
        path = path.replace(part, value)
    return path


def name_of(address: Address) -> str:
    return f"{address.method} {address.path}"


async def ask(house: House, address: Address, email: str | None) -> int:
    visitor = house.visitor() if email is None else await house.signed_in(email)
    if address.method == "GET":
        return (await visitor.get(path_of(address))).status_code
    return (await visitor.post(path_of(address), **FIELDS)).status_code


@pytest.fixture
def calls(house: House) -> list[tuple[str, str, str]]:
    house.us.put("CS-1")
    house.us.attach("CS-1", "core.dump")
    house.us.account("CS-1")
    return house.us.calls


@pytest.mark.parametrize("address", [each for each in ADDRESSES if each.access is not Access.ANYBODY], ids=name_of)
async def test_who_has_not_signed_in_is_asked_to_and_no_gateway_hears_of_it(
    house: House, calls: list[tuple[str, str, str]], address: Address
) -> None:
    assert await ask(house, address, None) == 303
    assert calls == []


@pytest.mark.parametrize("address", OF_A_CASE, ids=name_of)
async def test_for_another_organisation_a_case_does_not_exist(
    house: House, calls: list[tuple[str, str, str]], address: Address
) -> None:
    assert await ask(house, address, STRANGER) == 404
    assert all(call in (("GET", "cases/CS-1", ""),) for call in calls), "nothing but whose case it is was asked"


@pytest.mark.parametrize("address", OF_STAFF, ids=name_of)
async def test_for_customers_the_addresses_of_staff_do_not_exist(
    house: House, calls: list[tuple[str, str, str]], address: Address
) -> None:
    assert await ask(house, address, CUSTOMER) == 404
    assert calls == []


@pytest.mark.parametrize("address", [each for each in OF_A_CASE if each.access is Access.SIGNED_IN], ids=name_of)
@pytest.mark.parametrize("email", [CUSTOMER, STAFF])
@pytest.mark.usefixtures("calls")
async def test_the_cases_own_customers_and_staff_are_let_in(house: House, address: Address, email: str) -> None:
    assert await ask(house, address, email) in (200, 303)


@pytest.mark.parametrize("address", OF_STAFF, ids=name_of)
@pytest.mark.usefixtures("calls")
async def test_staff_are_let_in_to_what_is_theirs(house: House, address: Address) -> None:
    assert await ask(house, address, STAFF) in ((200, 303) if "{request_id}" not in address.path else (404,)) or (
        address.path == "/new-case" and await ask(house, address, STAFF) == 400
    )


async def test_a_case_that_moves_to_another_organisation_is_gone_for_its_former_one(house: House) -> None:
    house.us.put("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    assert (await visitor.get("/cases/CS-1")).status_code == 200
    house.us.cases["CS-1"]["organisation"] = "Other"
    assert (await visitor.get("/cases/CS-1")).status_code == 404


async def test_an_attachment_of_another_case_cannot_be_had_through_ones_own(house: House) -> None:
    house.us.put("CS-1")
    house.us.put("CS-2", "Other")
    foreign = house.us.attach("CS-2", "secret.txt")
    visitor = await house.signed_in(CUSTOMER)
    assert (await visitor.get(f"/cases/CS-1/attachments/{foreign}")).status_code == 404
    assert not [path for _, path, _ in house.us.calls if path.endswith("/content")]


@pytest.mark.parametrize("case_id", ["..", "%2E%2E", "a%2Fb", "x" * 65, "CS-404"])
async def test_what_is_no_case_is_nothing(house: House, case_id: str) -> None:
    visitor = await house.signed_in(STAFF)
    assert (await visitor.get(f"/cases/{case_id}")).status_code in (303, 404)


async def test_every_answer_has_the_headers_that_keep_a_page_to_itself(house: House) -> None:
    house.us.put("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    for path in ("/sign-in", "/cases", "/cases/CS-1", "/cases/none", "/nowhere"):
        answer = await visitor.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "https://page-us.test" in policy, "the way to Transfer Files is open"
        assert answer.headers["cache-control"] == "no-store"
        assert "style=" not in answer.text
        assert "<script>" not in answer.text


async def test_another_host_name_is_refused(house: House) -> None:
    assert (await house.visitor().get("/sign-in", host="evil.test")).status_code == 421

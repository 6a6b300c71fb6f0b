"""Signing in, sessions and forgotten passwords."""

from __future__ import annotations

import re

from argon2 import Type, extract_parameters
import pytest
from sqlalchemy import select

from eft.portal import passwords
from eft.portal.sessions import COOKIE
from eft.portal.tables import journal, sessions
from tests.unit.portal.conftest import CUSTOMER, PASSWORD, House

REAL_HASHER = passwords._HASHER


async def test_a_session_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts(house: House) -> None:
    visitor = house.visitor()
    answer = await visitor.sign_in(CUSTOMER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/cases")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-eft-portal=")
    for mark in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert mark in cookie
    assert "Domain" not in cookie


async def test_signing_in_changes_the_secret_and_a_planted_one_is_worth_nothing(house: House) -> None:
    visitor = house.visitor()
    await visitor.get("/sign-in")
    planted = visitor.client.cookies[COOKIE]
    await visitor.sign_in(CUSTOMER)
    assert visitor.client.cookies[COOKIE] != planted
    thief = house.visitor()
    thief.client.cookies.set(COOKIE, planted, domain="portal.test")
    assert (await thief.get("/cases")).status_code == 303


async def test_the_database_holds_no_secret_of_a_session(house: House) -> None:
    visitor = await house.signed_in(CUSTOMER)
    stored = house.site.database.run_here(lambda conn: conn.execute(select(sessions.c.hash)).scalars().all())
    assert visitor.client.cookies[COOKIE] not in stored


async def test_who_is_unknown_and_who_mistypes_get_the_same_answer(house: House) -> None:
    wrong = await house.visitor().sign_in(CUSTOMER, "not the password at all")
    unknown = await house.visitor().sign_in("nobody@example.com", "not the password at all")
    assert wrong.status_code == unknown.status_code == 401
    plain = [re.sub(r'value="[^"]*"', "", answer.text) for answer in (wrong, unknown)]
    assert plain[0] == plain[1]


async def test_for_an_unknown_name_as_much_work_is_done_as_for_a_wrong_password(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda stored, given: compared.append(stored) or verify(stored, given))
    await house.visitor().sign_in(CUSTOMER, "wrong")
    await house.visitor().sign_in("nobody@example.com", "wrong")
    assert len(compared) == 2
    assert extract_parameters(compared[0]) == extract_parameters(compared[1])


def test_passwords_are_stored_with_argon2id_in_64_mib() -> None:
    parameters = REAL_HASHER._parameters
    assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (Type.ID, 64 * 1024, 3)


async def test_after_ten_tries_an_account_is_closed_for_a_while_even_to_the_right_password(house: House) -> None:
    for number in range(10):
        visitor = house.visitor(f"192.0.2.{number + 10}")
        assert (await visitor.sign_in(CUSTOMER, "wrong")).status_code == 401
    assert (await house.visitor().sign_in(CUSTOMER)).status_code == 429
    assert (await house.visitor().sign_in("nobody@example.com", "wrong")).status_code == 401
    house.clock.go_on(minutes=15, seconds=1)
    assert (await house.visitor().sign_in(CUSTOMER)).status_code == 303


async def test_an_unknown_name_is_throttled_just_as_well(house: House) -> None:
    answers = [(await house.visitor().sign_in("nobody@example.com", "x")).status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]


async def test_a_session_ends_after_two_idle_hours_and_after_twelve_in_any_case(house: House) -> None:
    visitor = await house.signed_in(CUSTOMER)
    for _ in range(11):
        house.clock.go_on(hours=1, minutes=1)
        assert (await visitor.get("/cases")).status_code == 200
    house.clock.go_on(hours=1)
    assert (await visitor.get("/cases")).status_code == 303
    idle = await house.signed_in(CUSTOMER)
    house.clock.go_on(hours=2)
    assert (await idle.get("/cases")).status_code == 303


async def test_signing_out_ends_the_session_on_the_server(house: House) -> None:
    visitor = await house.signed_in(CUSTOMER)
    secret = visitor.client.cookies[COOKIE]
    assert (await visitor.post("/sign-out")).status_code == 303
    thief = house.visitor()
    thief.client.cookies.set(COOKIE, secret, domain="portal.test")
    assert (await thief.get("/cases")).status_code == 303


async def test_after_signing_in_one_comes_to_the_page_one_wanted_and_to_no_other_site(house: House) -> None:
    house.us.put("CS-1")
    away = await house.visitor().get("/cases/CS-1")
    assert away.headers["location"] == "/sign-in?next=/cases/CS-1"
    assert (await house.visitor().sign_in(CUSTOMER, next="/cases/CS-1")).headers["location"] == "/cases/CS-1"
    for evil in ("https://evil.test/", "//evil.test", "/\\evil.test", "/cases/../../x y"):
        assert (await house.visitor().sign_in(CUSTOMER, next=evil)).headers["location"] == "/cases"


async def reset_link(house: House, email: str) -> str | None:
    assert (await house.visitor().post("/forgotten", email=email)).status_code == 200
    await house.settle()
    found = re.search(r"https://portal\.test(/reset/\S+)", house.mails.sent[-1][1]) if house.mails.sent else None
    return found.group(1) if found else None


async def test_a_reset_link_sets_a_password_once_and_ends_all_sessions(house: House) -> None:
    elsewhere = await house.signed_in(CUSTOMER)
    link = await reset_link(house, CUSTOMER)
    assert link is not None
    visitor = house.visitor()
    assert (await visitor.get(link)).status_code == 200
    assert (await visitor.get(link)).status_code == 200, "opening the link does not use it up"
    new = "another four words here"
    assert (await visitor.post(link, password=new, again=new)).headers["location"] == "/sign-in?done=password"
    assert (await visitor.get(link)).status_code == 410
    assert (await visitor.post(link, password=new, again=new)).status_code == 410
    assert (await elsewhere.get("/cases")).status_code == 303
    assert (await house.visitor().sign_in(CUSTOMER)).status_code == 401
    assert (await house.visitor().sign_in(CUSTOMER, new)).status_code == 303


async def test_a_reset_link_expires_and_a_newer_password_ends_it(house: House) -> None:
    old = await reset_link(house, CUSTOMER)
    house.clock.go_on(minutes=30)
    assert old is not None
    assert (await house.visitor().get(old)).status_code == 410


async def test_a_new_password_that_is_easy_or_mistyped_is_refused_and_the_link_stays_good(house: House) -> None:
    link = await reset_link(house, CUSTOMER)
    assert link is not None
    for password, again in (("short", "short"), ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa"), (PASSWORD, PASSWORD + "x")):
        assert (await house.visitor().post(link, password=password, again=again)).status_code == 400
    assert (await house.visitor().get(link)).status_code == 200


async def test_nobody_learns_from_a_reset_who_has_an_account(house: House) -> None:
    known = await house.visitor().post("/forgotten", email=CUSTOMER)
    unknown = await house.visitor().post("/forgotten", email="nobody@example.com")
    await house.settle()
    assert re.sub(r'value="[^"]*"', "", known.text) == re.sub(r'value="[^"]*"', "", unknown.text)
    assert [to for to, _ in house.mails.sent] == [CUSTOMER]


async def test_reset_mails_are_limited(house: House) -> None:
    for _ in range(5):
        await house.visitor().post("/forgotten", email=CUSTOMER)
        await house.settle()
    assert len(house.mails.sent) == 3


async def test_a_form_without_its_token_or_with_another_browsers_changes_nothing(house: House) -> None:
    visitor, other = await house.signed_in(CUSTOMER), await house.signed_in(CUSTOMER)
    house.us.put("CS-1")
    fields = {"sub_status": "resolved", "comment": "x"}
    for token in ("", "made-up", await other.token()):
        answer = await visitor.client.post("/cases/CS-1/close", data={"csrf": token, **fields})
        assert answer.status_code == 403
    assert house.us.cases["CS-1"]["status"] == "open"


async def test_a_form_that_another_site_sends_changes_nothing(house: House) -> None:
    visitor = await house.signed_in(CUSTOMER)
    house.us.put("CS-1")
    fields = {"csrf": await visitor.token(), "sub_status": "resolved", "comment": "x"}
    answer = await visitor.client.post("/cases/CS-1/close", data=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert house.us.cases["CS-1"]["status"] == "open"


async def test_a_browser_without_cookies_is_told_so(house: House) -> None:
    visitor = house.visitor()
    token = await visitor.token()
    visitor.client.cookies.clear()
    answer = await visitor.client.post("/sign-in", data={"csrf": token, "email": CUSTOMER, "password": PASSWORD})
    assert answer.status_code == 400
    assert "Allow cookies" in answer.text


async def test_who_signed_in_from_where_is_in_the_journal_and_no_password_is(house: House) -> None:
    await house.signed_in(CUSTOMER)
    await house.visitor().sign_in(CUSTOMER, "a wrong password")
    rows = house.site.database.run_here(lambda conn: conn.execute(select(journal)).all())
    assert [(row.action, row.address) for row in rows] == [("sign-in", "192.0.2.1"), ("sign-in-refused", "192.0.2.1")]
    assert "wrong password" not in repr(rows)

"""The section Temporary FTP Account, and upload tokens."""

from __future__ import annotations

from sqlalchemy import select

from eft.portal.tables import journal
from tests.unit.portal.conftest import CUSTOMER, STAFF, House

SECRET = "the-secret-word"


async def test_a_customer_asks_staff_create_and_the_queue_is_empty_again(house: House) -> None:
    house.us.put("CS-1")
    customer, staff = await house.signed_in(CUSTOMER), await house.signed_in(STAFF)
    assert "Request a temporary account" in (await customer.get("/cases/CS-1")).text
    await customer.post("/cases/CS-1/account/request", text="No browser there.")
    await customer.post("/cases/CS-1/account/request", text="No browser there, again.")
    page = (await customer.get("/cases/CS-1")).text
    assert "You asked for an account" in page
    queue = (await staff.get("/queue")).text
    assert queue.count("asks for a temporary account") == 1
    assert "No browser there." in queue
    assert (await staff.post("/cases/CS-1/account/create")).status_code == 303
    assert "Nothing waits" in (await staff.get("/queue")).text
    page = (await customer.get("/cases/CS-1")).text
    for shown in ("sftp.example", "2221", "eft_us_abc", "SHA256:fingerprint", "5 days 0 hours"):
        assert shown in page, shown


async def test_the_password_is_shown_only_when_asked_for_and_who_looked_is_recorded(house: House) -> None:
    house.us.put("CS-1")
    house.us.account("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    assert SECRET not in (await visitor.get("/cases/CS-1")).text
    assert (await visitor.get("/cases/CS-1/account/reveal")).status_code in (404, 405)
    revealed = await visitor.post("/cases/CS-1/account/reveal")
    assert SECRET in revealed.text
    assert revealed.headers["cache-control"] == "no-store"
    assert SECRET not in (await visitor.get("/cases/CS-1")).text
    assert [who for method, path, who in house.us.calls if path.endswith("sftp-account") and who] == [CUSTOMER]
    rows = house.site.database.run_here(lambda conn: conn.execute(select(journal)).all())
    assert ("account-reveal", CUSTOMER, "CS-1") in [(row.action, row.email, row.case_id) for row in rows]
    assert SECRET not in repr(rows)


async def test_the_ready_lines_have_everything_but_the_password(house: House) -> None:
    house.us.put("CS-1")
    house.us.account("CS-1")
    page = (await (await house.signed_in(CUSTOMER)).post("/cases/CS-1/account/reveal")).text
    for line in (
        "sftp -P 2221 eft_us_abc@sftp.example",
        "psftp -P 2221 eft_us_abc@sftp.example",
        "sftp://eft_us_abc@sftp.example:2221",
    ):
        assert line in page, line
    assert page.count(SECRET) == 1


async def test_an_account_that_has_expired_is_not_shown(house: House) -> None:
    house.us.put("CS-1")
    house.us.account("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    house.clock.go_on(hours=1, minutes=59)
    assert "eft_us_abc" in (await visitor.get("/cases/CS-1")).text
    house.clock.go_on(hours=118, minutes=1)
    visitor = await house.signed_in(CUSTOMER)
    assert "eft_us_abc" not in (await visitor.get("/cases/CS-1")).text
    assert SECRET not in (await visitor.post("/cases/CS-1/account/reveal")).text


async def test_staff_renew_and_revoke(house: House) -> None:
    house.us.put("CS-1")
    house.us.account("CS-1")
    staff = await house.signed_in(STAFF)
    assert "Renew" in (await staff.get("/cases/CS-1")).text
    assert (await staff.post("/cases/CS-1/account/create")).status_code == 303
    assert (await staff.post("/cases/CS-1/account/revoke")).status_code == 303
    assert "CS-1" not in house.us.accounts
    assert ("DELETE", "cases/CS-1/sftp-account", STAFF) in house.us.calls
    answer = await staff.post("/cases/CS-1/account/reveal")
    assert answer.status_code == 404
    assert "expired, or was revoked" in answer.text


async def test_a_closed_case_has_no_account_and_none_can_be_asked_for(house: House) -> None:
    house.us.put("CS-1")
    house.us.close("CS-1")
    customer, staff = await house.signed_in(CUSTOMER), await house.signed_in(STAFF)
    assert "Temporary FTP Account" not in (await customer.get("/cases/CS-1")).text
    assert (await customer.post("/cases/CS-1/account/request", text="")).status_code == 403
    assert (await staff.post("/cases/CS-1/account/create")).status_code == 403


async def test_an_upload_token_is_shown_once_and_stands_in_no_command_line(house: House) -> None:
    house.us.put("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    page = (await visitor.post("/cases/CS-1/token")).text
    assert page.count("eft_us_up_token") == 1
    assert "-H @eft-header" in page
    assert "eft send FILE --to https://us.test --token-file eft-token" in page
    assert "eft_us_up_token" not in (await visitor.get("/cases/CS-1")).text

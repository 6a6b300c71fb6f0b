"""Lists and pages of cases, closing and reopening, and what gateways are told before a purge."""

from __future__ import annotations

from datetime import datetime, timedelta
import re
from typing import Any

import pytest

from tests.unit.portal.conftest import CUSTOMER, STAFF, STRANGER, House
from tests.unit.portal.fake_gateway import text_of


async def asks(house: House, region: str, case_id: str, token: str | None = None) -> tuple[int, Any]:
    answer = await house.visitor().get(f"/case-system/cases/{case_id}", authorization=f"Bearer {token or f'asks-{region}'}")
    return answer.status_code, answer.json()


async def test_customers_see_their_own_organisations_cases_and_staff_see_all(house: House) -> None:
    house.us.put("CS-1")
    house.emea.put("CS-2")
    house.us.put("CS-3", "Other")
    seen = {}
    for email in (CUSTOMER, STRANGER, STAFF):
        page = await (await house.signed_in(email)).get("/cases")
        seen[email] = set(re.findall(r'href="/cases/(CS-\d)"', page.text))
    assert seen == {CUSTOMER: {"CS-1", "CS-2"}, STRANGER: {"CS-3"}, STAFF: {"CS-1", "CS-2", "CS-3"}}


async def test_the_lists_tell_open_from_closed_and_mine_from_my_colleagues(house: House) -> None:
    for case_id in ("CS-1", "CS-2", "CS-3"):
        house.us.put(case_id)
    house.us.close("CS-2")
    visitor = await house.signed_in(CUSTOMER)
    await visitor.post("/cases/CS-3/close", sub_status="cancelled", comment="Not needed any more.")

    async def listed(view: str) -> set[str]:
        return set(re.findall(r'href="/cases/(CS-\d)"', (await visitor.get(f"/cases?view={view}")).text))

    assert await listed("open") == {"CS-1"}
    assert await listed("all-closed") == {"CS-2", "CS-3"}
    assert await listed("my-closed") == {"CS-3"}


async def test_the_page_is_shown_with_a_message_while_its_gateway_is_silent(house: House) -> None:
    house.us.put("CS-1", subject="Calls drop")
    visitor = await house.signed_in(CUSTOMER)
    await visitor.get("/cases")
    house.us.down = True
    page = await visitor.get("/cases/CS-1")
    assert page.status_code == 200
    assert "does not answer" in page.text
    assert "Calls drop" in page.text
    assert "Transfer Files</button>" not in page.text
    house.clock.go_on(seconds=5)
    listed = await visitor.get("/cases")
    assert "does not answer" in listed.text
    assert "Calls drop" in listed.text
    assert (await visitor.post("/cases/CS-1/transfer")).status_code == 503


async def test_a_file_shows_digest_source_completeness_and_when_it_goes(house: House) -> None:
    house.us.put("CS-1")
    house.us.attach("CS-1", "logs/<b>core</b>.dump", b"x" * 3000)
    house.us.uploads["CS-1"] = [
        {
            "name": "big.bin",
            "offset": 1 << 30,
            "length": 3 << 30,
            "state": "receiving",
            "source": "sftp",
            "expires_at": text_of(house.clock.now()),
        }
    ]
    page = (await (await house.signed_in(CUSTOMER)).get("/cases/CS-1")).text
    for shown in (
        "ab" * 32,
        "2.9 KiB",
        "Complete: its length or digest",
        "1.0 GiB of 3.0 GiB",
        "logs/&lt;b&gt;core&lt;/b&gt;.dump",
    ):
        assert shown in page, shown


async def test_transfer_files_leads_to_the_regions_own_page_as_whoever_signed_in(house: House) -> None:
    house.emea.put("CS-2")
    for email, role in ((CUSTOMER, "customer"), (STAFF, "staff")):
        answer = await (await house.signed_in(email)).post("/cases/CS-2/transfer")
        assert (answer.status_code, answer.headers["location"]) == (303, "https://page-emea.test/launch/t")
        assert house.emea.launched[-1] == {"name": email.split("@")[0].title(), "email": email, "role": role}


async def test_a_closed_case_offers_no_transfer_and_refuses_one(house: House) -> None:
    house.us.put("CS-1")
    house.us.close("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    assert "Transfer Files</button>" not in (await visitor.get("/cases/CS-1")).text
    assert (await visitor.post("/cases/CS-1/transfer")).status_code == 403


async def test_a_download_passes_the_bytes_on_as_a_file_and_never_as_a_page(house: House) -> None:
    house.us.put("CS-1")
    wanted = house.us.attach("CS-1", "a/<script>.html", b"<script>alert(1)</script>")
    answer = await (await house.signed_in(CUSTOMER)).get(f"/cases/CS-1/attachments/{wanted}")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%3Cscript%3E.html"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_closing_needs_a_sub_status_of_the_customers_and_a_comment(house: House) -> None:
    house.us.put("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    for fields in ({"sub_status": "no_response", "comment": "x"}, {"sub_status": "resolved", "comment": " "}, {}):
        assert (await visitor.post("/cases/CS-1/close", **fields)).status_code == 400
    assert house.us.cases["CS-1"]["status"] == "open"
    assert (await visitor.post("/cases/CS-1/close", sub_status="resolved", comment="Works.")).status_code == 303
    assert (house.us.cases["CS-1"]["sub_status"], house.us.cases["CS-1"]["comment"]) == ("resolved", "Works.")
    assert ("POST", "cases/CS-1/close", CUSTOMER) in house.us.calls


async def test_reopening_needs_new_information_opens_at_once_and_tells_staff(house: House) -> None:
    house.us.put("CS-1")
    house.us.close("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    assert "Request to Re-open" in (await visitor.get("/cases/CS-1")).text
    assert (await visitor.post("/cases/CS-1/reopen", reason="  ")).status_code == 400
    assert house.us.cases["CS-1"]["status"] == "closed"
    assert (await visitor.post("/cases/CS-1/reopen", reason="It happened again at noon.")).status_code == 303
    assert house.us.cases["CS-1"]["status"] == "open"
    staff = await house.signed_in(STAFF)
    queue = (await staff.get("/queue")).text
    assert "It happened again at noon." in queue
    done = re.search(r'action="(/queue/[0-9a-f]+/done)"', queue)
    assert done is not None
    assert (await staff.post(done.group(1))).status_code == 303
    assert "It happened again at noon." not in (await staff.get("/queue")).text
    assert "It happened again at noon." in (await staff.get("/cases/CS-1")).text


async def test_a_customer_reopens_to_the_last_microsecond_before_30_days_and_not_after(house: House) -> None:
    house.us.put("CS-1")
    house.us.close("CS-1")
    closed_at = house.clock.now()
    house.clock.instant = closed_at + timedelta(days=30)
    visitor = await house.signed_in(CUSTOMER)
    page = (await visitor.get("/cases/CS-1")).text
    assert "Request to Re-open" not in page
    assert 'data-code="reopen-too-late"' in page
    assert (await visitor.post("/cases/CS-1/reopen", reason="New.")).status_code == 403
    house.clock.instant = closed_at + timedelta(days=30) - timedelta(microseconds=1)
    assert "Request to Re-open" in (await visitor.get("/cases/CS-1")).text
    assert (await visitor.post("/cases/CS-1/reopen", reason="New.")).status_code == 303


async def test_a_case_closed_without_an_answer_names_the_telephone_instead_of_the_button(house: House) -> None:
    house.us.put("CS-1")
    house.us.close("CS-1", "no_response")
    visitor = await house.signed_in(CUSTOMER)
    page = (await visitor.get("/cases/CS-1")).text
    assert "Request to Re-open" not in page
    assert 'data-code="reopen-by-telephone"' in page
    assert "+1 555 0100" in page
    assert (await visitor.post("/cases/CS-1/reopen", reason="New.")).status_code == 403
    assert (await (await house.signed_in(STAFF)).post("/cases/CS-1/reopen", reason="Called.")).status_code == 303


async def test_after_the_purge_the_page_says_which_files_were_there_and_when_they_went(house: House) -> None:
    house.us.put("CS-1")
    gone = house.us.attach("CS-1", "core.dump")
    house.us.close("CS-1")
    house.clock.go_on(days=31)
    house.us.purge("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    page = (await visitor.get("/cases/CS-1")).text
    assert "Deleted files" in page
    assert "core.dump" in page
    assert "24 Dec 2026" in page
    assert f"/attachments/{gone}" not in page
    assert (await visitor.get(f"/cases/CS-1/attachments/{gone}")).status_code == 410
    await (await house.signed_in(STAFF)).post("/cases/CS-1/reopen", reason="Again.")
    page = (await visitor.get("/cases/CS-1")).text
    assert "core.dump" in page
    assert "send them again" in page


async def test_staff_create_a_case_in_a_region_for_an_organisation(house: House) -> None:
    staff = await house.signed_in(STAFF)
    fields = {"case_id": "CS-9", "region": "emea", "organisation": "Example", "contact": CUSTOMER, "subject": "New"}
    assert (await staff.post("/new-case", **{**fields, "contact": STRANGER})).status_code == 400
    assert "CS-9" not in house.emea.cases
    assert (await staff.post("/new-case", **fields)).headers["location"] == "/cases/CS-9?done=created"
    assert house.emea.cases["CS-9"]["organisation"] == "Example"
    assert (await staff.post("/new-case", **fields)).status_code == 400, "a number is given once"
    assert (await (await house.signed_in(CUSTOMER)).get("/cases/CS-9")).status_code == 200


async def test_a_gateway_is_told_its_own_closing_time_to_the_microsecond(house: House) -> None:
    house.us.put("CS-1")
    assert await asks(house, "us", "CS-1") == (200, {"status": "open", "closed_at": None})
    house.us.close("CS-1")
    status, told = await asks(house, "us", "CS-1")
    assert (status, told["status"]) == (200, "closed")
    assert datetime.fromisoformat(told["closed_at"]) == datetime.fromisoformat(house.us.cases["CS-1"]["closed_at"])
    assert datetime.fromisoformat(told["closed_at"]).microsecond == 123456


async def test_a_gateway_learns_nothing_without_its_token_or_of_another_regions_case(house: House) -> None:
    house.us.put("CS-1")
    assert (await asks(house, "us", "CS-1", "wrong"))[0] == 401
    assert (await house.visitor().get("/case-system/cases/CS-1")).status_code == 401
    assert (await asks(house, "emea", "CS-1"))[0] == 404
    assert (await asks(house, "us", "CS-404"))[0] == 404


async def test_a_gateway_that_has_forgotten_a_reopening_is_told_that_the_case_is_open(house: House) -> None:
    house.us.put("CS-1")
    house.us.close("CS-1")
    earlier = dict(house.us.cases["CS-1"])
    house.clock.go_on(days=1)
    visitor = await house.signed_in(CUSTOMER)
    await visitor.post("/cases/CS-1/reopen", reason="New.")
    assert house.us.cases["CS-1"]["status"] == "open"
    house.us.cases["CS-1"] = earlier  # put back from a backup of the day before
    assert (await asks(house, "us", "CS-1"))[1]["status"] == "open"
    house.us.cases["CS-1"] = {**earlier, "closed_at": text_of(house.clock.now() + timedelta(hours=1))}
    assert (await asks(house, "us", "CS-1"))[1]["status"] == "closed"


async def test_a_number_that_two_regions_have_belongs_to_the_first(house: House) -> None:
    house.us.put("CS-1", "Example")
    visitor, stranger = await house.signed_in(CUSTOMER), await house.signed_in(STRANGER)
    await visitor.get("/cases")
    house.emea.put("CS-1", "Other")
    house.clock.go_on(seconds=5)
    await stranger.get("/cases")
    assert (await stranger.get("/cases/CS-1")).status_code == 404
    assert (await visitor.get("/cases/CS-1")).status_code == 200


@pytest.mark.parametrize("text", ["x" * 200_000, "a\0b"])
async def test_a_form_that_is_too_large_or_not_text_is_refused(house: House, text: str) -> None:
    house.us.put("CS-1")
    visitor = await house.signed_in(CUSTOMER)
    assert (await visitor.post("/cases/CS-1/close", sub_status="resolved", comment=text)).status_code == 400
    assert house.us.cases["CS-1"]["status"] == "open"

"""Public keys on the case page."""

from __future__ import annotations

import html

import pytest
from sqlalchemy import select

from eft.domain.public_key import MOST_KEYS
from eft.portal.tables import journal
from tests.unit.portal.conftest import CUSTOMER, STAFF, House

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBC3p9K6PIVeDPoG4szLLweg9NsbOr633YJtEdC5R9no"
FINGERPRINT = "SHA256:yVoCRG8sDUP8Tqw2lQw4Kz1vNd6waRKRtMwcmTef4bg"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----"


@pytest.fixture
def house_with_account(house: House) -> House:
    house.us.put("CS-1")
    house.us.account("CS-1")
    return house


@pytest.mark.parametrize("email", [CUSTOMER, STAFF])
async def test_who_sees_the_case_registers_a_key_and_removes_it(house_with_account: House, email: str) -> None:
    house = house_with_account
    visitor = await house.signed_in(email)
    assert "Add a public key" in (await visitor.get("/cases/CS-1")).text
    answer = await visitor.post("/cases/CS-1/account/keys", public_key=f"{KEY} <b>laptop</b>\r\n")
    assert (answer.status_code, answer.headers["location"]) == (303, "/cases/CS-1?done=key-added#keys")
    page = (await visitor.get(answer.headers["location"])).text
    for shown in (
        FINGERPRINT,
        "Ed25519 · &lt;b&gt;laptop&lt;/b&gt; ·",
        f"added by {email}, <time",
        "The public key is registered",
    ):
        assert shown in page, shown
    key = house.us.keys["CS-1"][0]["id"]
    answer = await visitor.post("/cases/CS-1/account/keys/remove", key=key)
    assert answer.status_code == 303
    page = (await visitor.get(answer.headers["location"])).text
    assert FINGERPRINT not in page
    assert "has been removed" in page
    assert (await visitor.post("/cases/CS-1/account/keys/remove", key=key)).status_code == 303
    assert ("DELETE", f"cases/CS-1/sftp-account/keys/{key}", email) in house.us.calls
    rows = house.site.database.run_here(lambda conn: conn.execute(select(journal)).all())
    assert [("account-key-add", email, FINGERPRINT), ("account-key-remove", email, key)] == [
        (row.action, row.email, row.detail) for row in rows if row.action.startswith("account-key")
    ][:2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "There is no public key here."),
        ("hello", "This is not a public key."),
        (f'from="192.0.2.1" {KEY}', "There are options in front of the key"),
        ("ssh-dss AAAA", "DSA keys are not taken"),
        (f"{KEY}\n{KEY}", "There are several lines."),
        (PRIVATE, "This is a private key."),
    ],
)
async def test_what_is_no_key_is_refused_on_the_page_and_goes_to_no_gateway(
    house_with_account: House, text: str, told: str
) -> None:
    visitor = await house_with_account.signed_in(CUSTOMER)
    answer = await visitor.post("/cases/CS-1/account/keys", public_key=text)
    assert answer.status_code == 400
    page = html.unescape(answer.text)
    assert told in page
    assert "<details open>" in page, "the form with the message is seen"
    assert text == PRIVATE or text in page, "what was typed can be mended"
    assert "c2VjcmV0" not in page
    assert not [call for call in house_with_account.us.calls if call[0] == "POST"]


async def test_one_key_too_many_is_refused_with_what_to_do(house_with_account: House) -> None:
    house_with_account.us.keys["CS-1"] = [
        {
            "id": f"k{number}",
            "type": "ssh-rsa",
            "bits": 3072,
            "fingerprint": f"SHA256:{number}",
            "comment": "",
            "added_at": "2026-11-23T09:00:00Z",
            "added_by": "cli:root",
        }
        for number in range(MOST_KEYS)
    ]
    visitor = await house_with_account.signed_in(CUSTOMER)
    answer = await visitor.post("/cases/CS-1/account/keys", public_key=KEY)
    assert answer.status_code == 409
    assert "too-many-keys" in answer.text
    assert "RSA, 3072 bits · added by cli:root" in answer.text


async def test_without_an_account_there_is_no_place_for_keys(house: House) -> None:
    house.us.put("CS-1")
    visitor = await house.signed_in(STAFF)
    assert "Add a public key" not in (await visitor.get("/cases/CS-1")).text
    assert (await visitor.post("/cases/CS-1/account/keys", public_key=KEY)).status_code == 404

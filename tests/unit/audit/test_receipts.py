"""What a receipt says, who can verify it, and what becomes of it when keys change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
import hashlib
import json
from pathlib import Path

import jwt
import pytest
import pytest_asyncio

from eft.audit.receipts import Receipts
from eft.audit.signing_keys import SigningKeys
from eft.db import receipt_keys
from eft.domain.attachment import Attachment
from eft.domain.case import SubStatus
from eft.domain.errors import KeyUnavailable, Purged
from tests.fixtures.services import CUSTOMER, STAFF, Services, running_services

CONTENT = b"trace\n" * 1000


@pytest_asyncio.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with running_services(tmp_path) as running:
        await running.open_case()
        yield running


async def receipt_of(services: Services, attachment: Attachment) -> str:
    return await services.receipts.of(attachment, await services.cases.get(attachment.case_id))


async def verified(services: Services, receipt: str) -> dict[str, object]:
    """By somebody else's implementation of JWS, and the published keys."""
    keys = jwt.PyJWKSet.from_dict(await services.receipts.published_keys())
    kid = jwt.get_unverified_header(receipt)["kid"]
    return dict(json.loads(jwt.PyJWS().decode(receipt, keys[kid].key, algorithms=["EdDSA"])))


async def test_a_receipt_says_what_was_received_from_whom_and_when_it_goes(services: Services) -> None:
    attachment = await services.store("C-1", "logs/é trace.txt", CONTENT)
    receipt = await receipt_of(services, attachment)
    assert await verified(services, receipt) == {
        "format": 1,
        "issuer": "https://eftgateway-us.example:8441",
        "region": "us",
        "case": "C-1",
        "attachment": attachment.id,
        "name": "logs/é trace.txt",
        "version": 1,
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "source": "https",
        "completeness": "declared",
        "received_at": "2026-11-23T12:00:00.000000Z",
        "who": CUSTOMER.name,
        "purge_rule": "30 days after the case is closed",
        "purge_at": None,
    }
    header = jwt.get_unverified_header(receipt)
    assert (header["alg"], header["typ"]) == ("EdDSA", "eft-receipt+jws")


async def test_the_purge_time_is_in_it_once_the_case_is_closed(services: Services) -> None:
    attachment = await services.store("C-1", "a", CONTENT)
    await services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    said = await verified(services, await receipt_of(services, attachment))
    assert said["purge_at"] == "2026-12-23T12:00:00.000000Z"


async def test_the_same_facts_are_the_same_bytes_whenever_and_wherever_asked(services: Services) -> None:
    attachment = await services.store("C-1", "a", CONTENT)
    first = await receipt_of(services, attachment)
    services.clock.advance(timedelta(days=400))
    other_worker = SigningKeys(database=services.database, keys=services.keys, clock=services.clock)
    elsewhere = Receipts(other_worker, region="us", issuer="https://eftgateway-us.example:8441")
    assert await elsewhere.of(attachment, await services.cases.get("C-1")) == first
    services.keys.rotate()
    fresh = SigningKeys(database=services.database, keys=services.keys, clock=services.clock)
    assert (
        await Receipts(fresh, region="us", issuer="https://eftgateway-us.example:8441").of(
            attachment, await services.cases.get("C-1")
        )
        == first
    )


async def test_an_altered_receipt_does_not_verify(services: Services) -> None:
    receipt = await receipt_of(services, await services.store("C-1", "a", CONTENT))
    head, body, signature = receipt.split(".")
    for forged in (f"{head}.{body[:-4]}AAAA.{signature}", f"{head}.{body}.{'A' * 86}"):
        with pytest.raises(jwt.InvalidSignatureError):
            await verified(services, forged)


async def test_workers_that_start_at_once_agree_on_one_key(services: Services) -> None:
    workers = [SigningKeys(database=services.database, keys=services.keys, clock=services.clock) for _ in range(8)]
    assert len({key.kid for key in await asyncio.gather(*(worker.ensure() for worker in workers))}) == 1
    assert len(await services.signing_keys.known()) == 1
    assert services.keys.check().secrets == 1
    assert (await services.actions()).count("receipt-key.make") == 1


async def test_after_a_rotation_old_receipts_verify_and_the_old_key_signs_no_more(services: Services) -> None:
    attachment = await services.store("C-1", "a", CONTENT)
    before = await receipt_of(services, attachment)
    old = await services.signing_keys.ensure()
    elsewhere = SigningKeys(database=services.database, keys=services.keys, clock=services.clock)
    new = await elsewhere.rotate(STAFF)
    after = await receipt_of(services, attachment)
    assert [jwt.get_unverified_header(receipt)["kid"] for receipt in (before, after)] == [old.kid, new.kid]
    assert await verified(services, before) == await verified(services, after)
    retired = (await services.signing_keys.known())[1]
    assert (retired.kid, retired.slot, retired.retired_at) == (old.kid, None, new.made_at)
    with pytest.raises(KeyUnavailable):
        services.keys.secret(old.slot or 0, f"receipt-key:{old.kid}")


async def test_two_rotations_at_once_leave_one_key_that_signs(services: Services) -> None:
    workers = [SigningKeys(database=services.database, keys=services.keys, clock=services.clock) for _ in range(4)]
    await workers[0].ensure()
    await asyncio.gather(*(worker.rotate(STAFF) for worker in workers))
    known = await services.signing_keys.known()
    assert sum(key.retired_at is None for key in known) == 1
    assert services.keys.check().secrets == 1
    await receipt_of(services, await services.store("C-1", "a", CONTENT))


async def test_a_rotation_that_was_killed_before_it_destroyed_the_old_key_is_finished_by_the_next(services: Services) -> None:
    old = await services.signing_keys.ensure()
    await services.database.write(
        lambda conn: receipt_keys.succeed(conn, replace(old, kid="half", turn=2, made_at=services.clock.now(), slot=None))
    )
    await services.signing_keys.rotate(STAFF)
    assert [key.slot is None for key in await services.signing_keys.known()] == [False, True, True]
    assert services.keys.check().secrets == 1


async def test_no_private_key_is_in_any_file(services: Services) -> None:
    _, private = await services.signing_keys.current()
    assert private.private_bytes_raw() not in services.stored_bytes()
    assert private.public_key().public_bytes_raw() in services.stored_bytes()


async def test_what_is_gone_has_no_receipt(services: Services) -> None:
    attachment = await services.store("C-1", "a", CONTENT)
    await services.transfers.delete(attachment.id, actor=STAFF)
    with pytest.raises(Purged):
        await receipt_of(services, await services.transfers.attachment(attachment.id))

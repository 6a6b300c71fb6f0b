"""Final uploads and their parts on each database: made once by many who ask, put together when they can be, and purged."""

from __future__ import annotations

import asyncio
from datetime import timedelta
import hashlib

import pytest

from eft.db import attachments, uploads
from eft.domain.attachment import AttachmentState
from eft.domain.case import RETENTION, PurgeState, SubStatus
from eft.domain.upload import Completeness, Source, Upload, UploadState
from eft.retention.purge import Purge
from eft.transfers import Intent
from tests.fixtures.services import CUSTOMER, STAFF, Services

LARGE = 200_000


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("initdb", "postgres"))])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def intent(name: str, **more: object) -> Intent:
    return Intent(name=name, source=Source.HTTPS, actor=CUSTOMER, **more)  # type: ignore[arg-type]


async def part(services: Services, data: bytes, *, length: int | None = None) -> str:
    """A part of `length` bytes that begins with these, and is whole if these are all."""
    size = len(data) if length is None else length
    upload = await services.transfers.register("C-1", intent("part", length=size, concat="partial"))
    await fill(services, upload.id, data)
    return upload.id


async def fill(services: Services, upload_id: str, data: bytes) -> None:
    reception = await services.transfers.take(upload_id, case_id="C-1")
    reception.offer(data)
    if reception.offset == reception.length:
        await reception.finish(Completeness.DECLARED)
    else:
        await reception.commit()
    await reception.release()


async def final(services: Services, *parts: str, name: str = "whole.bin") -> Upload:
    listed = "final;" + " ".join(f"/files/{each}" for each in parts)
    return await services.transfers.concatenate("C-1", intent(name, concat=listed, metadata=f"name {name}"), parts)


async def test_of_many_who_ask_for_the_same_at_once_each_is_told_of_one(services: Services) -> None:
    await services.open_case()
    parts = [await part(services, b"a" * LARGE), await part(services, b"b" * 10), await part(services, b"c" * LARGE)]
    made = await asyncio.gather(*(final(services, *parts, *parts[:1]) for _ in range(12)))
    assert {upload.id for upload in made} == {made[0].id}
    whole = b"a" * LARGE + b"b" * 10 + b"c" * LARGE + b"a" * LARGE
    attachment = await services.transfers.attachment(made[0].id)
    assert (attachment.size, attachment.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert await services.content(made[0].id) == whole
    assert (await services.actions("C-1")).count("upload.publish") == 1


async def test_one_that_waits_is_put_together_when_its_last_part_is_whole(services: Services) -> None:
    await services.open_case()
    parts = [await part(services, b"a" * LARGE), await part(services, b"b" * 1000, length=LARGE)]
    waiting = await final(services, *parts)
    await services.transfers.tick()
    assert (await services.transfers.upload(waiting.id, case_id="C-1")).state is UploadState.RECEIVING
    assert await services.transfers.length_of_parts(waiting) == 2 * LARGE
    (listed,) = await services.transfers.unfinished("C-1")
    assert (listed.id, listed.offset, listed.length) == (waiting.id, LARGE + 1000, 2 * LARGE)
    assert (await services.transfers.unfinished_page("C-1", None, 10))[0] == [listed]
    await fill(services, parts[1], b"b" * (LARGE - 1000))
    await services.transfers.tick()
    assert await services.content(waiting.id) == b"a" * LARGE + b"b" * LARGE


async def test_a_thousand_parts_are_one_file(services: Services) -> None:
    await services.open_case()
    pieces = [bytes([number % 251]) * (number % 7 + 1) for number in range(12)]
    parts = [await part(services, piece) for piece in pieces]
    made = await final(services, *(parts * 84))
    assert await services.content(made.id) == b"".join(pieces) * 84


async def test_the_purge_takes_finals_and_parts_and_what_waits(services: Services) -> None:
    await services.open_case()
    whole = [await part(services, b"a" * LARGE), await part(services, b"b" * LARGE)]
    open_part = await part(services, b"c" * 1000, length=LARGE)
    done, waiting = await final(services, *whole), await final(services, *whole, open_part, name="waiting.bin")
    deleted = await final(services, *reversed(whole), name="deleted.bin")
    await services.transfers.withdraw(deleted.id, case_id="C-1", actor=CUSTOMER)
    case = await services.cases.close("C-1", sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    assert await services.content(done.id) == b"a" * LARGE + b"b" * LARGE
    services.clock.advance(RETENTION + timedelta(minutes=1))

    async def sleep(seconds: float) -> None:
        services.clock.advance(timedelta(seconds=seconds))

    purge = Purge(database=services.database, keys=services.keys, segments=services.segments, clock=services.clock, sleep=sleep)
    planned = {plan.case_id: plan for plan in await purge.plan()}
    assert (planned["C-1"].attachments, planned["C-1"].size) == (2, 4 * LARGE)
    assert (await purge.run_due()).purged == ["C-1"]
    after = await services.cases.get("C-1")
    assert (after.purge, services.segments.absent(case.uid)) == (PurgeState.PURGED, True)
    left = await services.database.read(lambda conn: [uploads.get(conn, each) for each in (*whole, open_part, waiting.id)])
    assert {(upload.state, upload.ended) for upload in left if upload is not None} == {(UploadState.EXPIRED, "purged")}
    gone = await services.database.read(lambda conn: [attachments.get(conn, each.id) for each in (done, deleted)])
    assert {attachment.state for attachment in gone if attachment is not None} == {AttachmentState.PURGED}
    await services.transfers.tick()
    assert b"a" * 100 not in services.stored_bytes()

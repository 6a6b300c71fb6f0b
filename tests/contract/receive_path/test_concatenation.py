"""Parts and the final uploads that are made of them, through the receive path alone."""

from __future__ import annotations

import pytest

from eft.domain.errors import CaseClosed, Gone
from eft.domain.upload import Completeness, UploadState
from eft.transfers import Transfers
from tests.contract.receive_path.conftest import CUSTOMER, Site, intent, read_all


async def part(transfers: Transfers, data: bytes) -> str:
    upload = await transfers.register("C-1", intent("part", length=len(data), concat="partial"))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.offer(data)
    await reception.finish(Completeness.DECLARED)
    return upload.id


async def final(transfers: Transfers, *parts: str) -> str:
    named = intent("whole.bin", concat="final;" + " ".join(parts))
    return (await transfers.concatenate("C-1", named, parts)).id


async def test_parts_that_expire_or_end_before_the_final_upload_is_made_are_refused(site: Site) -> None:
    transfers = await site.worker()
    old, ended = await part(transfers, b"abc"), await part(transfers, b"def")
    await transfers.terminate(ended, case_id="C-1", actor=CUSTOMER)
    with pytest.raises(Gone):
        await final(transfers, ended)
    site.clock.advance(days=15)
    await transfers.tick()
    with pytest.raises(Gone):
        await final(transfers, old)


async def test_a_finished_file_outlives_the_expiry_of_its_parts(site: Site) -> None:
    transfers = await site.worker()
    made = await final(transfers, await part(transfers, b"abc"), await part(transfers, b"def"))
    site.clock.advance(days=15)
    await transfers.tick()
    assert await read_all(transfers, made) == b"abcdef"


async def test_parts_freeze_with_their_case_and_go_on_after_it_is_reopened(site: Site) -> None:
    transfers = await site.worker()
    first = await part(transfers, b"abc")
    open_part = await transfers.register("C-1", intent("part", length=3, concat="partial"))
    await site.close_case("C-1")
    with pytest.raises(CaseClosed):
        await final(transfers, first, open_part.id)
    with pytest.raises(CaseClosed):
        await transfers.take(open_part.id, case_id="C-1")
    await site.reopen_case("C-1")
    reception = await transfers.take(open_part.id, case_id="C-1")
    reception.offer(b"def")
    await reception.finish(Completeness.DECLARED)
    assert await read_all(transfers, await final(transfers, first, open_part.id)) == b"abcdef"


async def test_no_part_is_shown_to_anybody_and_none_is_an_attachment(site: Site) -> None:
    transfers = await site.worker()
    parts = [await part(transfers, b"abc"), (await transfers.register("C-1", intent("open", length=3, concat="partial"))).id]
    assert await transfers.unfinished("C-1") == []
    assert (await transfers.unfinished_page("C-1", None, 10))[0] == []
    assert (await transfers.attachments("C-1", None, 10))[0] == []
    listed = await site.directory_of(transfers).list("C-1", "")
    assert [entry.path for entry in listed if entry.path not in ("from-support", "receipts")] == []
    waiting = await final(transfers, *parts)
    assert [upload.id for upload in await transfers.unfinished("C-1")] == [waiting]
    assert (await transfers.upload(waiting, case_id="C-1")).state is UploadState.RECEIVING

"""Things that happen at the same moment: timers, deletions, cancelled requests, recoveries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import hashlib
import time
from typing import Any

import pytest

from eft.db.engine import Connection
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case
from eft.domain.digests import PartCheck
from eft.domain.errors import AlreadyFinished, OffsetMismatch, Purged, StorageFailed, UploadExpired, WriterDisplaced
from eft.domain.upload import Completeness, Upload, UploadState
from eft.storage.files import RegionFile
from eft.transfers import Transfers, holders
from eft.transfers.publication import Publication
from eft.transfers.reception import Reception
from tests.contract.receive_path.conftest import CUSTOMER, Site, die, intent, read_all

MIB = 1024 * 1024
Noise = Callable[[int], bytes]


def slow_down(site: Site, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Every transaction takes that long."""
    write = site.database.write

    async def slowly(work: Any) -> Any:
        await asyncio.sleep(seconds)
        return await write(work)

    monkeypatch.setattr(site.database, "write", slowly)


@pytest.mark.parametrize("wait_s", [0.0, 0.04])
async def test_a_small_file_that_ends_while_it_is_committed_on_time_is_published_once(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch, wait_s: float
) -> None:
    transfers = await site.worker(commit_s=0.03)
    slow_down(site, monkeypatch, 0.06)
    reception = await transfers.begin("C-1", intent())
    reception.offer(noise(1000))
    await asyncio.sleep(wait_s)
    attachment = await reception.finish(Completeness.DECLARED)
    assert attachment is not None
    assert await read_all(transfers, attachment.id) == noise(1000)
    assert await transfers.unfinished("C-1") == []


@pytest.mark.parametrize("size", [1000, 2 * MIB])
async def test_a_finished_file_that_is_open_for_long_and_left_alone_stays_as_it_is(site: Site, noise: Noise, size: int) -> None:
    transfers = await site.worker(commit_s=0.02)
    directory = site.directory_of(transfers)
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(noise(size))
    await reception.settle(5)
    for _ in ("while it settles", "after its publication"):
        reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=False, exclusive=False)
        await asyncio.sleep(0.1)
        assert (reception.offset, reception.durable) == (size, size)
        assert (await directory.stat("C-1", "a.log")).size == size
        await reception.release()
        site.clock.advance(seconds=6)
        await transfers.tick()
        (attachment,) = (await transfers.attachments("C-1", None, 10))[0]
        assert await read_all(transfers, attachment.id) == noise(size)
        assert await transfers.unfinished("C-1") == []


@pytest.mark.parametrize("size", [0, 1000])
async def test_a_small_file_that_is_closed_while_it_is_renamed_opened_again_or_removed(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    slow_down(site, monkeypatch, 0.02)

    async def closing(name: str) -> asyncio.Task[None]:
        """Its CLOSE is under way: the database does not know of the file before that has been carried out."""
        reception = await directory.open_write("C-1", name, CUSTOMER, create=True, truncate=True, exclusive=False)
        reception.offer(noise(size))
        settling = asyncio.create_task(reception.settle(5))
        await asyncio.sleep(0.01)
        return settling

    settling = await closing("renamed.log")
    await directory.rename("C-1", "renamed.log", "new.log", CUSTOMER, replace=False)
    await settling
    assert (await directory.stat("C-1", "new.log")).size == size

    settling = await closing("opened.log")
    again = await directory.open_write("C-1", "opened.log", CUSTOMER, create=False, truncate=False, exclusive=False)
    await settling
    assert again.offset == size
    again.offer(noise(10))
    await again.settle(5)
    assert (await directory.stat("C-1", "opened.log")).size == size + 10

    settling = await closing("removed.log")
    await directory.remove("C-1", "removed.log", CUSTOMER)
    await settling
    assert [entry.path for entry in await directory.list("C-1", "")] == ["from-support", "new.log", "opened.log", "receipts"]
    # It was closed: it stays with the case, as any other that is removed.
    removed = (await transfers.attachments("C-1", None, 10))[0]
    assert [(found.name, found.hidden) for found in removed] == [("removed.log", True)]


@pytest.mark.parametrize("size", [0, 1000, 2 * MIB])
async def test_a_file_is_seen_whole_by_others_while_its_close_is_under_way(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    slow_down(site, monkeypatch, 0.02)

    async def read(name: str) -> bytes:
        content = await directory.open_read("C-1", name)
        try:
            return await content.read(0, size + 1)
        finally:
            content.close()

    for ahead_s in (0, 0.005, 0.015, 0.02, 0.025, 0.03, 0.04):
        name = f"{ahead_s}.log"
        reception = await directory.open_write("C-1", name, CUSTOMER, create=True, truncate=True, exclusive=False)
        reception.offer(noise(size))
        settling = asyncio.create_task(reception.settle(5))
        await asyncio.sleep(ahead_s)
        seen, listed, content = await asyncio.gather(directory.stat("C-1", name), directory.list("C-1", ""), read(name))
        await settling
        assert content == noise(size)
        told = {entry.path: entry.size for entry in listed}[name]
        if size <= 1000:
            assert (seen.size, told) == (size, size)
        else:  # of what is in a segment, that much as is durable by then
            assert seen.size <= size
            assert told <= size


async def test_a_file_that_is_deleted_while_its_next_version_begins_is_not_referred_to(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(noise(MIB))
    await reception.settle(0)
    await transfers.tick()
    (attachment,) = (await transfers.attachments("C-1", None, 10))[0]
    version = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=False, exclusive=False)
    await transfers.delete(attachment.id, actor=CUSTOMER)
    version.offer(b"more")
    with pytest.raises(Purged):
        await version.commit()
    await version.release()
    assert site.files() == []
    assert await transfers.unfinished("C-1") == []


async def test_versions_that_are_deleted_at_the_same_time_leave_no_bytes(site: Site, noise: Noise) -> None:
    first, second = await site.worker(), await site.worker()
    directory = site.directory_of(first)
    for end in (MIB, 2 * MIB):
        reception = await directory.open_write("C-1", "a.log", CUSTOMER, create=True, truncate=False, exclusive=False)
        reception.offer(noise(2 * MIB)[reception.offset : end])
        await reception.settle(0)
        await first.tick()
    newer, older = (await first.attachments("C-1", None, 10))[0]
    await asyncio.gather(first.delete(newer.id, actor=CUSTOMER), second.delete(older.id, actor=CUSTOMER))
    assert site.files() == []
    assert {found.state for found in (await first.attachments("C-1", None, 10))[0]} == {AttachmentState.PURGED}


async def test_a_temporary_name_that_is_never_renamed_expires(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    reception = await directory.open_write("C-1", "a.log.part", CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(noise(MIB))
    await reception.settle(None)
    site.clock.advance(days=15)
    await transfers.tick()
    assert site.files() == []
    with pytest.raises(UploadExpired):
        await transfers.progress(reception.upload_id, case_id="C-1")


async def test_a_commit_whose_task_is_cancelled_leaves_the_upload_as_if_it_had_not_been(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfers = await site.worker()
    content = noise(3 * MIB)
    upload = await transfers.register("C-1", intent(length=len(content)))
    reception = await transfers.take(upload.id, case_id="C-1")
    write_at = RegionFile.write_at

    def slowly(file: RegionFile, data: Any, offset: int) -> None:
        time.sleep(0.05)
        write_at(file, data, offset)

    monkeypatch.setattr(RegionFile, "write_at", slowly)
    reception.offer(content[:MIB])
    committing = asyncio.create_task(reception.commit())
    await asyncio.sleep(0.02)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await reception.release()
    again = await transfers.take(upload.id, case_id="C-1")
    assert again.offset == MIB
    again.offer(content[MIB:])
    attachment = await again.finish(Completeness.DECLARED)
    assert attachment is not None
    assert await read_all(transfers, attachment.id) == content


@pytest.mark.parametrize("meanwhile", ["taken", "finished", "closed"])
async def test_who_asks_for_the_offset_is_told_it_whatever_happens_meanwhile(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """A client that is refused its offset believes that the upload is gone, and begins anew."""
    first, second, third = await site.worker(), await site.worker(), await site.worker()
    content = noise(3 * MIB)
    upload = await first.register("C-1", intent(length=len(content)))
    writing = await first.take(upload.id, case_id="C-1")
    writing.offer(content if meanwhile == "finished" else content[:MIB])
    await writing.commit()
    if meanwhile == "taken":
        die(first)  # so that its end is still to be recorded
    happened = 0

    async def happens() -> None:
        nonlocal happened
        happened += 1
        if happened > 1:
            return
        if meanwhile == "finished":
            await writing.finish(Completeness.DECLARED)
        elif meanwhile == "closed":
            await site.close_case("C-1")
        else:
            await (await third.take(upload.id, case_id="C-1")).release()

    if meanwhile == "taken":
        # Between the claim of a taker and its record of what it found.
        settle = holders.settle_segments

        async def settled(*told: Any) -> Any:
            await happens()
            return await settle(*told)

        monkeypatch.setattr(holders, "settle_segments", settled)
    else:
        take = second.holders.take

        async def taken(*told: Any, **more: Any) -> Reception:
            await happens()
            return await take(*told, **more)

        monkeypatch.setattr(second.holders, "take", taken)
    told = await second.progress(upload.id, case_id="C-1")
    assert happened
    assert told.offset == (len(content) if meanwhile == "finished" else MIB)
    assert told.state is {"finished": UploadState.PUBLISHED, "closed": UploadState.FROZEN}.get(meanwhile, UploadState.RECEIVING)


async def test_a_recovery_that_comes_second_displaces_nobody(site: Site, noise: Noise) -> None:
    first, second, third = await site.worker(), await site.worker(), await site.worker()
    upload = await first.register("C-1", intent(length=2 * MIB))
    writer = await first.take(upload.id, case_id="C-1")
    writer.offer(noise(MIB))
    await writer.commit()
    dead = first._r.bus.worker
    die(first)
    client = await second.take(upload.id, case_id="C-1")
    for transfers in (second, third):
        assert await transfers.holders.take_from_dead(upload.id, "C-1", dead) is None
    assert not client.displaced.is_set()
    client.offer(noise(2 * MIB)[MIB:])
    assert await client.finish(Completeness.DECLARED) is not None


async def test_a_settling_file_that_cannot_be_published_stops_no_other(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    ids = []
    for name in ("bad.log", "good.log"):
        reception = await directory.open_write("C-1", name, CUSTOMER, create=True, truncate=True, exclusive=False)
        reception.offer(noise(1000))
        await reception.settle(0)
        ids.append(reception.upload_id)
    publish = Publication.publish_row

    def fails_for_one(publication: Publication, conn: Connection, case: Case, upload: Upload, *rest: Any) -> Attachment:
        if upload.id == ids[0]:
            raise StorageFailed
        return publish(publication, conn, case, upload, *rest)

    monkeypatch.setattr(Publication, "publish_row", fails_for_one)
    await transfers.tick()
    assert [found.name for found in (await transfers.attachments("C-1", None, 10))[0]] == ["good.log"]
    monkeypatch.undo()
    await transfers.tick()
    assert len((await transfers.attachments("C-1", None, 10))[0]) == 2
    assert (await transfers.upload(ids[0], case_id="C-1")).state is UploadState.PUBLISHED


@pytest.mark.parametrize("taker", ["this worker", "another worker"])
@pytest.mark.parametrize("length_known", [True, False])
@pytest.mark.parametrize("checked", [True, False])
async def test_a_file_that_is_taken_while_it_is_finished_is_whole_or_not_there(
    site: Site, noise: Noise, taker: str, length_known: bool, checked: bool
) -> None:
    """However far the finishing is when somebody else asks for the upload."""
    first = await site.worker()
    second = first if taker == "this worker" else await site.worker()
    content = noise(MIB + 1000)
    for steps in (*range(12), *range(12, 60, 4)):
        upload = await first.register("C-1", intent(f"{steps}.bin", length=len(content) if length_known else None))
        reception = await first.take(upload.id, case_id="C-1")
        reception.offer(content[:MIB])
        await reception.commit()
        if checked:
            reception.expect(PartCheck.of("sha256", hashlib.sha256(content[MIB:]).digest()))
        reception.offer(content[MIB:])
        finishing = asyncio.create_task(reception.finish(Completeness.DECLARED))
        for _ in range(steps):
            await asyncio.sleep(0)
        taking = asyncio.create_task(second.take(upload.id, case_id="C-1"))
        finished, taken = await asyncio.gather(finishing, taking, return_exceptions=True)
        await reception.release()
        if isinstance(taken, AlreadyFinished):
            assert isinstance(finished, Attachment)
        else:
            assert isinstance(taken, Reception), taken
            if isinstance(finished, Attachment):  # it was published between the asking and the taking
                await taken.release()
            else:
                assert isinstance(finished, WriterDisplaced), finished
                taken.offer(content[taken.offset :])
                finished = await taken.finish(Completeness.DECLARED)
        assert isinstance(finished, Attachment)
        assert finished.size == len(content)
        assert await read_all(first, finished.id) == content


@pytest.mark.parametrize("taker", ["this worker", "another worker"])
async def test_who_comes_for_an_offset_that_a_writer_has_passed_does_not_end_that_writer(
    site: Site, noise: Noise, taker: str
) -> None:
    first = await site.worker()
    second = first if taker == "this worker" else await site.worker()
    upload = await first.register("C-1", intent(length=3000))
    writer = await first.take(upload.id, case_id="C-1", at=0)
    writer.offer(noise(1000))
    with pytest.raises(OffsetMismatch) as refused:
        await second.take(upload.id, case_id="C-1", at=0)
    assert refused.value.durable == 1000
    writer.offer(noise(3000)[1000:2000])
    assert await writer.commit() == 2000
    # Who comes for where it stands, or does not say for where, takes it: the writer may be half-open.
    later = await second.take(upload.id, case_id="C-1", at=2000)
    assert (writer.displaced.is_set(), later.offset) == (True, 2000)
    later.offer(noise(3000)[2000:2500])
    last = await first.take(upload.id, case_id="C-1")
    assert (later.displaced.is_set(), last.offset) == (True, 2500)
    await last.release()


@pytest.mark.parametrize("taker", ["this worker", "another worker"])
async def test_a_part_with_a_checksum_is_ended_by_who_comes_for_its_beginning(site: Site, noise: Noise, taker: str) -> None:
    first = await site.worker()
    second = first if taker == "this worker" else await site.worker()
    upload = await first.register("C-1", intent(length=3000))
    writer = await first.take(upload.id, case_id="C-1", at=0)
    writer.expect(PartCheck.of("sha256", bytes(32)))
    writer.offer(noise(1000))
    later = await second.take(upload.id, case_id="C-1", at=0)
    assert (writer.displaced.is_set(), later.offset) == (True, 0)
    await later.release()


async def test_of_writers_at_one_offset_on_many_workers_exactly_one_wins(site: Site, noise: Noise) -> None:
    workers = [await site.worker() for _ in range(3)]
    for attempt in range(30):
        upload = await workers[0].register("C-1", intent(f"{attempt}.bin", length=3000))

        async def write(worker: Transfers, upload_id: str = upload.id) -> int:
            reception = await worker.take(upload_id, case_id="C-1", at=0)
            try:
                if reception.offset:
                    raise OffsetMismatch(reception.offset)
                for at in (0, 1000):
                    reception.offer(noise(3000)[at : at + 1000])
                    await asyncio.sleep(0)
                return await reception.commit()
            finally:
                await reception.release()

        ends = await asyncio.gather(*(write(worker) for worker in workers * 2), return_exceptions=True)
        assert sorted(map(str, ends)).count("2000") == 1, ends
        assert all(isinstance(end, WriterDisplaced | OffsetMismatch | int) for end in ends), ends

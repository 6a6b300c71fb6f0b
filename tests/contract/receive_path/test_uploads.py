"""Files come in, whole or in parts, and are given out as they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import hashlib

import pytest

from eft.domain.attachment import AttachmentState
from eft.domain.digests import PartCheck
from eft.domain.errors import (
    AlreadyFinished,
    CaseClosed,
    ChecksumMismatch,
    DigestMismatch,
    LengthInvalid,
    NameNotAllowed,
    NotFound,
    UploadExpired,
    UploadTerminated,
    WriterDisplaced,
)
from eft.domain.upload import Completeness, UploadState
from tests.contract.receive_path.conftest import CUSTOMER, Site, die, intent, read_all

MIB = 1024 * 1024
Noise = Callable[[int], bytes]


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 32768, 32769, MIB, 3 * MIB + 17, 20 * MIB + 1])
async def test_a_file_of_any_size_comes_back_as_it_went_in(site: Site, noise: Noise, size: int) -> None:
    transfers = await site.worker()
    content = noise(size)
    reception = await transfers.begin("C-1", intent(length=size))
    for start in range(0, size, 100_000):
        reception.offer(content[start : start + 100_000])
        if reception.full:
            await reception.ready()
    attachment = await reception.finish(Completeness.DECLARED)
    assert attachment.sha256 == hashlib.sha256(content).hexdigest()
    assert await read_all(transfers, attachment.id) == content
    assert (await transfers.progress(attachment.id, case_id="C-1")).offset == size


async def test_a_small_file_costs_one_durable_commit_in_all(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    await (await transfers.begin("C-1", intent("first"))).finish(Completeness.DECLARED)
    before = site.database.commits
    reception = await transfers.begin("C-1", intent(length=32768))
    reception.offer(noise(32768))
    await reception.finish(Completeness.DECLARED)
    assert site.database.commits == before + 1
    assert site.files() == []


async def test_a_range_is_read_without_the_rest(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    content = noise(5 * MIB)
    reception = await transfers.begin("C-1", intent())
    reception.offer(content)
    attachment = await reception.finish(Completeness.DECLARED)
    got = b"".join([piece async for piece in transfers.read(attachment, 65530, 3 * MIB + 5)])
    assert got == content[65530 : 3 * MIB + 5]


async def test_an_upload_goes_on_where_the_last_request_stopped_without_a_new_segment(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    content = noise(2 * MIB)
    upload = await transfers.register("C-1", intent(length=len(content)))
    for start in range(0, len(content), 300_000):
        reception = await transfers.take(upload.id, case_id="C-1")
        assert reception.offset == start
        reception.offer(content[start : start + 300_000])
        if start + 300_000 < len(content):
            assert await reception.commit() == start + 300_000
            await reception.release()
    attachment = await reception.finish(Completeness.DECLARED)
    assert len(site.files()) == 1
    assert await read_all(transfers, attachment.id) == content


async def test_another_worker_takes_over_with_all_that_was_received(site: Site, noise: Noise) -> None:
    first, second = await site.worker(), await site.worker()
    content = noise(4 * MIB)
    upload = await first.register("C-1", intent(length=len(content)))
    writer = await first.take(upload.id, case_id="C-1")
    writer.offer(content[: MIB + 5])
    taker = await second.take(upload.id, case_id="C-1")
    assert taker.offset == MIB + 5
    assert writer.displaced.is_set()
    with pytest.raises(WriterDisplaced):
        writer.offer(b"late")
    taker.offer(content[MIB + 5 :])
    attachment = await taker.finish(Completeness.DECLARED)
    assert await read_all(first, attachment.id) == content
    assert attachment.sha256 == hashlib.sha256(content).hexdigest()


async def test_head_on_another_worker_stops_the_writer_and_keeps_what_came(site: Site, noise: Noise) -> None:
    first, second = await site.worker(), await site.worker()
    upload = await first.register("C-1", intent(length=MIB))
    writer = await first.take(upload.id, case_id="C-1")
    writer.offer(noise(1000))
    assert (await second.progress(upload.id, case_id="C-1")).offset == 1000
    assert writer.displaced.is_set()


async def test_a_dead_workers_upload_goes_on_from_what_was_durable(site: Site, noise: Noise) -> None:
    first, second = await site.worker(), await site.worker()
    content = noise(3 * MIB)
    upload = await first.register("C-1", intent(length=len(content)))
    writer = await first.take(upload.id, case_id="C-1")
    writer.offer(content[:MIB])
    await writer.commit()
    writer.offer(content[MIB : MIB + 100])
    die(first)
    assert [found.offset for found in await second.unfinished("C-1")] == [MIB]
    taker = await second.take(upload.id, case_id="C-1")
    assert taker.offset == MIB
    taker.offer(content[MIB:])
    attachment = await taker.finish(Completeness.DECLARED)
    assert await read_all(second, attachment.id) == content
    assert attachment.sha256 == hashlib.sha256(content).hexdigest()


async def test_a_file_that_was_whole_when_its_worker_died_is_published_by_another(site: Site, noise: Noise) -> None:
    first = await site.worker()
    upload = await first.register("C-1", intent(length=MIB))
    writer = await first.take(upload.id, case_id="C-1")
    writer.offer(noise(MIB))
    await writer.commit()
    die(first)
    second = await site.worker()
    assert await read_all(second, upload.id) == noise(MIB)


async def test_a_displaced_writer_is_not_acknowledged_even_when_nobody_told_it(site: Site, noise: Noise) -> None:
    first, second = await site.worker(), await site.worker()
    upload = await first.register("C-1", intent(length=2 * MIB))
    writer = await first.take(upload.id, case_id="C-1")
    writer.offer(noise(MIB))
    await writer.commit()
    deaf = dict(first.holders._holds)
    first.holders._holds.clear()
    taker = await second.take(upload.id, case_id="C-1")
    taker.offer(b"x")
    await taker.commit()
    writer.offer(b"y" * 100)
    with pytest.raises(WriterDisplaced):
        await writer.commit()
    first.holders._holds.update(deaf)
    assert (await second.upload(upload.id, case_id="C-1")).offset == MIB + 1


async def test_a_damaged_part_changes_nothing(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    content = noise(3 * MIB)
    upload = await transfers.register("C-1", intent(length=len(content)))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.offer(content[:70_000])
    await reception.commit()
    reception.expect(PartCheck.of("sha1", b"\x00" * 20))
    reception.offer(content[70_000:])
    while reception.full:
        await reception.ready()
    with pytest.raises(ChecksumMismatch):
        await reception.commit()
    assert reception.offset == reception.durable == 70_000
    reception.expect(PartCheck.of("sha1", hashlib.sha1(content[70_000:]).digest()))
    reception.offer(content[70_000:])
    attachment = await reception.finish(Completeness.DECLARED)
    assert attachment.sha256 == hashlib.sha256(content).hexdigest()
    assert await read_all(transfers, attachment.id) == content


async def test_a_part_with_a_checksum_that_is_cut_leaves_the_offset(site: Site, noise: Noise) -> None:
    transfers = await site.worker(commit_bytes=MIB)
    upload = await transfers.register("C-1", intent(length=9 * MIB))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.expect(PartCheck.of("sha256", hashlib.sha256(noise(9 * MIB)).digest()))
    for _ in range(6):
        reception.offer(noise(MIB))
        await reception.ready()
    site.clock.advance(seconds=2)
    await reception.release()
    assert (await transfers.progress(upload.id, case_id="C-1")).offset == 0


async def test_a_file_that_is_not_what_was_declared_is_refused_with_both_digests(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    for size in (100, 2 * MIB):
        reception = await transfers.begin("C-1", intent(length=size, sha256="0" * 64))
        reception.offer(noise(size))
        with pytest.raises(DigestMismatch) as refused:
            await reception.finish(Completeness.DECLARED)
        assert refused.value.received == hashlib.sha256(noise(size)).hexdigest()
        assert (await transfers.upload(reception.upload_id, case_id="C-1")).state is UploadState.REFUSED
        with pytest.raises(NotFound):
            await transfers.attachment(reception.upload_id)
    assert (await transfers.attachments("C-1", None, 10))[0] == []


async def test_more_than_was_announced_is_refused(site: Site) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent(length=3))
    with pytest.raises(LengthInvalid):
        reception.offer(b"four")


async def test_what_came_before_a_cut_is_kept_even_from_a_new_upload(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent())
    reception.offer(noise(1000))
    await reception.release()
    assert [(found.offset, found.state) for found in await transfers.unfinished("C-1")] == [(1000, UploadState.RECEIVING)]


async def test_bytes_become_durable_within_a_second_while_a_slow_sender_goes_on(site: Site, noise: Noise) -> None:
    transfers = await site.worker(commit_s=0.05)
    reception = await transfers.begin("C-1", intent())
    reception.offer(noise(1000))
    for _ in range(100):
        await asyncio.sleep(0.02)
        if reception.durable:
            break
    assert reception.durable == 1000


async def test_a_closed_case_acknowledges_nothing_and_goes_on_after_a_reopening(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    content = noise(2 * MIB)
    upload = await transfers.register("C-1", intent(length=len(content)))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.offer(content[:MIB])
    await reception.commit()
    expires_at = (await transfers.upload(upload.id, case_id="C-1")).expires_at
    await site.close_case("C-1")
    reception.offer(content[MIB : MIB + 10])
    with pytest.raises(CaseClosed):
        await reception.commit()
    await reception.release()
    with pytest.raises(CaseClosed):
        await transfers.take(upload.id, case_id="C-1")
    with pytest.raises(CaseClosed):
        await transfers.begin("C-1", intent())
    site.clock.advance(days=20)
    await transfers.tick()
    await site.reopen_case("C-1")
    again = await transfers.take(upload.id, case_id="C-1")
    assert again.offset in (MIB, MIB + 10)
    again.offer(content[again.offset :])
    attachment = await again.finish(Completeness.DECLARED)
    assert await read_all(transfers, attachment.id) == content
    assert expires_at < site.clock.now()


async def test_a_resting_upload_expires_and_its_bytes_go(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    upload = await transfers.register("C-1", intent(length=2 * MIB))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.offer(noise(MIB))
    await reception.commit()
    await reception.release()
    await transfers.holders.let_go(upload.id)
    site.clock.advance(days=13, hours=23)
    await transfers.tick()
    assert len(site.files()) == 1
    site.clock.advance(hours=2)
    await transfers.tick()
    assert site.files() == []
    with pytest.raises(UploadExpired):
        await transfers.progress(upload.id, case_id="C-1")
    with pytest.raises(UploadExpired):
        await transfers.take(upload.id, case_id="C-1")


async def test_a_terminated_upload_is_gone_with_its_bytes(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    upload = await transfers.register("C-1", intent(length=2 * MIB))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.offer(noise(MIB))
    await reception.commit()
    await transfers.terminate(upload.id, case_id="C-1", actor=CUSTOMER)
    assert site.files() == []
    assert reception.displaced.is_set()
    with pytest.raises(UploadTerminated):
        await transfers.progress(upload.id, case_id="C-1")
    assert await transfers.unfinished("C-1") == []


async def test_one_case_does_not_see_anothers_upload(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    upload = await transfers.register("C-1", intent(length=10))
    for attempt in (
        transfers.take(upload.id, case_id="C-2"),
        transfers.progress(upload.id, case_id="C-2"),
        transfers.terminate(upload.id, case_id="C-2", actor=CUSTOMER),
        transfers.set_length(upload.id, 5, case_id="C-2"),
    ):
        with pytest.raises(NotFound):
            await attempt
    held = await transfers.take(upload.id, case_id="C-1")
    with pytest.raises(NotFound):
        await transfers.take(upload.id, case_id="C-2")
    assert not held.displaced.is_set()


async def test_a_finished_upload_takes_no_more(site: Site) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent(length=2))
    reception.offer(b"ab")
    attachment = await reception.finish(Completeness.DECLARED)
    with pytest.raises(AlreadyFinished):
        await transfers.take(attachment.id, case_id="C-1")
    with pytest.raises(AlreadyFinished):
        await transfers.terminate(attachment.id, case_id="C-1", actor=CUSTOMER)


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/etc/passwd", "a\0b", "x" * 256, "", "a//b", "a\\b", "\u202egpj.exe", "a\nb"]
)
async def test_a_name_that_could_be_taken_for_something_else_is_refused(site: Site, name: str) -> None:
    transfers = await site.worker()
    with pytest.raises(NameNotAllowed):
        await transfers.begin("C-1", intent(name))


@pytest.mark.parametrize("name", ["CON", "-rf", "😀.log", "ملف.log", "a b/c d", "x" * 255, "Ünï.txt", "..."])
async def test_names_of_every_kind_are_kept_as_they_are(site: Site, name: str) -> None:
    transfers = await site.worker()
    attachment = await (await transfers.begin("C-1", intent(name))).finish(Completeness.DECLARED)
    assert (await transfers.attachment(attachment.id)).name == name


async def test_deleting_an_attachment_leaves_a_tombstone_and_no_bytes(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent())
    reception.offer(noise(MIB))
    attachment = await reception.finish(Completeness.DECLARED)
    await transfers.delete(attachment.id, actor=CUSTOMER)
    await transfers.delete(attachment.id, actor=CUSTOMER)
    assert site.files() == []
    assert (await transfers.attachment(attachment.id)).state is AttachmentState.PURGED


async def test_a_full_disk_is_reported_and_the_upload_goes_on_when_there_is_room(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eft.domain.errors import StorageFull
    from eft.storage.files import RegionFile

    transfers = await site.worker()
    content = noise(3 * MIB)
    upload = await transfers.register("C-1", intent(length=len(content)))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.offer(content[:MIB])
    await reception.commit()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RegionFile, "write_at", full)
        reception.offer(content[MIB:])
        with pytest.raises(StorageFull):
            await reception.commit()
        await reception.release()
    again = await transfers.take(upload.id, case_id="C-1")
    assert again.offset == MIB
    again.offer(content[MIB:])
    assert await read_all(transfers, (await again.finish(Completeness.DECLARED)).id) == content


async def test_after_a_failed_fsync_that_segments_later_commits_never_count(
    site: Site, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eft.domain.errors import StorageFailed

    transfers = await site.worker()
    content = noise(3 * MIB)
    upload = await transfers.register("C-1", intent(length=len(content)))
    reception = await transfers.take(upload.id, case_id="C-1")
    reception.offer(content[:MIB])
    await reception.commit()

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", broken)
        reception.offer(content[MIB : 2 * MIB])
        with pytest.raises(StorageFailed):
            await reception.commit()
    await reception.release()
    again = await transfers.take(upload.id, case_id="C-1")
    assert again.offset == MIB
    again.offer(content[MIB:])
    attachment = await again.finish(Completeness.DECLARED)
    assert attachment.sha256 == hashlib.sha256(content).hexdigest()
    assert await read_all(transfers, attachment.id) == content
    assert len(site.files()) == 2

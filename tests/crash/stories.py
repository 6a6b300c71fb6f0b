"""What happens on a gateway until its power goes. Each story has a beginning, during which nothing goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
import hashlib
from unittest import mock

from eft.domain.case import RETENTION, SubStatus
from eft.domain.digests import PartCheck, RunningDigest
from eft.domain.errors import ChecksumMismatch, DigestMismatch, StorageFailed
from eft.domain.upload import Completeness, Source, UploadState
from eft.storage.key_format import Slot
from eft.storage.slot_file import SlotFile
from eft.transfers import Intent
from tests.crash.customer import (
    WHO,
    Customer,
    close_file,
    offer,
    open_file,
    patch,
    post_whole,
    put_file,
    register,
    rename_file,
    write,
)
from tests.crash.machine import CASE, SETTLE_S, Site
from tests.fixtures.services import STAFF

Part = Callable[[Site, Customer], Awaitable[None]]

SMALL, LARGE = 1000, 400_000
"""Bytes. The first goes into its row; the second takes several batches and commit points, whole blocks and a tail."""


async def _nothing(site: Site, customer: Customer) -> None:
    return


@dataclass(frozen=True)
class Story:
    """`happens` is cut at each of its steps."""

    name: str
    happens: Part
    beginning: Part = _nothing


# tus, and the control API.


async def post_small(site: Site, customer: Customer) -> None:
    await post_whole(site.first, customer.has("small", SMALL))


async def post_large(site: Site, customer: Customer) -> None:
    await post_whole(site.first, customer.has("large", LARGE))


async def patch_in_parts(site: Site, customer: Customer) -> None:
    sent = customer.has("parts", LARGE)
    await register(site, sent)
    for stop in (10, 70_000, 300_000, LARGE):
        await patch(site.first, sent, stop)


async def commit_tails(site: Site, customer: Customer) -> None:
    """Many commits of less than a block each, to both slots in turn, on one reception."""
    sent = customer.has("tails", 4_000)
    await register(site, sent)
    reception = await site.transfers.take(sent.upload_id, case_id=CASE)
    for at in range(0, 3_500, 500):
        await offer(reception, sent.content[at : at + 500])
        sent.told(await reception.commit())
    await reception.release()


async def check_parts(site: Site, customer: Customer) -> None:
    """Parts with checksums: a good one, a damaged one, the damaged one again."""
    sent = customer.has("checked", LARGE)
    await register(site, sent)
    reception = await site.transfers.take(sent.upload_id, case_id=CASE)
    for stop in (100_000, LARGE):
        part = sent.content[reception.offset : stop]
        for damaged in (True, False):
            reception.expect(PartCheck.of("sha1", hashlib.sha1(part).digest()))
            await offer(reception, b"?" + part[1:] if damaged else part)
            try:
                sent.told(await reception.commit())
                assert not damaged
            except ChecksumMismatch:
                assert damaged
                assert reception.offset == sent.acknowledged
    await reception.finish(Completeness.DECLARED)
    sent.received = True


async def ask_and_go_on_with_another_worker(site: Site, customer: Customer) -> None:
    """PATCH here, HEAD there, PATCH there, PATCH here."""
    sent = customer.has("wandering", LARGE)
    there = await site.start_worker()
    await register(site, sent)
    await patch(site.first, sent, 100_000)
    sent.told((await there.transfers.progress(sent.upload_id, case_id=CASE)).offset)
    await patch(there, sent, 250_000)
    await patch(site.first, sent, LARGE)


async def take_over_from_a_writer_in_full_flow(site: Site, customer: Customer) -> None:
    sent = customer.has("contended", LARGE)
    there = await site.start_worker()
    await register(site, sent)
    reception = await site.transfers.take(sent.upload_id, case_id=CASE)
    await offer(reception, sent.content[:200_000])
    await patch(there, sent, LARGE)


async def refuse_a_wrong_digest(site: Site, customer: Customer) -> None:
    sent = customer.has("wrong", LARGE)
    sent.refused = True
    intent = Intent(name=sent.name, source=sent.source, actor=WHO, length=LARGE, sha256="0" * 64)
    reception = await site.transfers.begin(CASE, intent)
    sent.upload_id = reception.upload_id
    await offer(reception, sent.content)
    try:
        await reception.finish(Completeness.DECLARED)
    except DigestMismatch:
        await reception.release()


async def put_parts_together(site: Site, customer: Customer) -> None:
    """Parts that are never seen by themselves, and the file that is made of them."""
    sent = customer.has("joined", LARGE)
    part_ids = []
    for number, (start, stop) in enumerate(((0, 100_000), (100_000, 100_010), (100_010, LARGE))):
        part = Intent(name=f"part-{number}", source=sent.source, actor=WHO, length=stop - start, concat="partial")
        reception = await site.transfers.begin(CASE, part)
        try:
            await offer(reception, sent.content[start:stop])
            await reception.finish(Completeness.DECLARED)
        finally:
            await reception.release()
        part_ids.append(reception.upload_id)
    final = Intent(name=sent.name, source=sent.source, actor=WHO, concat="final;" + " ".join(part_ids))
    upload = await site.transfers.concatenate(CASE, final, part_ids)
    assert upload.state is UploadState.PUBLISHED
    sent.upload_id, sent.received = upload.id, True


async def two_at_once(site: Site, customer: Customer) -> None:
    one, two = customer.has("one", LARGE), customer.has("two", 200_000)
    await register(site, one)
    await patch(site.first, one, 50_000)
    await post_whole(site.first, two)
    await patch(site.first, one, LARGE)


async def some_of_it(site: Site, customer: Customer) -> None:
    sent = customer.has("begun", LARGE)
    await register(site, sent)
    await patch(site.first, sent, 230_000)


async def terminate(site: Site, customer: Customer) -> None:
    (sent,) = customer.files
    sent.ending = True
    await site.transfers.terminate(sent.upload_id, case_id=CASE, actor=WHO)
    sent.ended = True


async def expire(site: Site, customer: Customer) -> None:
    (sent,) = customer.files
    sent.ending = True
    await site.time_passes(days=15)
    sent.ended = True


async def close_and_reopen_the_case(site: Site, customer: Customer) -> None:
    """With an upload under way, which freezes and goes on."""
    sent = customer.has("frozen", LARGE)
    await register(site, sent)
    await patch(site.first, sent, 100_000)
    reception = await site.transfers.take(sent.upload_id, case_id=CASE)
    await offer(reception, sent.content[100_000:200_000])
    customer.closing = True
    await site.cases.close(CASE, sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    await reception.release()
    await site.cases.reopen(CASE, reason="test", by_customer=True, actor=STAFF)
    customer.closing = False
    await patch(site.first, sent, LARGE)


async def read_the_digest_back(site: Site, customer: Customer) -> None:
    """A take-over where nobody could export the digest's state: the file is sealed, read, and published."""
    with mock.patch.object(RunningDigest, "export", return_value=None):
        await ask_and_go_on_with_another_worker(site, customer)


# SFTP.


async def put_small(site: Site, customer: Customer) -> None:
    await put_file(site.first, customer.has("a.log", SMALL, Source.SFTP))
    await site.time_passes(seconds=SETTLE_S)


async def put_large(site: Site, customer: Customer) -> None:
    await put_file(site.first, customer.has("a.log", LARGE, Source.SFTP))
    await site.time_passes(seconds=SETTLE_S)


async def cut_put(site: Site, customer: Customer) -> None:
    """The connection dies: no CLOSE."""
    sent = customer.has("a.log", LARGE, Source.SFTP)
    reception = await open_file(site.first, sent, anew=True)
    await write(reception, sent, 250_000)
    await reception.release()


def half_put(size: int) -> Part:
    async def part(site: Site, customer: Customer) -> None:
        await put_file(site.first, customer.has("a.log", size, Source.SFTP), size // 2)

    return part


def half_published(size: int) -> Part:
    async def part(site: Site, customer: Customer) -> None:
        await half_put(size)(site, customer)
        await site.time_passes(seconds=SETTLE_S)

    return part


async def put_with_its_head_written_last(site: Site, customer: Customer) -> None:
    """As sshfs does for a program that comes back to the head of its file. What it writes there is what was there, so that the
    bytes are right at whatever step it is cut; in another place they would be wrong."""
    sent = customer.has("a.img", LARGE, Source.SFTP)
    reception = await open_file(site.first, sent, anew=True)
    try:
        await offer(reception, sent.content)
        await reception.rewrite(200_000, sent.content[200_000:300_000])
        await reception.rewrite(0, sent.content[:SMALL])
        await close_file(reception, sent)
    finally:
        await reception.release()


async def reput(site: Site, customer: Customer) -> None:
    """The file goes on from its stored bytes, whether it settles yet or was published, and is published."""
    (sent,) = customer.files
    await put_file(site.first, sent, anew=False)
    await site.time_passes(seconds=SETTLE_S)


async def look_into_it(site: Site, customer: Customer) -> None:
    """Opened for writing and closed by a cut, with nothing written."""
    (sent,) = customer.files
    reception = await open_file(site.first, sent, anew=False)
    await reception.release()
    await site.time_passes(seconds=SETTLE_S)


async def overwrite(site: Site, customer: Customer) -> None:
    """`put` over a file that settles: it is kept as an earlier version."""
    before = customer.files[0]
    before.content, before.replaced = before.content[: before.acknowledged], True
    await put_file(site.first, customer.has("a.log", 300_000, Source.SFTP))
    await site.time_passes(seconds=SETTLE_S)


async def look_into_it_before_its_rename(site: Site, customer: Customer) -> None:
    sent = customer.has("b.log.filepart", 100_000, Source.SFTP)
    sent.final_name = "b.log"
    await put_file(site.first, sent)
    await (await open_file(site.first, sent, anew=False)).release()
    await rename_file(site.first, sent)
    await site.time_passes(seconds=SETTLE_S)


async def rename_from_a_temporary_name(site: Site, customer: Customer) -> None:
    """As WinSCP does it."""
    sent = customer.has("b.log.filepart", 100_000, Source.SFTP)
    sent.final_name = "b.log"
    await put_file(site.first, sent)
    await rename_file(site.first, sent)
    await site.time_passes(seconds=SETTLE_S)


# Afterwards.


def delete(index: int) -> Part:
    async def part(site: Site, customer: Customer) -> None:
        sent = customer.files[index]
        sent.ending = True
        await site.transfers.delete(sent.upload_id, actor=STAFF)
        sent.ended = True

    return part


async def received(site: Site, customer: Customer) -> None:
    await post_large(site, customer)


async def two_versions(site: Site, customer: Customer) -> None:
    """The second by reference to the first."""
    first = customer.has("a.log", LARGE, Source.SFTP)
    whole, first.content = first.content, first.content[:250_000]
    await put_file(site.first, first)
    await site.time_passes(seconds=SETTLE_S)
    second = customer.has("a.log", 0, Source.SFTP)
    second.content = whole
    first.received = True
    await put_file(site.first, second, anew=False)
    await site.time_passes(seconds=SETTLE_S)
    second.received = True


async def closed_for_30_days(site: Site, customer: Customer) -> None:
    """A case with a large file, a small one, a version by reference, and an upload that never ended."""
    await post_large(site, customer)
    await post_small(site, customer)
    await two_versions(site, customer)
    sent = customer.has("never", LARGE)
    await register(site, sent)
    await patch(site.first, sent, 100_000)
    customer.closing = True
    await site.cases.close(CASE, sub_status=SubStatus.RESOLVED, comment="", actor=STAFF)
    site.clock.advance(RETENTION)
    slot = (await site.cases.get(CASE)).key_slot
    assert slot is not None
    key = SlotFile(site.machine.disk).read(slot).best
    assert isinstance(key, Slot)
    customer.sealed_key = key.sealed


async def purge(site: Site, customer: Customer) -> None:
    customer.purging = True
    report = await site.purge.run_due()
    if report.failed:
        raise StorageFailed
    assert report.purged == [CASE]
    customer.purged = True


STORIES = [
    Story("a small file in one POST", post_small),
    Story("a large file in one POST", post_large),
    Story("parts", patch_in_parts),
    Story("commits of tails", commit_tails),
    Story("parts with checksums, one of them damaged", check_parts),
    Story("parts on two workers", ask_and_go_on_with_another_worker),
    Story("a take-over from a writer in full flow", take_over_from_a_writer_in_full_flow),
    Story("a digest that does not match", refuse_a_wrong_digest),
    Story("a digest that is read back", read_the_digest_back),
    Story("two uploads at once", two_at_once),
    Story("parts that are put together", put_parts_together),
    Story("closing and reopening the case", close_and_reopen_the_case),
    Story("put of a small file", put_small),
    Story("put of a large file", put_large),
    Story("a put that is cut", cut_put),
    Story("a put with its head written last", put_with_its_head_written_last),
    Story("a small file resumed while it settles", reput, half_put(2 * SMALL)),
    Story("a large file resumed while it settles", reput, half_put(LARGE)),
    Story("a small file resumed after publication", reput, half_published(2 * SMALL)),
    Story("a large file resumed after publication", reput, half_published(LARGE)),
    Story("a small settling file opened and left alone", look_into_it, half_put(2 * SMALL)),
    Story("a large settling file opened and left alone", look_into_it, half_put(LARGE)),
    Story("a file opened and left alone before its rename", look_into_it_before_its_rename),
    Story("a settling file overwritten", overwrite, half_put(LARGE)),
    Story("a rename from a temporary name", rename_from_a_temporary_name),
    Story("termination", terminate, some_of_it),
    Story("expiry", expire, some_of_it),
    Story("deletion", delete(0), received),
    Story("deletion of the version that another refers to", delete(0), two_versions),
    Story("deletion of the version that refers to another", delete(1), two_versions),
    Story("purge", purge, closed_for_30_days),
]

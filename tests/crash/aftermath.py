"""What must hold after every crash, on a gateway that was merely started again."""

from __future__ import annotations

from contextlib import suppress
import hashlib

from eft.db import uploads
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import CaseStatus, PurgeState
from eft.domain.errors import AlreadyFinished, NotFound, UploadExpired, UploadTerminated
from eft.domain.upload import Source, Upload, UploadState
from eft.storage.slot_file import SLOTS
from tests.crash import customer as by
from tests.crash.customer import Customer, Sent
from tests.crash.machine import CASE, SETTLE_S, Site
from tests.fixtures.services import STAFF

RECOVERY_S = 5
"""How often workers look for what dead ones left."""


async def nothing_is_lost_and_all_comes_to_a_right_end(site: Site, customer: Customer) -> None:
    """Looks without touching, then goes on where the customer was cut off, to the end."""
    if customer.purging:
        await the_purge_comes_to_its_end(site, customer)
        return
    await what_was_told_still_holds(site, customer)
    if customer.closing:
        await the_case_goes_on_after_a_reopening(site, customer)
    for sent in customer.files:
        if sent.ending and not sent.ended:
            await comes_to_its_end(site, sent)
        elif not sent.received and not sent.ending and not sent.refused:
            await goes_on(site, sent)
    await site.time_passes(seconds=SETTLE_S)
    assert all(sent.received or sent.ended or sent.refused for sent in customer.files)
    await what_was_told_still_holds(site, customer)
    await nothing_is_left_over(site)


async def what_was_told_still_holds(site: Site, customer: Customer) -> None:
    """Changes nothing, apart from what a HEAD or an `ls` does."""
    if customer.purging:
        await the_purge_comes_to_its_end(site, customer)
        return
    whole = await whole_and_exact(site, customer)
    for upload in await site.transfers.unfinished(CASE):
        await exact_as_far_as_it_goes(site, upload, customer)
    for sent in customer.files:
        if sent.ended:
            await is_over(site, sent)
        elif sent.ending or sent.refused or sent.replaced:
            continue
        elif sent.received:
            assert (sent.name, sent.content) in whole, "a file that was received is not there"
        elif sent.source is Source.SFTP:
            await shows_what_was_acknowledged(site, sent)
        elif not customer.closing:
            await tells_what_was_acknowledged(site, sent)


async def whole_and_exact(site: Site, customer: Customer) -> set[tuple[str, bytes]]:
    """Every attachment that can be had is a whole file, byte for byte; names and contents."""
    found = set()
    for attachment in await attachments(site):
        if attachment.state is AttachmentState.AVAILABLE:
            content = await read(site, attachment)
            assert hashlib.sha256(content).hexdigest() == attachment.sha256, "the content is not what its digest says"
            assert len(content) == attachment.size
            assert content in customer.may_be_whole(attachment.name), "what is shown as whole is not"
            found.add((attachment.name, content))
        else:
            assert any(sent.upload_id == attachment.id and sent.ending for sent in customer.files), "nobody asked to delete it"
    return found


async def attachments(site: Site) -> list[Attachment]:
    found, _ = await site.transfers.attachments(CASE, None, 100)
    return found


async def read(site: Site, attachment: Attachment) -> bytes:
    return b"".join([piece async for piece in site.transfers.read(attachment, 0, attachment.size)])


async def exact_as_far_as_it_goes(site: Site, upload: Upload, customer: Customer) -> None:
    """What is shown of an unfinished upload is the beginning of one of the files of that name."""
    if upload.parts and upload.state is UploadState.RECEIVING:
        return  # a final upload that waits is listed with what its parts have, and has nothing itself
    content = await site.transfers.content(upload)
    try:
        stored = await content.read(0, content.size)
    finally:
        content.close()
    assert len(stored) == upload.offset
    beginnings = [sent.content for sent in customer.files if upload.name in (sent.name, sent.final_name)]
    assert any(whole.startswith(stored) for whole in beginnings), "stored bytes are wrong"
    for sent in customer.files:
        if sent.upload_id == upload.id:
            assert upload.offset >= sent.acknowledged, "an upload is listed with less than was acknowledged"


async def tells_what_was_acknowledged(site: Site, sent: Sent) -> None:
    """HEAD. What it answers is a promise too."""
    if not sent.upload_id:
        return
    try:
        upload = await site.transfers.progress(sent.upload_id, case_id=CASE)
    except NotFound:
        assert not sent.registered, "the place that was told does not exist"
        assert sent.acknowledged == 0, "acknowledged bytes are lost"
        return
    assert sent.acknowledged <= upload.offset <= len(sent.content), "acknowledged bytes are lost"
    sent.told(upload.offset)
    sent.registered = True


async def shows_what_was_acknowledged(site: Site, sent: Sent) -> None:
    """`ls -l`."""
    if sent.acknowledged:
        try:
            entry = await site.files.stat(CASE, sent.name)
        except NotFound:
            assert sent.final_name, "a file that was closed is not there"
            entry = await site.files.stat(CASE, sent.final_name)
        assert entry.size >= sent.acknowledged, "acknowledged bytes are lost"


async def is_over(site: Site, sent: Sent) -> None:
    """An upload that was ended, or a file that was deleted, stays so; not a byte of it is left."""
    states = {attachment.id: attachment.state for attachment in await attachments(site)}
    if sent.received:
        assert states[sent.upload_id] is AttachmentState.PURGED, "a deletion did not come to its end"
        return
    assert sent.upload_id not in states
    try:
        await site.transfers.progress(sent.upload_id, case_id=CASE)
    except (UploadTerminated, UploadExpired):
        return
    raise AssertionError("an upload that was ended goes on")


async def nothing_is_left_over(site: Site) -> None:
    """Every file of the case belongs to an upload or attachment, and those that nobody goes on with end by themselves."""
    await site.transfers.holders.close()
    await site.time_passes(days=30)
    await site.time_passes(seconds=RECOVERY_S)
    unfinished = await site.transfers.unfinished(CASE)
    assert {upload.state for upload in unfinished} <= {UploadState.FROZEN}, "an upload that rests does not expire"
    case = await site.cases.get(CASE)
    for upload in await site.database.read(lambda conn: uploads.of_case(conn, CASE)):
        for epoch in site.first.resources.segments.epochs(case.uid, upload.id):
            users = await site.database.read(lambda conn, u=upload.id, e=epoch: uploads.file_references(conn, u, e))
            assert users > 0, "bytes are left that belong to nothing"
    known = await site.database.read(uploads.live_held)
    assert known == [], "a segment is never closed"


async def the_case_goes_on_after_a_reopening(site: Site, customer: Customer) -> None:
    for upload in await site.transfers.unfinished(CASE):
        # What the page shows of a frozen upload is told as well.
        for sent in customer.files:
            if sent.upload_id == upload.id:
                sent.told(upload.offset)
    await site.cases.reopen(CASE, reason="test", by_customer=False, actor=STAFF)
    await site.time_passes(seconds=RECOVERY_S)
    customer.closing = False
    await what_was_told_still_holds(site, customer)


async def comes_to_its_end(site: Site, sent: Sent) -> None:
    """Where an end had begun, nobody need ask again; where it had not, asking again does it."""
    await site.time_passes(seconds=RECOVERY_S)
    if sent.received:
        states = {attachment.id: attachment.state for attachment in await attachments(site)}
        assert states[sent.upload_id] is not AttachmentState.TOMBSTONED, "a deletion that had begun does not go on"
        await site.transfers.delete(sent.upload_id, actor=STAFF)
    else:
        with suppress(UploadTerminated, UploadExpired):
            await site.transfers.terminate(sent.upload_id, case_id=CASE, actor=by.WHO)
    sent.ended = True


async def goes_on(site: Site, sent: Sent) -> None:
    """The customer sends what is missing, and only that."""
    if sent.source is Source.SFTP:
        await goes_on_by_sftp(site, sent)
        return
    try:
        await by.patch(site.first, sent, len(sent.content))
    except AlreadyFinished:
        sent.received = True
    except NotFound:
        assert not sent.registered
        assert sent.acknowledged == 0
        await by.post_whole(site.first, sent)


async def goes_on_by_sftp(site: Site, sent: Sent) -> None:
    if sent.final_name and sent.acknowledged == len(sent.content):
        try:
            await by.rename_file(site.first, sent)
        except NotFound:
            sent.name, sent.final_name = sent.final_name, ""
            sent.closed = len(sent.content)
    await site.time_passes(seconds=RECOVERY_S)
    await site.time_passes(seconds=SETTLE_S)
    if sent.closed is not None:
        allowed = {hashlib.sha256(sent.content[:size]).hexdigest() for size in sent.closes if size >= sent.closed}
        assert allowed & await digests(site, sent.name), "a file that was closed has not become an attachment"
    if hashlib.sha256(sent.content).hexdigest() not in await digests(site, sent.name):
        assert not sent.replaced, "a file that was closed before it was overwritten is lost"
        await by.put_file(site.first, sent, anew=sent.acknowledged == 0)
        if sent.final_name:
            await by.rename_file(site.first, sent)
    await site.time_passes(seconds=SETTLE_S)
    sent.received = True


async def digests(site: Site, name: str) -> set[str]:
    return {attachment.sha256 for attachment in await attachments(site) if attachment.name == name}


async def the_purge_comes_to_its_end(site: Site, customer: Customer) -> None:
    """Whether or not it had begun: nothing in between can be read, and at the end nothing is left. No key, no byte."""
    found = site.first.resources
    case = await site.cases.get(CASE)
    assert not customer.purged or case.purge is PurgeState.PURGED, "a purge that was reported done is not"
    for attachment in await attachments(site):
        if case.purge is PurgeState.NONE:
            assert await read(site, attachment) in customer.may_be_whole(attachment.name)
        else:
            assert attachment.state is not AttachmentState.AVAILABLE
    if not customer.purged:
        report = await site.purge.run_due()
        assert not report.failed
        assert not report.kept
        customer.purged = True
    case = await site.cases.get(CASE)
    assert (case.purge, case.status, case.key_slot) == (PurgeState.PURGED, CaseStatus.CLOSED, None)
    assert {attachment.state for attachment in await attachments(site)} <= {AttachmentState.PURGED}
    assert await site.transfers.unfinished(CASE) == []
    assert found.segments.absent(case.uid)
    assert [tombstone.case for tombstone in found.keys.tombstones()] == [case.uid]
    assert found.keys.check().live == 0
    slots = site.machine.disk.open(SLOTS)
    assert customer.sealed_key not in slots.read_at(slots.size(), 0), "the key that was destroyed is on the disk"

"""What happens to uploads without anybody asking: recovery, publication after settling, expiry, deletion of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from functools import partial
import logging

from eft.db import attachments, cases, uploads
from eft.db.engine import Connection
from eft.domain.actor import SYSTEM, Actor
from eft.domain.attachment import AttachmentState
from eft.domain.errors import AlreadyFinished, EftError, LegalHold, NotFound
from eft.domain.upload import Completeness, SegmentFacts, Upload, UploadState
from eft.storage.ports import SegmentId
from eft.transfers.concatenation import Concatenation
from eft.transfers.holders import Holders
from eft.transfers.resources import Resources
from eft.transfers.settled import Settled

_TOGETHER = 32
_RECOVER_EVERY_S = 5.0

log = logging.getLogger(__name__)


class Jobs:
    """Every job is safe to run in several workers at once, and to be killed at any step: the next run goes on."""

    def __init__(self, resources: Resources, holders: Holders, concatenation: Concatenation) -> None:
        self._r = resources
        self._holders = holders
        self._concatenation = concatenation
        self._settled = Settled(resources, holders.publication)
        self._recovered_at = float("-inf")

    async def tick(self) -> None:
        """One that fails stops no other; it is tried again at the next tick."""
        await self._attempt("settle", self._publish_settled())
        await self._attempt("concatenate", self._concatenate())
        await self._attempt("expire", self._expire())
        if self._r.clock.monotonic() - self._recovered_at >= _RECOVER_EVERY_S:
            await self.recover()

    async def recover(self) -> None:
        """Closes what writers that are dead left open, and publishes what was whole; where a digest has to be read back for that,
        it begins. Deletes bytes that nobody may read, and goes on with deletions that had begun."""
        self._recovered_at = self._r.clock.monotonic()
        held = await self._r.database.read(uploads.live_held)
        for upload_id, holder in held:
            if not self._is_held(upload_id, holder):
                await self._attempt("recover", self._recover_one(upload_id, holder), upload_id)
        for upload in await self._r.database.read(uploads.sealed):
            if upload.holder in (None, self._r.bus.worker) or not self._r.bus.is_alive(upload.holder):
                self._holders.publication.read_back(upload.id)
        for upload_id in await self._r.database.read(uploads.discardable):
            await self._attempt("discard", self.discard(upload_id), upload_id)
        for attachment_id in await self._r.database.read(attachments.dying):
            await self._attempt("discard", self._finish_deletion(attachment_id, SYSTEM), attachment_id)

    def _is_held(self, upload_id: str, holder: str | None) -> bool:
        """Whether the writer that the row names has the upload still. Also this worker forgets one that it failed to let go."""
        if holder == self._r.bus.worker:
            return self._holders.is_busy_with(upload_id)
        return holder is not None and self._r.bus.is_alive(holder)

    async def _attempt(self, job: str, work: Awaitable[object], upload_id: str = "") -> None:
        try:
            await work
        except Exception:
            log.exception("job.failed", extra={"job": job, "upload_id": upload_id})

    async def _recover_one(self, upload_id: str, writer: str | None) -> None:
        """What `writer`, who is dead, had: put down where its client had closed it and wrote nothing since, else taken over."""
        upload = await self._r.database.read(lambda conn: uploads.get(conn, upload_id))
        if upload is not None and upload.state is UploadState.SETTLING:
            await self._r.database.write(partial(_put_down, upload_id=upload_id, writer=writer))
        if upload is None or upload.state is not UploadState.RECEIVING:
            return
        try:
            reception = await self._holders.take_from_dead(upload_id, upload.case_id, writer)
        except EftError:
            return
        if reception is None:
            return
        if reception.length is not None and reception.offset == reception.length:
            try:
                await reception.finish(Completeness.DECLARED)
            except EftError:
                await reception.release()
        else:
            await reception.release()

    async def _publish_settled(self) -> None:
        """Those with a known digest together; any whose bytes have to be read for it by itself."""
        now = self._r.clock.now()
        due = await self._r.database.read(lambda conn: uploads.settling_due(conn, now))
        known = [upload for upload in due if upload.sha256 is not None]
        for group in (known[at : at + _TOGETHER] for at in range(0, len(known), _TOGETHER)):
            try:
                await self._settled.publish(group)
            except Exception:  # because of one of them, and the others are not to wait for it
                for upload in group:
                    await self._attempt("settle", self._settled.publish([upload]), upload.id)
        by_themselves = [upload for upload in due if upload.sha256 is None]
        await asyncio.gather(*(self._attempt("settle", self._settled.publish([upload]), upload.id) for upload in by_themselves))

    async def _concatenate(self) -> None:
        for upload_id in await self._r.database.read(uploads.waiting_for_parts):
            await self._attempt("concatenate", self._concatenation.assemble(upload_id), upload_id)

    async def _expire(self) -> None:
        now = self._r.clock.now()
        for upload in await self._r.database.read(lambda conn: uploads.expiring(conn, now)):
            if self._holders.hold_of(upload.id) is None:
                await self._attempt("expire", self._expire_one(upload), upload.id)

    async def _expire_one(self, upload: Upload) -> None:
        now = self._r.clock.now()

        def work(conn: Connection) -> bool:
            row = uploads.lock(conn, upload.id)
            if row is None or row.expires_at > now or not _may_expire(row):
                return False
            ended = replace(row, state=UploadState.EXPIRED, ended="expired", epoch=row.epoch + 1, holder=None, inline=None)
            uploads.save(conn, ended)
            self._r.record(conn, SYSTEM, "upload.expire", row.case_id, row.id, at=now)
            return True

        if await self._r.database.write(work):
            log.info("upload.expired", extra={"upload_id": upload.id, "case_id": upload.case_id})
            await self.discard(upload.id)

    async def discard(self, upload_id: str) -> None:
        """Deletes the bytes of an upload or attachment that is over, where no other version needs them; then their rows."""

        def look(conn: Connection) -> tuple[str | None, list[tuple[SegmentFacts, int]]]:
            upload = uploads.get(conn, upload_id)
            case = cases.get(conn, upload.case_id) if upload is not None else None
            if upload is None or case is None:
                return None, []
            return case.uid, [(facts, _references(conn, facts)) for facts in upload.segments]

        case_uid, found = await self._r.database.read(look)
        if case_uid is None:
            return
        for facts, references in found:
            file = SegmentId(case_uid, facts.file_upload_id, facts.file_epoch)
            if references <= 1:
                await self._r.run(self._r.segments.delete, file)
            left = await self._r.database.write(partial(_drop, facts=facts))
            if references > 1 and not left:  # the other version went at the same time
                await self._r.run(self._r.segments.delete, file)

    async def delete(self, attachment_id: str, actor: Actor) -> None:
        now = self._r.clock.now()

        def bury(conn: Connection) -> None:
            attachment = attachments.get(conn, attachment_id)
            case = cases.lock(conn, attachment.case_id) if attachment is not None else None
            if attachment is None or case is None:
                raise NotFound
            if case.hold_reason is not None:
                raise LegalHold
            if attachment.state is AttachmentState.AVAILABLE:
                attachments.set_state(conn, attachment_id, AttachmentState.TOMBSTONED, now)
                self._r.record(conn, actor, "attachment.delete", case.id, attachment_id, at=now)

        await self._r.database.write(bury)
        await self._finish_deletion(attachment_id, actor)

    async def _finish_deletion(self, attachment_id: str, actor: Actor) -> None:
        await self.discard(attachment_id)
        now = self._r.clock.now()

        def confirm(conn: Connection) -> None:
            attachment = attachments.get(conn, attachment_id)
            upload = uploads.get(conn, attachment_id)
            if attachment is None or (upload is not None and upload.segments):
                raise AlreadyFinished
            if attachment.state is AttachmentState.TOMBSTONED:
                attachments.set_state(conn, attachment_id, AttachmentState.PURGED, now)
                self._r.record(conn, actor, "attachment.purge", attachment.case_id, attachment_id, at=now)

        await self._r.database.write(confirm)


def _may_expire(upload: Upload) -> bool:
    """Not a frozen one, and not one that settles by itself; one that waits for its rename waits as long as any other."""
    waits_for_rename = upload.state is UploadState.SETTLING and upload.settles_at is None
    return waits_for_rename or upload.state in (UploadState.RECEIVING, UploadState.REFUSED)


def _references(conn: Connection, facts: SegmentFacts) -> int:
    """Of how many uploads and attachments the segment's file is a part."""
    return uploads.file_references(conn, facts.file_upload_id, facts.file_epoch)


def _drop(conn: Connection, *, facts: SegmentFacts) -> int:
    """The segment is not its upload's any more. How many others its file is a part of."""
    uploads.drop_segment(conn, facts.upload_id, facts.epoch)
    return _references(conn, facts)


def _put_down(conn: Connection, *, upload_id: str, writer: str | None) -> None:
    """Nobody has the upload open any more, if `writer` had it."""
    row = uploads.lock(conn, upload_id)
    if row is not None and row.state is UploadState.SETTLING and row.holder == writer:
        uploads.save(conn, replace(row, holder=None))

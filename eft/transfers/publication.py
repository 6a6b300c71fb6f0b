"""How a received file becomes an attachment: by reference, in one transaction; no byte moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
import hashlib
import logging

from eft.db import attachments, cases, uploads
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case, PurgeState
from eft.domain.errors import DigestMismatch, NotFound, WriterDisplaced
from eft.domain.upload import SMALL, Completeness, Source, Upload, UploadState
from eft.storage.manifest import seal_manifest
from eft.storage.seal import seal_inline
from eft.transfers.content import digest_of
from eft.transfers.hold import Hold
from eft.transfers.hold_rows import look_at_name, store
from eft.transfers.manifest_of import manifest_of
from eft.transfers.resources import Resources, ensure_case_key, lock_open_case
from eft.transfers.shown_path import is_temporary_name

log = logging.getLogger(__name__)


class Publication:
    """Ends uploads: published, settling, or refused. Those that settle are published by `Settled`."""

    def __init__(self, resources: Resources) -> None:
        self._r = resources
        self._reading: dict[str, asyncio.Future[Attachment | None]] = {}

    async def finish(self, hold: Hold, completeness: Completeness, still: Callable[[], None] | None = None) -> Attachment | None:
        """The whole file, durable when this returns, and published; None where its digest has to be read back first and that
        takes longer than somebody waits for an answer: then it is published later.

        From the last commit to the end of the transaction the hold is alone: a taker who came between them would roll back what
        is being published. Raises DigestMismatch: the upload is refused, its bytes are kept until it expires. And what a commit
        raises.
        """
        async with hold.alone(still):
            content = self._small_content(hold)
            if content is not None:
                sha256 = hashlib.sha256(content).hexdigest()
                if hold.upload.declared_sha256 in (None, sha256):
                    return await self._publish_small(hold, content, sha256, completeness)
            await hold.commit_unfenced()
            if hold.digest is not None:
                return await self._publish_large(hold, hold.digest.hexdigest(), completeness)
            await self._seal(hold)
        reading = self.read_back(hold.upload.id)
        done, _ = await asyncio.wait({reading}, timeout=self._r.settings.digest_wait_s)
        return reading.result() if done else None

    async def _publish_large(self, hold: Hold, sha256: str, completeness: Completeness) -> Attachment:
        if hold.upload.declared_sha256 not in (None, sha256):
            await self._refuse(hold, sha256)
        now = self._r.clock.now()

        def work(conn: Connection) -> Attachment:
            case = lock_open_case(conn, hold.upload.case_id)
            row = self._end_row(conn, hold, UploadState.PUBLISHED, sha256)
            return self.publish_row(conn, case, row, completeness, hold.intent.actor, now)

        attachment = await self._r.database.write(work)
        hold.mark_ended()
        self.announce(attachment)
        return attachment

    async def _seal(self, hold: Hold) -> None:
        """Whole and durable, without a digest: `sealed` until it has been read back."""

        def work(conn: Connection) -> None:
            lock_open_case(conn, hold.upload.case_id)
            row = self._end_row(conn, hold, UploadState.SEALED, None)
            uploads.save(conn, replace(row, holder=self._r.bus.worker))

        await self._r.database.write(work)
        hold.mark_ended()

    def read_back(self, upload_id: str) -> asyncio.Future[Attachment | None]:
        """The reading of a sealed upload's digest and its publication, which begins now unless it is under way here."""
        reading = self._reading.get(upload_id)
        if reading is None:
            reading = self._reading[upload_id] = asyncio.ensure_future(self._publish_sealed(upload_id))
            reading.add_done_callback(lambda done: self._has_read(upload_id, done))
        return reading

    def _has_read(self, upload_id: str, reading: asyncio.Future[Attachment | None]) -> None:
        del self._reading[upload_id]
        failure = None if reading.cancelled() else reading.exception()
        if failure is not None and not isinstance(failure, DigestMismatch):
            log.error("job.failed", extra={"job": "read-back", "upload_id": upload_id}, exc_info=failure)

    async def _publish_sealed(self, upload_id: str) -> Attachment | None:
        """None where it is not to be done (any more). Raises DigestMismatch, Tampered, StorageFailed."""
        upload, case = await self._r.database.read(lambda conn: _with_case(conn, upload_id))
        if upload is None or case is None or upload.state is not UploadState.SEALED or case.purge is not PurgeState.NONE:
            return None
        sha256 = await digest_of(self._r, case, upload)
        declared = upload.declared_sha256
        now = self._r.clock.now()

        def work(conn: Connection) -> Attachment | None:
            locked = cases.lock(conn, upload.case_id)
            row = uploads.lock(conn, upload_id)
            if locked is None or row is None or locked.purge is not PurgeState.NONE or row.state is not UploadState.SEALED:
                return None
            state = UploadState.PUBLISHED if declared in (None, sha256) else UploadState.REFUSED
            ended = replace(row, state=state, sha256=sha256, holder=None)
            uploads.save(conn, ended)
            if state is UploadState.PUBLISHED:
                return self.publish_row(conn, locked, ended, Completeness.DECLARED, Actor(row.actor), now)
            self.record_refusal(conn, Actor(row.actor), ended, now)
            return None

        attachment = await self._r.database.write(work)
        if declared not in (None, sha256):
            log.warning("upload.refused", extra={"upload_id": upload_id, "case_id": upload.case_id})
            raise DigestMismatch(declared or "", sha256)
        if attachment is not None:
            self.announce(attachment)
        return attachment

    async def settle(self, hold: Hold, seconds: float | None, still: Callable[[], None] | None = None) -> None:
        """A client has closed its file: durable when this returns, published after `seconds` without a change; with None
        it waits for its rename. The hold is alone as in `finish`. Raises what a commit raises."""
        settles_at = None if seconds is None else self._r.clock.now() + timedelta(seconds=seconds)
        async with hold.alone(still):
            content = self._small_content(hold)
            if content is not None:
                await self._record_settling(hold, content, None, settles_at)
                return
            await hold.commit_unfenced()
            await self._record_settling(hold, None, hold.digest.hexdigest() if hold.digest is not None else None, settles_at)

    async def _record_settling(self, hold: Hold, content: bytes | None, sha256: str | None, settles_at: datetime | None) -> None:
        """`content`: all of a small file, which goes into its row, and is hashed here."""
        now = self._r.clock.now()

        def work(conn: Connection) -> None:
            case = lock_open_case(conn, hold.upload.case_id)
            if hold.makes_way is not None and not hold.is_stored:
                look_at_name(conn, hold.upload)
            sealed, digest = None, sha256
            if content is not None:
                key = ensure_case_key(conn, self._r.keys, case)
                sealed = seal_inline(key, self._r.region, case.uid, hold.upload.id, content)
                digest = hashlib.sha256(content).hexdigest()
            self._end_row(conn, hold, UploadState.SETTLING, digest, inline=sealed, settles_at=settles_at)
            self._r.record(conn, hold.intent.actor, "upload.close", case.id, hold.upload.id, at=now, size=hold.size)

        await store(self._r, hold, work)
        hold.mark_ended()

    def _small_content(self, hold: Hold) -> bytes | None:
        """The bytes of a file that is small and wholly in memory, else None. Raises ChecksumMismatch."""
        if hold.offset > SMALL or not hold.is_in_memory or hold.upload.segments:
            return None
        return hold.content_in_memory()

    async def _publish_small(self, hold: Hold, content: bytes, sha256: str, completeness: Completeness) -> Attachment:
        now = self._r.clock.now()

        def work(conn: Connection) -> Attachment:
            case = lock_open_case(conn, hold.upload.case_id)
            key = ensure_case_key(conn, self._r.keys, case)
            sealed = seal_inline(key, self._r.region, case.uid, hold.upload.id, content)
            row = self._end_row(conn, hold, UploadState.PUBLISHED, sha256)
            return self.publish_row(conn, case, replace(row, inline=sealed), completeness, hold.intent.actor, now)

        attachment = await self._r.database.write(work)
        hold.mark_ended()
        self.announce(attachment)
        return attachment

    def _end_row(
        self,
        conn: Connection,
        hold: Hold,
        state: UploadState,
        sha256: str | None,
        *,
        inline: bytes | None = None,
        settles_at: datetime | None = None,
    ) -> Upload:
        """Writes the upload's row as it ends, made anew where it was in memory only. Raises WriterDisplaced."""
        mine = hold.upload
        segments = mine.segments
        if hold.is_stored:
            row = uploads.lock(conn, mine.id)
            if row is None or row.epoch != mine.epoch or row.state not in (UploadState.RECEIVING, UploadState.SETTLING):
                raise WriterDisplaced
            if hold.segment is not None:
                uploads.end_segment(conn, mine.id, hold.segment.epoch, hold.offset)
                segments = (*segments, replace(hold.segment, end=hold.offset))
            if state is UploadState.SETTLING and settles_at is None and not is_temporary_name(row.name):
                settles_at = self._r.clock.now()  # the rename that it was to wait for came already, by another worker
        else:
            row = mine
        if state in (UploadState.PUBLISHED, UploadState.SEALED):
            check_whole(row.length, hold.size)
        row = replace(
            row,
            epoch=max(row.epoch, 1),
            state=state,
            sha256=sha256,
            offset=hold.size,
            length=row.length if row.length is not None or state is UploadState.SETTLING else hold.size,
            holder=None,
            inline=inline,
            settles_at=settles_at,
            modified_at=mine.modified_at,
            segments=segments,
            expires_at=max(row.expires_at, self._r.clock.now() + self._r.settings.expire_after),
        )
        if hold.is_stored:
            uploads.save(conn, row)
        else:
            uploads.insert(conn, row)
        return row

    def publish_row(
        self, conn: Connection, case: Case, upload: Upload, completeness: Completeness, actor: Actor, now: datetime
    ) -> Attachment:
        """The attachment that a whole upload becomes, and the line in the audit log. The caller has locked both."""
        assert upload.sha256 is not None
        manifest = None
        if upload.inline is None:
            if case.key_slot is None:
                raise NotFound
            key = self._r.keys.case_key(case.key_slot, case.uid)
            stated = manifest_of(upload.id, upload.segments, upload.offset, upload.sha256)
            manifest = seal_manifest(key, self._r.region, case.uid, stated)
        from_support = upload.source is Source.SUPPORT
        version = attachments.next_version(conn, case.id, upload.name)
        attachments.supersede(conn, case.id, upload.name, from_support=from_support)
        attachment = Attachment(
            id=upload.id,
            case_id=case.id,
            name=upload.name,
            size=upload.offset,
            sha256=upload.sha256,
            source=upload.source,
            completeness=completeness,
            state=AttachmentState.AVAILABLE,
            received_at=now,
            version=version,
            modified_at=upload.modified_at,
            actor=upload.actor,
            manifest=manifest,
            inline=upload.inline,
        )
        attachments.insert(conn, attachment)
        self._r.record(
            conn,
            actor,
            "upload.publish",
            case.id,
            upload.id,
            at=now,
            size=attachment.size,
            sha256=attachment.sha256,
            completeness=completeness,
        )
        return attachment

    async def _refuse(self, hold: Hold, received: str) -> None:
        declared = hold.upload.declared_sha256 or ""
        now = self._r.clock.now()

        def work(conn: Connection) -> None:
            lock_open_case(conn, hold.upload.case_id)
            self.record_refusal(conn, hold.intent.actor, self._end_row(conn, hold, UploadState.REFUSED, received), now)

        await self._r.database.write(work)
        hold.mark_ended()
        log.warning("upload.refused", extra={"upload_id": hold.upload.id, "case_id": hold.upload.case_id})
        raise DigestMismatch(declared, received)

    def announce(self, attachment: Attachment) -> None:
        """Once that is durable: counts it, and logs it."""
        self._r.observer.published(attachment.source)
        if attachment.inline is not None:
            self._r.observer.received(attachment.source, attachment.size)
        facts = {"upload_id": attachment.id, "case_id": attachment.case_id, "bytes": attachment.size, "source": attachment.source}
        log.info("upload.published", extra=facts)

    def record_refusal(self, conn: Connection, actor: Actor, upload: Upload, now: datetime) -> None:
        """The line in the audit log for an upload whose digest is not the declared one."""
        self._r.record(
            conn,
            actor,
            "upload.refuse",
            upload.case_id,
            upload.id,
            at=now,
            declared=upload.declared_sha256,
            received=upload.sha256,
        )


def _with_case(conn: Connection, upload_id: str) -> tuple[Upload | None, Case | None]:
    upload = uploads.get(conn, upload_id)
    return upload, cases.get(conn, upload.case_id) if upload is not None else None


def check_whole(length: int | None, size: int) -> None:
    """The last look, whatever came before: a file is published at its whole length. Raises WriterDisplaced: somebody has taken
    bytes back."""
    if length not in (None, size):
        raise WriterDisplaced

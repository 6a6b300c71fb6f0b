"""The one receive path: what both doors and the control API use to take files in and give them out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
import logging
import secrets

from eft.db import attachments, cases, uploads, usage
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case
from eft.domain.digests import RunningDigest
from eft.domain.errors import AlreadyFinished, CaseClosed, NotFound, Purged, UploadTerminated, WriterDisplaced
from eft.domain.upload import SegmentFacts, Upload, UploadState
from eft.storage.ports import SegmentId
from eft.transfers.announced import tell_length, tell_sha256
from eft.transfers.concatenation import Concatenation
from eft.transfers.content import Begun, Content, begun, open_attachment, open_upload, read_attachment
from eft.transfers.hold_rows import MakesWay
from eft.transfers.holders import Holders, check_ended
from eft.transfers.intent import Allowance, Intent
from eft.transfers.jobs import Jobs
from eft.transfers.reception import Reception
from eft.transfers.resources import Resources, check_takes_data, lock_open_case
from eft.transfers.segment_ends import settle_segments

LOOKS = 5
"""How often somebody who asks for an offset may come between others who take the upload."""

log = logging.getLogger(__name__)


class Transfers:
    """See the module. Opened once in a worker; every method is safe beside every other, here and in other workers."""

    def __init__(self, resources: Resources) -> None:
        self._r = resources
        self.holders = Holders(resources)
        self._concatenation = Concatenation(resources, self.holders)
        self._jobs = Jobs(resources, self.holders, self._concatenation)

    async def open(self) -> None:
        """Joins the other workers, and finishes what a dead one left."""
        self._r.bus.open(self.holders.let_go)
        await self._jobs.recover()

    async def close(self) -> None:
        """Commits what came, and lets every upload go."""
        await self.holders.close()
        self._r.bus.close()

    async def tick(self) -> None:
        """What time brings: settled files are published, resting ones expire, dead writers' uploads are recovered."""
        await self._jobs.tick()

    def now(self) -> datetime:
        """What the clock says: `expires_at` of an upload is in its time."""
        return self._r.clock.now()

    # Taking in.

    async def begin(self, case_id: str, intent: Intent) -> Reception:
        """A new upload. Raises NotFound, and what `begin_in` raises."""
        return await self.begin_in(await self._open_case(case_id), intent)

    async def begin_in(self, case: Case, intent: Intent) -> Reception:
        """The same. Nothing is stored before it must be: a small file that is finished at once costs one transaction. Raises
        CaseClosed, CasePurging, CaseFull, StorageFull, NameNotAllowed, DigestInvalid, LengthInvalid."""
        intent = intent.checked()
        check_takes_data(case)
        self._r.check_room()
        allowance = await self._allowance(case.id)
        if allowance is not None:
            allowance.check(intent.length or 0)
        reception = self.holders.begin(self._new_upload(case, intent), case, intent, RunningDigest())
        reception.allow(allowance)
        return reception

    def begin_at_once(self, case: Case, intent: Intent, makes_way: MakesWay) -> Reception | None:
        """The same, under a name that nobody has looked at; what has it then makes way when this one is first stored. None where
        more has to be known first: what the case may store."""
        if self._r.settings.case_bytes is not None:
            return None
        intent = intent.checked()
        check_takes_data(case)
        self._r.check_room()
        return self.holders.begin(self._new_upload(case, intent), case, intent, RunningDigest(), makes_way=makes_way)

    async def register(self, case_id: str, intent: Intent) -> Upload:
        """A new upload, known to the database, without a byte yet. Raises what `begin` raises."""
        intent = intent.checked()
        self._r.check_room()
        quota = self._r.settings.case_bytes

        def work(conn: Connection) -> Upload:
            case = lock_open_case(conn, case_id)
            if quota is not None:
                Allowance(quota, usage.bytes_of_case(conn, case_id)).check(intent.length or 0)
            upload = self._new_upload(case, intent)
            uploads.insert(conn, upload)
            self._r.record(conn, intent.actor, "upload.create", case.id, upload.id, at=upload.created_at, source=upload.source)
            return upload

        return await self._r.database.write(work)

    async def concatenate(self, case_id: str, intent: Intent, part_ids: Sequence[str]) -> Upload:
        """A final upload: what the parts have, one after the other, once each of them is whole. It takes no byte itself. The same
        parts, in the same order and with the same metadata, give the same upload again.

        Raises NotFound, also for another case's part; Invalid for what is no part; UploadExpired, UploadTerminated,
        DigestMismatch, and what `register` raises.
        """
        intent = intent.checked()
        case = await self._open_case(case_id)
        made = await self._concatenation.create(case, self._new_upload(case, intent), intent, part_ids)
        await self._concatenation.assemble(made.id)
        upload, _ = await self.holders.find(made.id, case_id)
        return upload

    async def length_of_parts(self, upload: Upload) -> int | None:
        """Bytes that a final upload will have, where all its parts have said theirs."""
        return await self._concatenation.length(upload)

    async def take(self, upload_id: str, *, case_id: str, at: int | None = None) -> Reception:
        """The right to add to an upload, taken from whoever had it; `offset` is durable. `at`: where bytes come for, if that is
        known: a writer who is past it goes on. See `Holders.take`.

        Raises OffsetMismatch, NotFound, CaseClosed, CasePurging, AlreadyFinished, DigestMismatch, UploadExpired,
        UploadTerminated, Purged.
        """
        allowance = await self._allowance(case_id, upload_id)
        reception = await self.holders.take(upload_id, case_id, at=at)
        reception.allow(allowance)
        return reception

    async def amend(self, attachment: Attachment, intent: Intent) -> Reception:
        """A new version of a finished file that begins with all of its bytes, by reference; `offset` is its size.

        Raises CaseClosed, CasePurging, StorageFull, Purged, NotFound.
        """
        case = await self._open_case(attachment.case_id)
        if attachment.state is not AttachmentState.AVAILABLE:
            raise Purged(attachment.gone_at)
        self._r.check_room()
        allowance = await self._allowance(case.id)
        upload = self._new_upload(case, intent.checked())
        if attachment.inline is not None:
            content = await open_attachment(self._r, attachment)
            small = await content.read(0, content.size)
            reception = self.holders.begin(upload, case, intent, RunningDigest(), inherited=small)
            reception.allow(allowance)
            return reception
        original = await self._r.database.read(lambda conn: uploads.get(conn, attachment.id))
        if original is None:
            raise NotFound
        inherited = tuple(replace(facts, upload_id=upload.id) for facts in original.segments)
        settled, digest = await settle_segments(self._r, replace(upload, segments=inherited), case)
        reception = self.holders.begin(settled, case, intent, digest, origin=attachment.id)
        reception.allow(allowance)
        return reception

    async def set_length(self, upload_id: str, length: int, *, case_id: str) -> None:
        """Tells an upload's length, once. Raises NotFound, LengthInvalid, AlreadyFinished, CaseFull."""
        await tell_length(self._r, self.holders, upload_id, length, case_id)

    async def declare_sha256(self, upload_id: str, sha256: str, *, case_id: str) -> None:
        """Tells an upload's digest, in hex, once. Raises NotFound, DigestInvalid where it was told another, AlreadyFinished."""
        await tell_sha256(self._r, self.holders, upload_id, sha256, case_id)

    async def withdraw(self, upload_id: str, *, case_id: str, actor: Actor) -> None:
        """Ends an upload, or takes a finished file away from its sender: it stays with the case, for staff, until its purge.
        Raises NotFound, CaseClosed, UploadExpired, UploadTerminated, Purged."""
        try:
            await self.terminate(upload_id, case_id=case_id, actor=actor)
            return
        except AlreadyFinished:
            attachment = await self.shared(upload_id, case_id=case_id)
        now = self._r.clock.now()

        def work(conn: Connection) -> None:
            lock_open_case(conn, case_id)
            attachments.hide(conn, attachment.id)
            self._r.record(conn, actor, "attachment.hide", case_id, attachment.id, at=now)

        await self._r.database.write(work)

    async def terminate(self, upload_id: str, *, case_id: str, actor: Actor, why: str = "terminated") -> None:
        """Ends an unfinished upload; its bytes are deleted. Raises NotFound, AlreadyFinished, CaseClosed, UploadExpired."""
        hold = self.holders.hold_of(upload_id)
        if hold is not None and hold.upload.case_id == case_id:
            await self.holders.drop(hold)
            if not hold.is_stored:
                return
        found, case = await self.holders.find(upload_id, case_id)
        check_ended(found, case)
        check_takes_data(case)
        now = self._r.clock.now()

        def work(conn: Connection) -> None:
            lock_open_case(conn, case_id)
            row = uploads.lock(conn, upload_id)
            if row is None or row.state is UploadState.EXPIRED:
                raise NotFound
            if row.state is UploadState.PUBLISHED:
                raise AlreadyFinished
            if row.state is UploadState.FROZEN:
                raise CaseClosed
            ended = replace(row, state=UploadState.EXPIRED, ended=why, epoch=row.epoch + 1, holder=None, inline=None)
            uploads.save(conn, ended)
            self._r.record(conn, actor, "upload.terminate", case_id, upload_id, at=now, why=why)

        await self._r.database.write(work)
        log.info("upload.terminated", extra={"upload_id": upload_id, "case_id": case_id, "reason": why})
        await self._jobs.discard(upload_id)

    # Giving out.

    async def progress(self, upload_id: str, *, case_id: str) -> Upload:
        """An upload with its exact durable offset, which stays: a live writer is stopped first. A published one too.

        Raises NotFound, UploadExpired, UploadTerminated, Purged. Never that somebody else took it, finished it or closed its case
        at the same moment: a client that is refused its offset believes that the upload is gone, and begins anew.
        """
        for _ in range(LOOKS):
            upload, case = await self.holders.find(upload_id, case_id)
            check_ended(upload, case)
            if upload.state is UploadState.PUBLISHED:
                await self.shared(upload_id, case_id=case_id)
                return upload
            if upload.parts:
                return upload
            if upload.state is not UploadState.RECEIVING or not case.takes_data:
                break
            with suppress(WriterDisplaced, AlreadyFinished, CaseClosed):
                reception = await self.holders.take(upload_id, case_id)
                offset, expires_at = reception.durable, reception.expires_at
                await reception.release()
                return replace(upload, offset=offset, expires_at=expires_at)
        return await self._with_live_offset(upload, case)

    async def upload(self, upload_id: str, *, case_id: str) -> Upload:
        """An upload as it is now; displaces nobody. Raises NotFound."""
        upload, case = await self.holders.find(upload_id, case_id)
        return await self._with_live_offset(upload, case)

    async def unfinished(self, case_id: str) -> list[Upload]:
        """The case's unfinished uploads, newest first, with what is durable of each now; parts of others are not among them.
        Displaces nobody."""

        def work(conn: Connection) -> tuple[Case | None, list[Upload]]:
            return cases.get(conn, case_id), uploads.unfinished(conn, case_id)

        case, found = await self._r.database.read(work)
        if case is None:
            raise NotFound
        return [await self._listed(upload, case) for upload in found if not upload.is_part]

    async def unfinished_page(self, case_id: str, cursor: str | None, limit: int) -> tuple[list[Upload], str | None]:
        """A page of them, and the cursor of the next. Raises NotFound, Invalid."""

        def work(conn: Connection) -> tuple[Case | None, tuple[list[Upload], str | None]]:
            return cases.get(conn, case_id), uploads.unfinished_page(conn, case_id, cursor, limit)

        case, (found, following) = await self._r.database.read(work)
        if case is None:
            raise NotFound
        return [await self._listed(upload, case) for upload in found], following

    async def attachment(self, attachment_id: str, *, case_id: str | None = None) -> Attachment:
        """Raises NotFound, also where it is another case's."""
        found = await self._r.database.read(lambda conn: attachments.get(conn, attachment_id))
        if found is None or (case_id is not None and found.case_id != case_id):
            raise NotFound
        return found

    async def shared(self, attachment_id: str, *, case_id: str) -> Attachment:
        """A finished file that its sender still has. Raises NotFound, Purged, UploadTerminated."""
        found = await self.attachment(attachment_id, case_id=case_id)
        if found.state is not AttachmentState.AVAILABLE:
            raise Purged(found.gone_at)
        if found.hidden:
            raise UploadTerminated
        return found

    async def attachments(self, case_id: str, cursor: str | None, limit: int) -> tuple[list[Attachment], str | None]:
        """A page of the case's attachments, newest first, and the cursor of the next. Raises NotFound."""

        def work(conn: Connection) -> tuple[list[Attachment], str | None]:
            if cases.get(conn, case_id) is None:
                raise NotFound
            return attachments.page(conn, case_id, cursor, limit)

        return await self._r.database.read(work)

    def read(self, attachment: Attachment, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes `[start, stop)` of an attachment, in pieces of about 1 MiB. Raises Purged, Tampered, StorageFailed."""
        return read_attachment(self._r, attachment, start, stop)

    async def give_out(self, attachment: Attachment, start: int, stop: int, *, actor: Actor, **how: str) -> Begun:
        """`read`, with the first piece read already, and the audit log knows who was given the file, and `how`. Close it,
        however it ends. Raises what `read` raises."""
        pieces = await begun(self.read(attachment, start, stop))
        try:
            await self.note_download(attachment, actor, **how)
        except BaseException:
            await pieces.aclose()
            raise
        return pieces

    async def note_download(self, attachment: Attachment, actor: Actor, **how: str) -> None:
        """Into the audit log: who was given the file; a part of it as its `range`, as one of many in an `archive`."""

        def work(conn: Connection) -> None:
            self._r.record(conn, actor, "attachment.download", attachment.case_id, attachment.id, at=self._r.clock.now(), **how)

        await self._r.database.write(work)

    async def content(self, source: Attachment | Upload) -> Content:
        """Random access to a finished file, or to what an upload has so far. Raises Purged, Tampered, KeyUnavailable."""
        return await (open_attachment(self._r, source) if isinstance(source, Attachment) else open_upload(self._r, source))

    async def delete(self, attachment_id: str, *, actor: Actor) -> None:
        """Deletes one attachment's bytes before their time; a tombstone remains. Repeatable. Raises NotFound, LegalHold."""
        await self._jobs.delete(attachment_id, actor)

    # Inside.

    async def _open_case(self, case_id: str) -> Case:
        case = await self._r.database.read(lambda conn: cases.get(conn, case_id))
        if case is None:
            raise NotFound
        check_takes_data(case)
        return case

    async def _allowance(self, case_id: str, upload_id: str | None = None) -> Allowance | None:
        """What the upload may grow to, where the case has a quota."""
        quota = self._r.settings.case_bytes
        if quota is None:
            return None
        others = await self._r.database.read(lambda conn: usage.bytes_of_case(conn, case_id, without=upload_id))
        return Allowance(quota, others)

    def _new_upload(self, case: Case, intent: Intent) -> Upload:
        now = self._r.clock.now()
        return Upload(
            id=secrets.token_hex(16),
            case_id=case.id,
            name=intent.name,
            source=intent.source,
            state=UploadState.RECEIVING,
            created_at=now,
            expires_at=self.holders.expiry_after(now),
            length=intent.length,
            metadata=intent.metadata,
            declared_sha256=intent.sha256,
            actor=intent.actor.name,
            modified_at=intent.modified_at,
            concat=intent.concat,
            in_draft=intent.in_draft,
        )

    async def _listed(self, upload: Upload, case: Case) -> Upload:
        waits = upload.parts and upload.state is UploadState.RECEIVING
        return await (self._concatenation.so_far(upload) if waits else self._with_live_offset(upload, case))

    async def _with_live_offset(self, upload: Upload, case: Case) -> Upload:
        hold = self.holders.hold_of(upload.id)
        if hold is not None:
            return replace(upload, offset=hold.safe, segments=hold.segments_so_far())
        if not upload.segments or upload.segments[-1].end is not None:
            return upload
        last = await self._r.run(self._peek, case, upload.segments[-1])
        return replace(upload, offset=max(upload.offset, last.end or 0), segments=(*upload.segments[:-1], last))

    def _peek(self, case: Case, facts: SegmentFacts) -> SegmentFacts:
        if case.key_slot is None:
            return replace(facts, end=facts.start)
        key = self._r.keys.case_key(case.key_slot, case.uid)
        try:
            reader = self._r.segments.open(SegmentId(case.uid, facts.file_upload_id, facts.file_epoch), key)
        except NotFound:
            return replace(facts, end=facts.start)
        try:
            return replace(facts, end=reader.durable.end)
        finally:
            reader.close()

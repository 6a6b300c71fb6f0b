"""What a hold reads and writes in the database: the fence, a new segment's row, and where a segment ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from eft.db import attachments, uploads
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.attachment import AttachmentState
from eft.domain.case import Case, CaseStatus, PurgeState
from eft.domain.errors import (
    AlreadyFinished,
    CaseClosed,
    CasePurging,
    NotFound,
    Purged,
    UploadExpired,
    WriterDisplaced,
)
from eft.domain.upload import SegmentFacts, Upload, UploadState
from eft.transfers.resources import Resources, ensure_case_key, lock_open_case


async def check_fence(resources: Resources, upload: Upload) -> None:
    """Whether the upload is still ours, and its case takes data.

    Raises WriterDisplaced, CaseClosed, CasePurging, UploadExpired, AlreadyFinished, NotFound.
    """
    fence = await resources.database.read(lambda conn: uploads.fence(conn, upload.id), snapshot=False)
    if fence is None:
        raise NotFound
    if fence.epoch != upload.epoch:
        raise WriterDisplaced
    if fence.case_purge is not PurgeState.NONE:
        raise CasePurging
    if fence.state is UploadState.EXPIRED:
        raise UploadExpired
    if fence.state is UploadState.FROZEN or fence.case_status is CaseStatus.CLOSED:
        raise CaseClosed
    if fence.state not in (UploadState.RECEIVING, UploadState.SETTLING):
        raise AlreadyFinished


def add_segment(
    conn: Connection, resources: Resources, upload: Upload, start: int, *, actor: Actor, origin: str | None
) -> tuple[Case, Upload, SegmentFacts, bytes]:
    """A new segment from `start` on, of an upload that is stored with it where it was not yet. Returns the case, the upload as
    it is now, the segment and the case's key.

    `origin`: the attachment whose segments a new upload begins with. Raises WriterDisplaced, CaseClosed, CasePurging, Purged.
    """
    case = lock_open_case(conn, upload.case_id)
    key = ensure_case_key(conn, resources.keys, case)
    if upload.epoch > 0:
        upload = _still_receiving(conn, upload)
    else:
        if origin is not None:
            _check_origin(conn, origin)
        upload = replace(upload, epoch=1, holder=resources.bus.worker)
        uploads.insert(conn, upload)
        resources.record(conn, actor, "upload.create", case.id, upload.id, at=upload.created_at, source=upload.source)
    if upload.segments and upload.segments[-1].epoch >= upload.epoch:
        upload = replace(upload, epoch=upload.segments[-1].epoch + 1)
        uploads.save(conn, upload)
    facts = SegmentFacts(
        upload_id=upload.id, epoch=upload.epoch, start=start, end=None, file_upload_id=upload.id, file_epoch=upload.epoch
    )
    uploads.add_segment(conn, facts)
    return case, upload, facts, key


def record_end(
    conn: Connection, resources: Resources, upload: Upload, segment: SegmentFacts | None, durable: int, since: datetime
) -> None:
    """The writer has let the upload go: its segment ends at `durable`, which it reached at `since`. Without effect where another
    has taken over."""
    row = uploads.lock(conn, upload.id)
    if row is None or row.epoch != upload.epoch:
        return
    if segment is not None:
        uploads.end_segment(conn, upload.id, segment.epoch, durable)
    expires_at = max(row.expires_at, since + resources.settings.expire_after)
    uploads.save(conn, replace(row, offset=max(row.offset, durable), holder=None, expires_at=expires_at))


def _still_receiving(conn: Connection, upload: Upload) -> Upload:
    row = uploads.lock(conn, upload.id)
    if row is None or row.epoch != upload.epoch:
        raise WriterDisplaced
    if row.state is not UploadState.SETTLING:
        return upload
    # From here on it is not what its client closed.
    uploads.save(conn, replace(row, state=UploadState.RECEIVING, settles_at=None, sha256=None))
    return replace(upload, state=UploadState.RECEIVING)


def _check_origin(conn: Connection, attachment_id: str) -> None:
    """From here on the files of the version before are kept because this one refers to them, unless they are gone already."""
    origin = attachments.get(conn, attachment_id)
    if origin is None or origin.state is not AttachmentState.AVAILABLE:
        raise Purged(origin.gone_at if origin is not None else None)

"""What a hold reads and writes in the database: its first row, the fence, a new segment's row, and where a segment ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from eft.db import attachments, uploads
from eft.db.engine import Connection
from eft.domain.attachment import AttachmentState
from eft.domain.case import Case, CaseStatus, PurgeState
from eft.domain.errors import (
    AlreadyFinished,
    CaseClosed,
    CasePurging,
    NotFound,
    Purged,
    UploadExpired,
    UploadTerminated,
    WriterDisplaced,
)
from eft.domain.upload import SegmentFacts, Source, Upload, UploadState
from eft.transfers.resources import Resources, ensure_case_key, lock_open_case

if TYPE_CHECKING:
    from eft.transfers.hold import Hold

T = TypeVar("T")
MakesWay = Callable[[str], Awaitable[None]]
"""Ends or publishes the unfinished upload of that id, as another takes its name."""


class NameTaken(Exception):
    """The name that an upload was begun under without a look is that of another unfinished one, `upload_id`."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(upload_id)
        self.upload_id = upload_id


async def store(resources: Resources, hold: Hold, work: Callable[[Connection], T]) -> T:
    """What `work` returns, durable, which may store the hold's upload for the first time. Raises what it raises.

    Where `work` finds that the name, which nobody has looked at, has been taken, who has it makes way first. Only once: of two
    who come at the same time both are stored, as they are when both have looked before."""
    try:
        return await resources.database.write(work)
    except NameTaken as taken:
        makes_way, hold.makes_way = hold.makes_way, None
        if makes_way is not None:
            with suppress(NotFound, AlreadyFinished, UploadExpired, UploadTerminated):
                await makes_way(taken.upload_id)
        return await resources.database.write(work)


def look_at_name(conn: Connection, upload: Upload) -> None:
    """Before a new upload is stored whose name was not looked at; the case is locked. Raises NameTaken."""
    found = uploads.by_name(conn, upload.case_id, upload.name, Source.SFTP)
    if found is not None and found.state in (UploadState.RECEIVING, UploadState.SETTLING):
        raise NameTaken(found.id)


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


def add_segment(conn: Connection, resources: Resources, hold: Hold) -> tuple[Case, Upload, SegmentFacts, bytes]:
    """A new segment of the hold from its durable offset on, of an upload that is stored with it where it was not yet. Returns the
    case, the upload as it is now, the segment and the case's key. Raises WriterDisplaced, CaseClosed, CasePurging, Purged,
    NameTaken.
    """
    upload = hold.upload
    case = lock_open_case(conn, upload.case_id)
    key = ensure_case_key(conn, resources.keys, case)
    if upload.epoch > 0:
        upload = _still_receiving(conn, upload)
    else:
        if hold.origin is not None:
            _check_origin(conn, hold.origin)
        if hold.makes_way is not None:
            look_at_name(conn, upload)
        upload = replace(upload, epoch=1, holder=resources.bus.worker)
        uploads.insert(conn, upload)
        resources.record(conn, hold.intent.actor, "upload.create", case.id, upload.id, at=upload.created_at, source=upload.source)
    if upload.segments and upload.segments[-1].epoch >= upload.epoch:
        upload = replace(upload, epoch=upload.segments[-1].epoch + 1)
        uploads.save(conn, upload)
    facts = SegmentFacts(
        upload_id=upload.id, epoch=upload.epoch, start=hold.durable, end=None, file_upload_id=upload.id, file_epoch=upload.epoch
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

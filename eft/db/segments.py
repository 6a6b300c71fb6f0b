"""Segments of uploads: which plaintext range is in which file. `uploads` has these functions under the same names."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, delete, func, or_, select, update

from eft.db.in_lists import in_lists
from eft.db.rows import record
from eft.db.statements import Inserting, Records, Statement
from eft.db.tables import attachments, cases, uploads
from eft.db.tables import segments as table
from eft.domain.attachment import AttachmentState
from eft.domain.case import PurgeState
from eft.domain.upload import SegmentFacts, UploadState

_ADD = Inserting(table)
_END = Statement(
    update(table)
    .where(table.c.upload_id == bindparam("id"), table.c.epoch == bindparam("its_epoch"), table.c.end.is_(None))
    .values(end=bindparam("its_end"))
)
_OF_UPLOAD = Records(SegmentFacts, select(table).where(table.c.upload_id == bindparam("id")).order_by(table.c.epoch))


def add_segment(conn: Connection, facts: SegmentFacts) -> None:
    _ADD.run(conn, facts)


def end_segment(conn: Connection, upload_id: str, epoch: int, end: int) -> bool:
    """Closes an open segment at `end` (bytes, exclusive). False, and no change, where there is no such open segment."""
    return _END.run(conn, {"id": upload_id, "its_epoch": epoch, "its_end": end}) == 1


def drop_segment(conn: Connection, upload_id: str, epoch: int) -> None:
    """Forgets one segment, open or closed. Idempotent. Its file goes when `file_references` says 0."""
    conn.execute(delete(table).where(table.c.upload_id == upload_id, table.c.epoch == epoch))


def segments(conn: Connection, upload_id: str) -> list[SegmentFacts]:
    """The upload's segments, in the order of their epochs."""
    return _OF_UPLOAD.all(conn, {"id": upload_id})


def of_uploads(conn: Connection, upload_ids: list[str]) -> dict[str, list[SegmentFacts]]:
    """The segments of each of these uploads that has any."""
    found: dict[str, list[SegmentFacts]] = {}
    for ids in in_lists(upload_ids):
        query = select(table).where(table.c.upload_id.in_(ids)).order_by(table.c.epoch)
        for row in conn.execute(query):
            found.setdefault(row.upload_id, []).append(record(SegmentFacts, row))
    return found


def file_references(conn: Connection, file_upload_id: str, file_epoch: int) -> int:
    """How many segments, of whatever upload, lie in this file."""
    query = select(func.count()).where(table.c.file_upload_id == file_upload_id, table.c.file_epoch == file_epoch)
    return conn.execute(query).scalar_one()


def live_held(conn: Connection) -> list[tuple[str, str | None]]:
    """(upload id, holder) of every upload with an open segment, and of every settling one that somebody has opened again: it is
    being written, or its writer died."""
    being_written = uploads.c.id.in_(select(table.c.upload_id).where(table.c.end.is_(None)))
    opened_again = and_(uploads.c.state == UploadState.SETTLING, uploads.c.holder.is_not(None))
    query = select(uploads.c.id, uploads.c.holder).where(or_(being_written, opened_again))
    return [(upload_id, holder) for upload_id, holder in conn.execute(query.order_by(uploads.c.id))]


def discardable(conn: Connection) -> list[str]:
    """The ids of uploads and deleted attachments whose segments nobody may read any more, outside a purge, which has its own
    way with them."""
    over = select(uploads.c.id).where(uploads.c.state == UploadState.EXPIRED)
    deleted = select(attachments.c.id).where(attachments.c.state != AttachmentState.AVAILABLE)
    alive = select(uploads.c.id).join(cases, cases.c.id == uploads.c.case_id).where(cases.c.purge == PurgeState.NONE)
    query = select(table.c.upload_id).where(
        or_(table.c.upload_id.in_(over), table.c.upload_id.in_(deleted)), table.c.upload_id.in_(alive)
    )
    return [upload_id for (upload_id,) in conn.execute(query.distinct())]

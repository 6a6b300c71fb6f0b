"""How much a case stores: what a quota is held against."""

from __future__ import annotations

from sqlalchemy import Connection, and_, func, select

from eft.db.tables import attachments, segments, uploads
from eft.domain.attachment import AttachmentState
from eft.domain.upload import UNFINISHED


def bytes_of_case(conn: Connection, case_id: str, *, without: str | None = None) -> int:
    """Bytes of the case's files, older versions too, and what its unfinished uploads have announced. What several versions, or a
    whole and its parts, have in common counts once. An upload whose length is not known counts with what it had when it last
    changed hands. `without`: the id of an upload that is left out."""
    mine = and_(uploads.c.case_id == case_id, uploads.c.id != (without or ""))
    size = func.max(segments.c.end - segments.c.start)
    files = (
        select(size.label("size"))
        .join(uploads, uploads.c.id == segments.c.upload_id)
        .where(mine, segments.c.end.is_not(None))
        .group_by(segments.c.file_upload_id, segments.c.file_epoch)
        .subquery()
    )
    inline = and_(
        attachments.c.case_id == case_id, attachments.c.state == AttachmentState.AVAILABLE, attachments.c.inline.is_not(None)
    )
    to_come = and_(mine, uploads.c.state.in_(UNFINISHED), uploads.c.length > uploads.c.offset)
    sums = (
        select(func.coalesce(func.sum(files.c.size), 0)),
        select(func.coalesce(func.sum(attachments.c.size), 0)).where(inline),
        select(func.coalesce(func.sum(uploads.c.length - uploads.c.offset), 0)).where(to_come),
    )
    return sum(int(conn.execute(each).scalar_one()) for each in sums)

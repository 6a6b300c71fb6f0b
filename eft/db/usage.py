"""How much a case stores: what a quota is held against."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from eft.db.tables import attachments, uploads
from eft.domain.attachment import AttachmentState
from eft.domain.upload import UNFINISHED


def bytes_of_case(conn: Connection, case_id: str, *, without: str | None = None) -> int:
    """Bytes of the case's finished files, older versions too, and of its unfinished uploads: as announced, or else as they were
    when they last changed hands. `without`: the id of an upload that is left out."""
    finished = select(func.coalesce(func.sum(attachments.c.size), 0)).where(
        attachments.c.case_id == case_id, attachments.c.state == AttachmentState.AVAILABLE
    )
    unfinished = select(func.coalesce(func.sum(func.coalesce(uploads.c.length, uploads.c.offset)), 0)).where(
        uploads.c.case_id == case_id, uploads.c.state.in_(UNFINISHED), uploads.c.id != (without or "")
    )
    return int(conn.execute(finished).scalar_one()) + int(conn.execute(unfinished).scalar_one())

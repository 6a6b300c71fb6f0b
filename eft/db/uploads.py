"""Uploads: their facts, the fence that every acknowledgement passes, and what is due. Their segments are in segments.py.

Every Upload that comes from here has its segments, in the order of their epochs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, or_, select, update

from eft.db import cursors
from eft.db.in_lists import in_lists
from eft.db.paths import Below
from eft.db.segments import add_segment, discardable, drop_segment, end_segment, file_references, live_held, of_uploads, segments
from eft.db.statements import Inserting, Records, Saving, Statement
from eft.db.tables import cases, uploads
from eft.domain.case import CaseStatus, PurgeState
from eft.domain.errors import NotFound
from eft.domain.upload import UNFINISHED, SegmentFacts, Source, Upload, UploadState, unfreeze_expiry

__all__ = [
    "Fence",
    "add_segment",
    "by_name",
    "discardable",
    "drop_segment",
    "end_segment",
    "expiring",
    "fence",
    "file_references",
    "freeze_case",
    "get",
    "insert",
    "live_held",
    "lock",
    "of_case",
    "save",
    "sealed",
    "segments",
    "settling_due",
    "some",
    "thaw_case",
    "unfinished",
    "unfinished_below",
    "unfinished_page",
    "waiting_for_parts",
]

_BY_ID = select(uploads).where(uploads.c.id == bindparam("id"))
_GET, _LOCK = Records(Upload, _BY_ID), Records(Upload, _BY_ID.with_for_update())
_INSERT, _SAVE = Inserting(uploads), Saving(uploads)
_FENCE = Statement(
    select(uploads.c.epoch, uploads.c.state, cases.c.status, cases.c.purge)
    .join(cases, cases.c.id == uploads.c.case_id)
    .where(uploads.c.id == bindparam("id"))
)


@dataclass(frozen=True, slots=True)
class Fence:
    """What a writer compares with before it acknowledges: whose the upload is now, and whether its case takes data."""

    epoch: int
    state: UploadState
    case_status: CaseStatus
    case_purge: PurgeState


def fence(conn: Connection, upload_id: str) -> Fence | None:
    """One select by key; the hot read. Sees every transaction that was committed before it was called."""
    row = _FENCE.row(conn, {"id": upload_id})
    return None if row is None else Fence(*row)


def insert(conn: Connection, upload: Upload) -> None:
    """A new upload with its segments, where it begins with some (a version made by reference)."""
    _INSERT.run(conn, upload)
    for facts in upload.segments:
        add_segment(conn, facts)


def get(conn: Connection, upload_id: str) -> Upload | None:
    return _with_segments(conn, _GET.fields(conn, {"id": upload_id}))


def some(conn: Connection, upload_ids: Iterable[str]) -> dict[str, Upload]:
    """Those of these uploads that there are, by id."""
    found: dict[str, Upload] = {}
    for ids in in_lists(list(upload_ids)):
        query = select(uploads).where(uploads.c.id.in_(ids))
        found.update((upload.id, upload) for upload in _many(conn, query))
    return found


def waiting_for_parts(conn: Connection) -> list[str]:
    """The ids of final uploads that are not put together yet."""
    query = select(uploads.c.id).where(uploads.c.state == UploadState.RECEIVING, uploads.c.parts != "")
    return list(conn.execute(query.order_by(uploads.c.created_at, uploads.c.id)).scalars())


def lock(conn: Connection, upload_id: str) -> Upload | None:
    """The upload; nobody else changes it before this transaction ends. Where the case is locked too, the case comes first."""
    return _with_segments(conn, _LOCK.fields(conn, {"id": upload_id}))


def save(conn: Connection, upload: Upload) -> None:
    """Every field but the segments. Lock it first. Raises NotFound."""
    if not _SAVE.run(conn, upload):
        raise NotFound


def unfinished(conn: Connection, case_id: str) -> list[Upload]:
    """The case's uploads that may still become attachments, newest first."""
    return _many(conn, _newest(select(uploads).where(uploads.c.case_id == case_id, uploads.c.state.in_(UNFINISHED))))


def unfinished_below(conn: Connection, case_id: str, path: str) -> list[Upload]:
    """Those of them whose name is below `path`."""
    ids = [row[0] for row in _BELOW.rows(conn, case_id, path)]
    return [found for upload_id in ids if (found := get(conn, upload_id)) is not None]


def unfinished_page(conn: Connection, case_id: str, cursor: str | None, limit: int) -> tuple[list[Upload], str | None]:
    """At most `limit` of them, without the parts of others, newest first, and the cursor of the next page or None.

    Raises Invalid for a bad cursor.
    """
    query = select(uploads).where(uploads.c.case_id == case_id, uploads.c.state.in_(UNFINISHED), _no_part())
    found = _many(conn, cursors.page(query, uploads.c.created_at, uploads.c.id, cursor, limit))
    kept = found[: cursors.bounded(limit)]
    return kept, cursors.encode(kept[-1].created_at, kept[-1].id) if len(found) > len(kept) else None


def of_case(conn: Connection, case_id: str) -> list[Upload]:
    """All of the case's uploads, in whatever state, newest first."""
    return _many(conn, _newest(select(uploads).where(uploads.c.case_id == case_id)))


def by_name(conn: Connection, case_id: str, name: str, source: Source) -> Upload | None:
    """The newest unfinished upload of that name that came that way; no part of another."""
    given = {"its_case": case_id, "its_name": name, "its_source": source}
    return _with_segments(conn, _BY_NAME.fields(conn, given))


def settling_due(conn: Connection, now: datetime, limit: int = 1000) -> list[Upload]:
    """Settling uploads with `settles_at` at or before now that nobody has opened again, the longest due first."""
    rows = _DUE.all_fields(conn, {"its_now": now, "its_limit": limit})
    found = of_uploads(conn, [row["id"] for row in rows])
    return [Upload(**row, segments=tuple(found.get(row["id"], ()))) for row in rows]


def sealed(conn: Connection) -> list[Upload]:
    """Uploads that are whole and wait for their digest, the oldest first."""
    query = select(uploads).where(uploads.c.state == UploadState.SEALED)
    return _many(conn, query.order_by(uploads.c.created_at, uploads.c.id))


def expiring(conn: Connection, now: datetime, limit: int = 1000) -> list[Upload]:
    """Uploads to be given up: `expires_at` at or before now, the longest due first.

    Receiving and refused ones, and settling ones that wait for something else than time. A frozen one's clock stands
    still, and one that settles by itself is published, however late.
    """
    waits = or_(
        uploads.c.state.in_([UploadState.RECEIVING, UploadState.REFUSED]),
        and_(uploads.c.state == UploadState.SETTLING, uploads.c.settles_at.is_(None)),
    )
    query = select(uploads).where(waits, uploads.c.expires_at <= now)
    return _many(conn, query.order_by(uploads.c.expires_at, uploads.c.id).limit(limit))


def freeze_case(conn: Connection, case_id: str, now: datetime) -> None:
    """What a closing case does to its uploads: those being received or refused freeze; a settling one, which its client has
    closed, settles now, or freezes where it waits for something else than time. Lock the case first."""
    mine = uploads.c.case_id == case_id
    settling = uploads.c.state == UploadState.SETTLING
    freezes = or_(
        uploads.c.state.in_([UploadState.RECEIVING, UploadState.REFUSED]), and_(settling, uploads.c.settles_at.is_(None))
    )
    conn.execute(update(uploads).where(mine, freezes).values(state=UploadState.FROZEN, frozen_at=now))
    conn.execute(update(uploads).where(mine, settling, uploads.c.settles_at > now).values(settles_at=now))


def thaw_case(conn: Connection, case_id: str, now: datetime) -> None:
    """What a reopened case does to its frozen uploads: they go on, and expire as much later as they were frozen. Lock the
    case first."""
    frozen = select(uploads.c.id, uploads.c.expires_at, uploads.c.frozen_at).where(
        uploads.c.case_id == case_id, uploads.c.state == UploadState.FROZEN
    )
    for upload_id, expires_at, frozen_at in conn.execute(frozen.with_for_update()).all():
        conn.execute(
            update(uploads)
            .where(uploads.c.id == upload_id)
            .values(state=UploadState.RECEIVING, frozen_at=None, expires_at=unfreeze_expiry(expires_at, frozen_at, now))
        )


def _no_part() -> ColumnElement[bool]:
    return or_(uploads.c.concat.is_(None), uploads.c.parts != "")


def _newest(query: Select[Any]) -> Select[Any]:
    return query.order_by(uploads.c.created_at.desc(), uploads.c.id.desc())


def _one(conn: Connection, row: Row[Any] | None) -> Upload | None:
    return None if row is None else _upload(row, segments(conn, row.id))


def _with_segments(conn: Connection, fields: dict[str, Any] | None) -> Upload | None:
    """The segments are read after the row: whoever waited for its lock sees what the one before him wrote."""
    return None if fields is None else Upload(**fields, segments=tuple(segments(conn, fields["id"])))


def _many(conn: Connection, query: Select[Any]) -> list[Upload]:
    rows = conn.execute(query).all()
    found = of_uploads(conn, [row.id for row in rows])
    return [_upload(row, found.get(row.id, ())) for row in rows]


def _upload(row: Row[Any], its_segments: Iterable[SegmentFacts]) -> Upload:
    return Upload(**row._mapping, segments=tuple(its_segments))


_ITS_CASE = bindparam("its_case", type_=uploads.c.case_id.type)
_IS_UNFINISHED = and_(*(uploads.c.state != state for state in UploadState if state not in UNFINISHED))
"""By what it is not: told the states that it may have, SQLite goes through all unfinished uploads of the case for each name."""
_BELOW = Below(select(uploads.c.id).where(uploads.c.case_id == _ITS_CASE, _IS_UNFINISHED), uploads.c.name)
_DUE = Records(
    Upload,
    select(uploads)
    .where(
        uploads.c.state == UploadState.SETTLING,
        uploads.c.settles_at <= bindparam("its_now", type_=uploads.c.settles_at.type),
        uploads.c.holder.is_(None),
    )
    .order_by(uploads.c.settles_at, uploads.c.id)
    .limit(bindparam("its_limit")),
)
_BY_NAME = Records(
    Upload,
    _newest(
        select(uploads).where(
            uploads.c.case_id == _ITS_CASE,
            uploads.c.name == bindparam("its_name", type_=uploads.c.name.type),
            uploads.c.source == bindparam("its_source", type_=uploads.c.source.type),
            _no_part(),
            _IS_UNFINISHED,
        )
    ).limit(1),
)

"""Attachments: the finished files of a case, and which of them the client's directory shows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, null, select, update

from eft.db import cursors
from eft.db.paths import Below
from eft.db.rows import record
from eft.db.statements import Inserting, Records, Statement
from eft.db.tables import attachments, cases
from eft.domain.attachment import TRANSITIONS, Attachment, AttachmentState
from eft.domain.case import PurgeState
from eft.domain.errors import NotFound
from eft.domain.upload import Completeness, Source


def insert(conn: Connection, attachment: Attachment) -> None:
    _INSERT.run(conn, attachment)


def get(conn: Connection, attachment_id: str) -> Attachment | None:
    return _GET.one(conn, {"id": attachment_id})


def page(conn: Connection, case_id: str, cursor: str | None, limit: int) -> tuple[list[Attachment], str | None]:
    """At most `limit` of the case's attachments in every state, newest first, and the cursor of the next page or None.

    Raises Invalid for a bad cursor.
    """
    query = select(attachments).where(attachments.c.case_id == case_id)
    rows = conn.execute(cursors.page(query, attachments.c.received_at, attachments.c.id, cursor, limit)).all()
    kept = [record(Attachment, row) for row in rows[: cursors.bounded(limit)]]
    return kept, cursors.encode(kept[-1].received_at, kept[-1].id) if len(rows) > len(kept) else None


def dying(conn: Connection) -> list[str]:
    """The ids of attachments whose deletion has begun and was not seen to its end, outside a purge, which has its own way."""
    alive = select(cases.c.id).where(cases.c.purge == PurgeState.NONE)
    query = select(attachments.c.id).where(attachments.c.state == AttachmentState.TOMBSTONED, attachments.c.case_id.in_(alive))
    return [attachment_id for (attachment_id,) in conn.execute(query)]


def of_case(conn: Connection, case_id: str) -> list[Attachment]:
    """All of the case's attachments, in whatever state, newest first."""
    return [record(Attachment, row) for row in conn.execute(_newest(select(attachments).where(attachments.c.case_id == case_id)))]


def newest_by_name(conn: Connection, case_id: str, name: str, *, from_support: bool | None = None) -> Attachment | None:
    """The latest version of that name, hidden or gone as it may be. `from_support` looks only among what support sent (True)
    or what the client sent (False): the two stand in different directories."""
    return _NEWEST_BY_NAME[from_support].one(conn, {"its_case": case_id, "its_name": name})


def visible(conn: Connection, case_id: str) -> list[Attachment]:
    """What the client's directory shows: of each name the newest, where it is available and not hidden. Sorted by name. All of
    each but its manifest and its bytes, which of many small files are more than a listing may cost in memory."""
    query = select(*_FACTS).where(attachments.c.case_id == case_id, _shown())
    return sorted((record(Attachment, row) for row in conn.execute(query)), key=lambda attachment: attachment.name)


def is_any_below(conn: Connection, case_id: str, path: str, *, from_support: bool) -> bool:
    """Whether `visible` has a name below `path`."""
    return bool(_BELOW[from_support].rows(conn, case_id, path))


def rename(conn: Connection, attachment_id: str, name: str) -> int:
    """Gives it another name, and the next version number there, which is returned. Supersede what has the name first.

    Raises NotFound.
    """
    case_id = conn.execute(select(attachments.c.case_id).where(attachments.c.id == attachment_id)).scalar_one_or_none()
    if case_id is None:
        raise NotFound
    version = next_version(conn, case_id, name)
    _change(conn, attachment_id, name=name, version=version)
    return version


def next_version(conn: Connection, case_id: str, name: str) -> int:
    """The version that the next file of that name gets, from 1. Lock the case first where two may come at once."""
    row = _LAST_VERSION.row(conn, {"its_case": case_id, "its_name": name})
    return 1 + ((row and row[0]) or 0)


def hide(conn: Connection, attachment_id: str) -> None:
    """The client removed it from its directory; staff go on seeing it. Raises NotFound."""
    _change(conn, attachment_id, hidden=True)


def supersede(conn: Connection, case_id: str, name: str, *, from_support: bool | None = None) -> None:
    """Every file of that name gives way to one that is about to be inserted. `from_support` as for `newest_by_name`."""
    _SUPERSEDE[from_support].run(conn, {"its_case": case_id, "its_name": name})


def set_modified(conn: Connection, attachment_id: str, modified_at: datetime) -> None:
    """The time that the client's directory shows. Raises NotFound."""
    _change(conn, attachment_id, modified_at=modified_at)


def confirm(conn: Connection, attachment_id: str) -> None:
    """A digest file says the same as its content: it is complete by declaration. Raises NotFound."""
    _change(conn, attachment_id, completeness=Completeness.DECLARED, disputed_sha256=None)


def dispute(conn: Connection, attachment_id: str, sha256: str) -> None:
    """A digest file says that its content should have another digest, `sha256`. Raises NotFound."""
    _change(conn, attachment_id, disputed_sha256=sha256)


def digests_of_name(conn: Connection, case_id: str, name: str) -> set[str]:
    """Of all versions of that name that the client sent, in whatever state."""
    return {row[0] for row in _DIGESTS.rows(conn, {"its_case": case_id, "its_name": name})}


def set_state(conn: Connection, attachment_id: str, state: AttachmentState, at: datetime) -> None:
    """`tombstoned`, since `at`: manifest and inline bytes leave the row; or `purged`, which keeps the first `gone_at`.

    Repeatable. Raises NotFound; ValueError for a way that attachments do not go.
    """
    attachment = _first(conn, select(attachments).where(attachments.c.id == attachment_id).with_for_update())
    if attachment is None:
        raise NotFound
    if attachment.state is state:
        return
    if state not in TRANSITIONS[attachment.state]:
        raise ValueError(f"an attachment does not go from {attachment.state} to {state}")
    _change(conn, attachment_id, state=state, gone_at=attachment.gone_at or at, manifest=None, inline=None)


def _named(case_id: str | ColumnElement[str], name: str | ColumnElement[str], from_support: bool | None) -> ColumnElement[bool]:
    named = and_(attachments.c.case_id == case_id, attachments.c.name == name)
    if from_support is None:
        return named
    source = attachments.c.source
    return and_(named, source == Source.SUPPORT if from_support else source != Source.SUPPORT)


_ITS_CASE, _ITS_NAME = (
    bindparam("its_case", type_=attachments.c.case_id.type),
    bindparam("its_name", type_=attachments.c.name.type),
)
_FACTS = tuple(null().label(column.name) if column.name in ("manifest", "inline") else column for column in attachments.c)
_INSERT = Inserting(attachments)
_GET = Records(Attachment, select(attachments).where(attachments.c.id == bindparam("id")))
_LAST_VERSION = Statement(select(func.max(attachments.c.version)).where(_named(_ITS_CASE, _ITS_NAME, None)))
_SUPERSEDE = {
    from_support: Statement(
        update(attachments).where(_named(_ITS_CASE, _ITS_NAME, from_support), ~attachments.c.superseded).values(superseded=True)
    )
    for from_support in (None, True, False)
}


def _shown() -> ColumnElement[bool]:
    return and_(~attachments.c.superseded, ~attachments.c.hidden, attachments.c.state == AttachmentState.AVAILABLE)


def _newest(query: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
    return query.order_by(attachments.c.received_at.desc(), attachments.c.id.desc())


def _newest_version(query: Select[tuple[object, ...]]) -> Select[tuple[object, ...]]:
    return query.order_by(attachments.c.version.desc(), attachments.c.received_at.desc(), attachments.c.id.desc())


def _first(conn: Connection, query: Select[tuple[object, ...]]) -> Attachment | None:
    row = conn.execute(query.limit(1)).one_or_none()
    return None if row is None else record(Attachment, row)


def _change(conn: Connection, attachment_id: str, **columns: object) -> None:
    if conn.execute(update(attachments).where(attachments.c.id == attachment_id).values(columns)).rowcount != 1:
        raise NotFound


_NEWEST_BY_NAME = {
    from_support: Records(
        Attachment, _newest_version(select(attachments).where(_named(_ITS_CASE, _ITS_NAME, from_support))).limit(1)
    )
    for from_support in (None, True, False)
}
_DIGESTS = Statement(select(attachments.c.sha256).where(_named(_ITS_CASE, _ITS_NAME, False)))
_BELOW = {
    from_support: Below(
        select(attachments.c.id)
        .where(
            attachments.c.case_id == _ITS_CASE,
            _shown(),
            attachments.c.source == Source.SUPPORT if from_support else attachments.c.source != Source.SUPPORT,
        )
        .limit(1),
        attachments.c.name,
    )
    for from_support in (True, False)
}

"""The transactions of a purge: what the database says before, during and after it. Each runs under the case's row lock."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from eft.db import accounts, attachments, audit, cases, directories, launches, uploads
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.attachment import AttachmentState
from eft.domain.case import RETENTION, Case, CaseStatus, PurgeState
from eft.domain.errors import NotFound
from eft.domain.retention import CaseSystemAnswer, Verdict, decide
from eft.domain.upload import UploadState


def begin(
    conn: Connection, case_id: str, now: datetime, answer: CaseSystemAnswer | None, *, asked: bool, actor: Actor
) -> tuple[Verdict, Case]:
    """The decision (K3), and the case that it is about. Where it is DUE, the case is `purging` from here on: nobody reopens it,
    nothing of it can be read."""
    case = _lock(conn, case_id)
    verdict = decide(case, now, answer, asked=asked)
    if verdict is Verdict.DUE and case.purge is PurgeState.NONE:
        case = replace(case, purge=PurgeState.PURGING, purging_since=now)
        _entomb(conn, case, now)
        _record(conn, case_id, now, "purge.begin", actor, closed_at=case.closed_at.isoformat() if case.closed_at else "")
    return verdict, case


def bury(conn: Connection, case_id: str, destroyed_at: datetime, now: datetime, actor: Actor) -> None:
    """A case whose key is found destroyed is `purging`, whatever its row said: its data cannot be read any more. It is closed
    too, as it was when the key went; a restored row may be older than that."""
    case = _lock(conn, case_id)
    if case.purge is not PurgeState.NONE:
        return
    closed_at = case.closed_at or destroyed_at - RETENTION
    accounts.revoke_case(conn, case_id, now)
    buried = replace(case, status=CaseStatus.CLOSED, closed_at=closed_at, purge=PurgeState.PURGING, purging_since=destroyed_at)
    _entomb(conn, buried, now)
    _record(conn, case_id, now, "purge.restored", actor, key_destroyed_at=destroyed_at.isoformat())


def finish(conn: Connection, done: Case, now: datetime, actor: Actor) -> None:
    """The case is `purged`: the key of `done` is destroyed, its bytes were seen to be absent. Repeatable.

    Where somebody else was faster, and the case has a new life under a new uid, nothing is changed.
    """
    case_id = done.id
    case = _lock(conn, case_id)
    if case.purge is not PurgeState.PURGING or case.uid != done.uid:
        return
    gone = 0
    for attachment in attachments.of_case(conn, case_id):
        if attachment.state is AttachmentState.TOMBSTONED:
            attachments.set_state(conn, attachment.id, AttachmentState.PURGED, now)
            gone += 1
    for upload in uploads.of_case(conn, case_id):
        for facts in upload.segments:
            uploads.drop_segment(conn, upload.id, facts.epoch)
    for path in directories.of_case(conn, case_id):
        directories.remove(conn, case_id, path)
    launches.forget_case(conn, case_id)
    cases.save(conn, replace(case, purge=PurgeState.PURGED, purged_at=now, key_slot=None))
    _record(conn, case_id, now, "purge.done", actor, attachments=gone)


def withheld(conn: Connection, case_id: str, now: datetime, verdict: Verdict, actor: Actor) -> None:
    """A case whose time has come, and that is not purged."""
    _record(conn, case_id, now, "purge.withheld", actor, outcome=verdict.value)


def failed(conn: Connection, case_id: str, now: datetime, code: str, actor: Actor) -> None:
    """A step that did not succeed; it is tried again."""
    _record(conn, case_id, now, "purge.failed", actor, outcome=code)


def _entomb(conn: Connection, case: Case, now: datetime) -> None:
    cases.save(conn, case)
    for attachment in attachments.of_case(conn, case.id):
        if attachment.state is AttachmentState.AVAILABLE:
            attachments.set_state(conn, attachment.id, AttachmentState.TOMBSTONED, now)
    for upload in uploads.unfinished(conn, case.id):
        ended = replace(
            upload,
            state=UploadState.EXPIRED,
            ended="purged",
            epoch=upload.epoch + 1,
            holder=None,
            inline=None,
            frozen_at=None,
            settles_at=None,
        )
        uploads.save(conn, ended)


def _lock(conn: Connection, case_id: str) -> Case:
    case = cases.lock(conn, case_id)
    if case is None:
        raise NotFound
    return case


def _record(
    conn: Connection, case_id: str, now: datetime, action: str, actor: Actor, *, outcome: str = "done", **detail: str | int
) -> None:
    audit.record(conn, at=now, actor=actor, action=action, case_id=case_id, subject=case_id, outcome=outcome, detail=detail)

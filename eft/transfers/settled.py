"""Publishes what SFTP clients closed, once it has rested: many small files together, as a directory of them is put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from eft.db import cases, uploads
from eft.db.engine import Connection
from eft.domain.actor import SYSTEM
from eft.domain.attachment import Attachment
from eft.domain.case import Case, PurgeState
from eft.domain.upload import Completeness, Upload, UploadState
from eft.transfers.content import digest_of
from eft.transfers.publication import Publication
from eft.transfers.resources import Resources
from eft.transfers.sidecars import Beside, Sidecars, Statement


@dataclass(frozen=True, slots=True)
class _Due:
    """One that is to be published, and what digest files say: `declared` of it, `statement` it of another."""

    upload: Upload
    sha256: str
    declared: str | None
    statement: Statement | None


class Settled:
    """Ends the rest of settling uploads."""

    def __init__(self, resources: Resources, publication: Publication) -> None:
        self._r = resources
        self._publication = publication
        self._sidecars = Sidecars(resources)

    async def publish_one(self, upload_id: str) -> None:
        """`publish`, for one of which only the id is known."""
        upload = await self._r.database.read(lambda conn: uploads.get(conn, upload_id))
        if upload is not None:
            await self.publish([upload])

    async def publish(self, settled: Sequence[Upload]) -> None:
        """Publishes those whose time has come, in one transaction: all, or none where one of them cannot be read or written. One
        that its client has opened again, or that somebody else published, is left as it is. Raises StorageFailed, Tampered."""
        looked = await self._r.database.read(lambda conn: self._look(conn, settled))
        due = [await self._due(upload, case, beside) for upload, case, beside in looked]
        now = self._r.clock.now()
        for attachment in await self._r.database.write(lambda conn: self._publish(conn, due, now)):
            self._publication.announce(attachment)

    def _look(self, conn: Connection, settled: Sequence[Upload]) -> list[tuple[Upload, Case, Beside | None]]:
        found = []
        known: dict[str, Case | None] = {}
        to_look_beside = self._sidecars.to_look_beside(conn, settled)
        for upload in settled:
            if upload.case_id not in known:
                known[upload.case_id] = cases.get(conn, upload.case_id)
            case = known[upload.case_id]
            if upload.state is UploadState.SETTLING and case is not None and case.purge is PurgeState.NONE:
                is_asked = (upload.case_id, upload.name) in to_look_beside
                found.append((upload, case, self._sidecars.look_beside(conn, upload) if is_asked else None))
        return found

    async def _due(self, upload: Upload, case: Case, beside: Beside | None) -> _Due:
        sha256 = upload.sha256 or await digest_of(self._r, case, upload)
        declared = None if beside is None else await self._sidecars.about(replace(upload, sha256=sha256), beside)
        return _Due(upload, sha256, declared, await self._sidecars.said_by(upload))

    def _publish(self, conn: Connection, due: list[_Due], now: datetime) -> list[Attachment]:
        published = []
        locked: dict[str, Case | None] = {}
        for each in sorted(due, key=lambda each: each.upload.case_id):  # so that two workers do not wait for one another
            case_id = each.upload.case_id
            if case_id not in locked:
                locked[case_id] = cases.lock(conn, case_id)
            attachment = self._publish_row(conn, locked[case_id], each, now)
            if attachment is not None:
                published.append(attachment)
        return published

    def _publish_row(self, conn: Connection, case: Case | None, due: _Due, now: datetime) -> Attachment | None:
        row = uploads.lock(conn, due.upload.id)
        if case is None or row is None or case.purge is not PurgeState.NONE or row.epoch != due.upload.epoch:
            return None
        if row.state is not UploadState.SETTLING or row.settles_at is None or row.settles_at > now or row.holder is not None:
            return None
        if due.declared not in (None, due.sha256):
            refused = replace(row, state=UploadState.REFUSED, sha256=due.sha256, declared_sha256=due.declared, settles_at=None)
            uploads.save(conn, refused)
            self._publication.record_refusal(conn, SYSTEM, refused, now)
            return None
        if due.statement is not None:
            self._sidecars.compare(conn, case.id, due.statement, SYSTEM)
        ended = replace(row, state=UploadState.PUBLISHED, sha256=due.sha256, settles_at=None)
        uploads.save(conn, replace(ended, inline=None))
        completeness = Completeness.CLOSED if due.declared is None else Completeness.DECLARED
        return self._publication.publish_row(conn, case, ended, completeness, SYSTEM, now)

"""Final uploads (tus 1.0.0 §concatenation): put together from parts by reference, once each part is whole.

No byte moves. One transaction gives the final upload the segments of its parts, each shifted to its place, and makes it `sealed`:
whole and durable, waiting for its digest, which is read in order and published by the same steps as any sealed upload's. Before
that transaction nothing has happened, after it every start goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
import hashlib

from eft.db import attachments, cases, uploads
from eft.db.engine import Connection
from eft.domain.actor import SYSTEM
from eft.domain.attachment import AttachmentState
from eft.domain.case import Case
from eft.domain.errors import DigestMismatch, Invalid, NotFound
from eft.domain.upload import SegmentFacts, Upload, UploadState
from eft.transfers.cover import cover
from eft.transfers.holders import Holders, check_ended
from eft.transfers.intent import Intent
from eft.transfers.resources import Resources, check_takes_data, ensure_case_key, lock_open_case


class Concatenation:
    """See the module."""

    def __init__(self, resources: Resources, holders: Holders) -> None:
        self._r = resources
        self._holders = holders

    async def create(self, case: Case, upload: Upload, intent: Intent, part_ids: Sequence[str]) -> Upload:
        """`upload` as the final upload of these parts, or the one that was made of them before, unless that is gone. Raises
        NotFound, Invalid, DigestMismatch, UploadExpired, UploadTerminated, CaseClosed, CasePurging."""
        named = "\0".join((case.uid, upload.metadata, upload.declared_sha256 or "", *part_ids))

        def work(conn: Connection) -> Upload:
            lock_open_case(conn, case.id)
            final_id = _named(named, len(upload.id))
            while (before := uploads.get(conn, final_id)) is not None:
                if before.state is UploadState.REFUSED:
                    raise DigestMismatch(before.declared_sha256 or "", before.sha256 or "")
                if not _is_gone(conn, before):
                    return before
                final_id = _named(final_id, len(upload.id))
            found = uploads.some(conn, part_ids)
            for part_id in part_ids:
                part = found.get(part_id)
                if part is None or part.case_id != case.id:
                    raise NotFound
                check_ended(part, case)
                if not part.is_part:
                    raise Invalid(
                        "Upload-Concat names an upload that is no part.", "Create the parts with Upload-Concat: partial."
                    )
            made = replace(upload, id=final_id, parts=" ".join(part_ids), length=None)
            uploads.insert(conn, made)
            self._r.record(
                conn, intent.actor, "upload.create", case.id, made.id, at=made.created_at, source=made.source, parts=len(part_ids)
            )
            return made

        return await self._r.database.write(work)

    async def length(self, final: Upload) -> int | None:
        """Bytes of the whole, where each part has said its own."""
        return final.length if final.length is not None else (await self.so_far(final)).length

    async def so_far(self, final: Upload) -> Upload:
        """One that waits: its offset is what its parts have, its length what they will have, where each of them has said it."""
        part_ids = final.parts.split()
        found = await self._r.database.read(lambda conn: uploads.some(conn, part_ids))
        parts = [found.get(part_id) for part_id in part_ids]
        holds = [self._holders.hold_of(part_id) for part_id in part_ids]
        offset = sum(
            hold.safe if hold is not None else part.offset for hold, part in zip(holds, parts, strict=True) if part is not None
        )
        lengths = [part.length for part in parts if part is not None and part.length is not None]
        return replace(final, offset=offset, length=sum(lengths) if len(lengths) == len(parts) else None)

    async def assemble(self, upload_id: str) -> None:
        """Puts the final upload together if each of its parts is whole, and publishes it; waits for that as long as somebody
        waits for an answer. One whose parts are gone is over. Raises DigestMismatch, Tampered, StorageFailed."""
        await self._close_whole_parts(upload_id)
        state = await self._r.database.write(lambda conn: self._join(conn, upload_id))
        if state is UploadState.SEALED:
            reading = self._holders.publication.read_back(upload_id)
            done, _ = await asyncio.wait({reading}, timeout=self._r.settings.digest_wait_s)
            if done:
                reading.result()

    async def _close_whole_parts(self, upload_id: str) -> None:
        """A part whose last byte is durable may still be held here for more, though none can come."""
        final = await self._r.database.read(lambda conn: uploads.get(conn, upload_id))
        for part_id in final.parts.split() if final is not None else ():
            hold = self._holders.hold_of(part_id)
            if hold is not None and hold.durable == hold.upload.length:
                await self._holders.let_go(part_id)

    def _join(self, conn: Connection, upload_id: str) -> UploadState | None:
        """The state of the upload afterwards; None where it cannot change now."""
        seen = uploads.get(conn, upload_id)
        case = cases.lock(conn, seen.case_id) if seen is not None else None
        row = uploads.lock(conn, upload_id)
        if case is None or row is None or row.state is not UploadState.RECEIVING or not row.parts:
            return row.state if row is not None else None
        check_takes_data(case)
        found = uploads.some(conn, row.parts.split())
        parts = [found.get(part_id) for part_id in row.parts.split()]
        now = self._r.clock.now()
        if any(part is None or part.state is UploadState.EXPIRED for part in parts):
            uploads.save(conn, replace(row, state=UploadState.EXPIRED, ended="terminated", epoch=row.epoch + 1))
            self._r.record(conn, SYSTEM, "upload.expire", row.case_id, row.id, at=now, why="parts-gone")
            return UploadState.EXPIRED
        whole = [part for part in parts if part is not None and _is_whole(part)]
        if len(whole) < len(parts):
            return None
        ensure_case_key(conn, self._r.keys, case)
        segments, size = _joined(row.id, whole)
        for facts in segments:
            uploads.add_segment(conn, facts)
        sealed = replace(
            row,
            state=UploadState.SEALED,
            offset=size,
            length=size,
            epoch=max(len(segments), 1),
            holder=self._r.bus.worker,
            expires_at=max(row.expires_at, self._holders.expiry_after(now)),
        )
        uploads.save(conn, sealed)
        return UploadState.SEALED


def _named(what: str, digits: int) -> str:
    """The id of the final upload that is made of that: of its parts, or, where that one is gone, of its id."""
    return hashlib.sha256(what.encode()).hexdigest()[:digits]


def _is_gone(conn: Connection, final: Upload) -> bool:
    """Whether it expired or was ended; or, once finished, was taken away by its sender or deleted."""
    if final.state is not UploadState.PUBLISHED:
        return final.state is UploadState.EXPIRED
    made = attachments.get(conn, final.id)
    return made is None or made.hidden or made.state is not AttachmentState.AVAILABLE


def _is_whole(part: Upload) -> bool:
    """Whether all of it is durable, and every segment closed, so that it stays as it is."""
    return part.length is not None and part.offset == part.length and all(facts.end is not None for facts in part.segments)


def _joined(upload_id: str, parts: Sequence[Upload]) -> tuple[list[SegmentFacts], int]:
    """The segments of all parts, one after the other, and where they end."""
    joined: list[SegmentFacts] = []
    reached = 0
    for part in parts:
        for facts in cover(part.segments):
            assert facts.end is not None
            joined.append(
                replace(
                    facts,
                    upload_id=upload_id,
                    epoch=len(joined) + 1,
                    start=facts.start + reached,
                    end=facts.end + reached,
                    shift=facts.shift + reached,
                )
            )
        reached += part.offset
    return joined, reached

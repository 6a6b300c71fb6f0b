"""Reading back what was stored: attachments, and what an unfinished upload has so far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
import hashlib

from eft.db import attachments, cases
from eft.db.engine import Connection
from eft.domain.actor import Actor
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case
from eft.domain.errors import KeyUnavailable, NotFound, Purged, Tampered
from eft.domain.upload import SegmentFacts, Upload
from eft.storage.manifest import open_manifest
from eft.storage.ports import SegmentId, SegmentReader
from eft.storage.seal import open_inline
from eft.storage.segment_format import BLOCK
from eft.transfers.cover import cover
from eft.transfers.intent import BATCH
from eft.transfers.resources import Resources

_STEP = 16 * BLOCK
"""Bytes that are read at once, up to where a block ends: one that is cut would be opened twice."""


class Content:
    """The plaintext of one file, `[0, size)`. One read at a time; closed by its user."""

    def __init__(
        self,
        resources: Resources,
        case_uid: str,
        key: bytes,
        segments: Sequence[SegmentFacts],
        size: int,
        *,
        inline: bytes | None = None,
    ) -> None:
        self.size = size
        self._r = resources
        self._case_uid = case_uid
        self._key = key
        self._segments = segments
        self._inline = inline
        self.attachment: Attachment | None = None
        """Whose bytes these are, where they are a finished file's."""
        self._open: tuple[SegmentFacts, SegmentReader] | None = None
        self._lock = asyncio.Lock()
        self._closed = False

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)`, fewer at the end of the file. Raises Tampered, StorageFailed."""
        stop = min(stop, self.size)
        if start >= stop:
            return b""
        if self._inline is not None:
            return self._inline[start:stop]
        async with self._lock:
            try:
                return await self._r.run(self._read, start, stop)
            finally:
                if self._closed:
                    self._let_go()

    def close(self) -> None:
        """Lets go of the file; after the read that runs, where one does."""
        self._closed = True
        if not self._lock.locked():
            self._let_go()

    async def note_read(self, actor: Actor, served: int, whole: bool) -> None:
        """Into the audit log, where it is an attachment: who read it, `served` bytes, whether that was all. Once closed too."""
        attachment = self.attachment
        if attachment is None:
            return
        at, told = self._r.clock.now(), {"served": served, "whole": whole}

        def work(conn: Connection) -> None:
            self._r.record(conn, actor, "attachment.download", attachment.case_id, attachment.id, at=at, **told)

        await self._r.database.write(work)

    def _let_go(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            opened[1].close()

    def _read(self, start: int, stop: int) -> bytes:
        pieces: list[bytes] = []
        position = start
        while position < stop:
            facts, reader = self._reader_at(position)
            end = stop if facts.end is None else min(stop, facts.end)
            pieces.append(reader.read(position - facts.shift, end - facts.shift))
            position = end
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _reader_at(self, position: int) -> tuple[SegmentFacts, SegmentReader]:
        if self._open is not None and _covers(self._open[0], position):
            return self._open
        if self._open is not None:
            self._open[1].close()
            self._open = None
        for facts in self._segments:
            if _covers(facts, position):
                segment = SegmentId(self._case_uid, facts.file_upload_id, facts.file_epoch)
                end = None if facts.end is None else facts.end - facts.shift
                self._open = (facts, self._r.segments.open(segment, self._key, end=end))
                return self._open
        raise Tampered


def _covers(facts: SegmentFacts, position: int) -> bool:
    return facts.start <= position and (facts.end is None or position < facts.end)


async def _case_and_key(resources: Resources, case_id: str) -> tuple[Case, bytes]:
    case = await resources.database.read(lambda conn: cases.get(conn, case_id))
    if case is None:
        raise NotFound
    if case.key_slot is None:
        raise KeyUnavailable
    return case, await resources.run(resources.keys.case_key, case.key_slot, case.uid)


async def open_attachment(resources: Resources, attachment: Attachment) -> Content:
    """Its content, after the manifest was seen to say what the row says. Raises Purged, Tampered, KeyUnavailable."""
    content = await _content_of(resources, attachment)
    content.attachment = attachment
    return content


async def _content_of(resources: Resources, attachment: Attachment) -> Content:
    if attachment.state is not AttachmentState.AVAILABLE:
        raise Purged(attachment.gone_at)
    case, key = await _case_and_key(resources, attachment.case_id)
    if attachment.inline is not None:
        plain = open_inline(key, resources.region, case.uid, attachment.id, attachment.inline)
        if len(plain) != attachment.size:
            raise Tampered
        return Content(resources, case.uid, key, (), attachment.size, inline=plain)
    if attachment.manifest is None:
        raise Tampered
    manifest = open_manifest(key, resources.region, case.uid, attachment.id, attachment.manifest)
    if manifest.size != attachment.size or manifest.sha256 != attachment.sha256:
        raise Tampered
    segments = tuple(
        SegmentFacts(
            upload_id=attachment.id,
            epoch=piece.epoch,
            start=piece.start,
            end=piece.end,
            file_upload_id=piece.upload,
            file_epoch=piece.epoch,
            shift=piece.shift,
        )
        for piece in manifest.segments
    )
    return Content(resources, case.uid, key, segments, attachment.size)


async def open_upload(resources: Resources, upload: Upload) -> Content:
    """What an unfinished upload has so far: `[0, upload.offset)`. Raises KeyUnavailable, Tampered."""
    if upload.inline is None and upload.offset == 0:
        return Content(resources, "", b"", (), 0)
    case, key = await _case_and_key(resources, upload.case_id)
    plain, pieces = await content_of_row(resources, upload), cover(upload.segments)
    # Once it was opened again and written, segments have it all, and what was written over it.
    if plain is not None and (not pieces or (pieces[-1].end or 0) < len(plain)):
        return Content(resources, case.uid, key, (), len(plain), inline=plain)
    return Content(resources, case.uid, key, pieces, upload.offset)


async def content_of_row(resources: Resources, upload: Upload) -> bytes | None:
    """The small content that is sealed in the upload's row, None where there is none. Raises KeyUnavailable, Tampered."""
    if upload.inline is None:
        return None
    case, key = await _case_and_key(resources, upload.case_id)
    return open_inline(key, resources.region, case.uid, upload.id, upload.inline)


async def read_attachment(resources: Resources, attachment: Attachment, start: int, stop: int) -> AsyncIterator[bytes]:
    """`[start, stop)` in pieces of about 1 MiB. Looks every few seconds whether the attachment may still be read: a purge
    ends a download that runs. Raises Purged, Tampered, StorageFailed."""
    content = await open_attachment(resources, attachment)
    looked = resources.clock.monotonic()
    try:
        position = start
        while position < stop:
            if resources.clock.monotonic() - looked >= resources.settings.revalidate_s:
                current = await resources.database.read(lambda conn: attachments.get(conn, attachment.id))
                if current is None or current.state is not AttachmentState.AVAILABLE:
                    raise Purged(current.gone_at if current else None)
                looked = resources.clock.monotonic()
            piece = await content.read(position, min(position + _STEP - position % _STEP, stop))
            if not piece:
                raise Tampered
            position += len(piece)
            yield piece
    finally:
        content.close()


class Begun:
    """An iterator whose first piece was taken already, so that what cannot be read is refused, and not cut short."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first = first
        self._rest = rest

    def __aiter__(self) -> Begun:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, b""
        return first or await anext(self._rest)

    async def aclose(self) -> None:
        """Lets go of the file."""
        if isinstance(self._rest, AsyncGenerator):
            await self._rest.aclose()


async def begun(pieces: AsyncIterator[bytes]) -> Begun:
    """Raises what reading raises."""
    return Begun(await anext(pieces, b""), pieces)


async def digest_of(resources: Resources, case: Case, upload: Upload) -> str:
    """The SHA-256 over an upload's stored bytes, read back: for what was not hashed in order while it came."""
    content = await open_upload(resources, upload)
    try:
        digest = hashlib.sha256()
        position = 0
        while position < upload.offset:
            piece = await content.read(position, position + BATCH)
            if not piece:
                raise Tampered
            await resources.run(digest.update, piece)
            position += len(piece)
        return digest.hexdigest()
    finally:
        content.close()

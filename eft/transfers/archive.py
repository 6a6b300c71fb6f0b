"""All files of a case as one ZIP, made while it is sent: nothing is kept but a line for each file.

::

    receipts/NAME.receipt     for each file
    NAME                      each file
    SHA256SUMS                for `sha256sum -c`
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final
import zlib

from eft.domain.actor import Actor
from eft.domain.archive_names import ArchiveNames
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case, PurgeState
from eft.domain.errors import Conflict, Purged
from eft.transfers.content import Begun
from eft.transfers.service import Transfers
from eft.transfers.zip_format import Entry, Layout, end, lay_out

MEDIA_TYPE: Final = "application/zip"
SUMS: Final = "SHA256SUMS"

_PAGE: Final = 1000
_TOGETHER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Receipts:
    """How receipts get in: how many bytes the one of an attachment has, and the receipt."""

    length: Callable[[Attachment], int]
    of: Callable[[Attachment], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class _Planned:
    attachment_id: str
    sha256: bytes
    file: Entry
    receipt: Entry | None


class Archive:
    """A planned archive of `length` bytes. Its pieces are read once; what fails then, a purge in the middle for one, must cut the
    answer: without its end nothing takes it for an archive."""

    def __init__(
        self, transfers: Transfers, planned: list[_Planned], actor: Actor, receipts: Receipts | None, now: datetime
    ) -> None:
        self._transfers = transfers
        self._planned = planned
        self._actor = actor
        self._receipts = receipts
        sums = sum(len(_line(each)) for each in planned)
        self._sums = Entry(SUMS.encode(), sums, now)
        with_receipts = [each.receipt for each in planned if each.receipt is not None]
        self._entries = [*with_receipts, *(each.file for each in planned), self._sums]
        self._layout: Layout = lay_out(self._entries)
        self.length = self._layout.length

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Its bytes. Raises Purged, Tampered, StorageFailed, Conflict."""
        small = bytearray()
        async with aclosing(self._all()) as every:
            async for piece in every:
                if len(piece) < _TOGETHER:
                    small += piece
                    if len(small) < _TOGETHER:
                        continue
                    piece = b""
                if small:
                    yield bytes(small)
                    small.clear()
                if piece:
                    yield piece
        if small:
            yield bytes(small)

    async def _all(self) -> AsyncGenerator[bytes, None]:
        for each in self._planned:
            if each.receipt is not None and self._receipts is not None:
                receipt = await self._receipts.of(await self._transfers.attachment(each.attachment_id))
                yield _whole(each.receipt, receipt.encode("ascii"))
        for each in self._planned:
            yield each.file.head()
            async with aclosing(await self._given(each)) as content:
                async for piece in content:
                    each.file.crc = await _crc(piece, each.file.crc)
                    yield piece
            yield each.file.tail()
        yield _whole(self._sums, b"".join(_line(each) for each in self._planned))
        for entry in self._entries:
            yield entry.listed()
        yield end(self._entries, self._layout)

    async def _given(self, planned: _Planned) -> Begun:
        """The file's bytes. Raises Purged where it has gone since it was planned."""
        attachment = await self._transfers.attachment(planned.attachment_id)
        if attachment.state is not AttachmentState.AVAILABLE:
            raise Purged(attachment.gone_at)
        return await self._transfers.give_out(attachment, 0, attachment.size, actor=self._actor, archive="zip")


async def plan_archive(transfers: Transfers, case: Case, actor: Actor, receipts: Receipts | None = None) -> Archive:
    """The archive of what the case has now, newest first. Raises NotFound; Purged for a case whose purge has begun."""
    if case.purge is not PurgeState.NONE:
        raise Purged(case.purged_at)
    found = [each async for each in _available(transfers, case.id, receipts)]
    names = ArchiveNames((named for name, *_ in found for named in (name, _receipt_name(name))), taken=SUMS)
    files = [names.add(name, version) for name, version, *_ in found]
    planned = []
    for (_, _, attachment_id, size, digest, modified, receipt_size), name in zip(found, files, strict=True):
        receipt = None
        if receipt_size is not None:
            receipt = Entry(names.add(_receipt_name(name), 1).encode(), receipt_size, modified)
        planned.append(_Planned(attachment_id, digest, Entry(name.encode(), size, modified), receipt))
    return Archive(transfers, planned, actor, receipts, transfers.now())


_Found = tuple[str, int, str, int, bytes, datetime, int | None]


async def _available(transfers: Transfers, case_id: str, receipts: Receipts | None) -> AsyncIterator[_Found]:
    cursor: str | None = None
    while True:
        page, cursor = await transfers.attachments(case_id, cursor, _PAGE)
        for each in page:
            if each.state is AttachmentState.AVAILABLE:
                receipt_size = None if receipts is None else receipts.length(each)
                digest, modified = bytes.fromhex(each.sha256), each.modified_at or each.received_at
                yield each.name, each.version, each.id, each.size, digest, modified, receipt_size
        if cursor is None:
            return


def _receipt_name(name: str) -> str:
    return f"receipts/{name}.receipt"


async def _crc(piece: bytes, crc: int) -> int:
    """In a thread where that is worth it: zlib lets go of the GIL."""
    return zlib.crc32(piece, crc) if len(piece) < _TOGETHER else await asyncio.to_thread(zlib.crc32, piece, crc)


def _whole(entry: Entry, content: bytes) -> bytes:
    """A small file with all around it. Raises Conflict where it is not as long as planned: something changed meanwhile."""
    if len(content) != entry.size:
        raise Conflict("A file of the case changed while the archive was made.", "Ask for the archive again.")
    entry.crc = zlib.crc32(content)
    return entry.head() + content + entry.tail()


def _line(planned: _Planned) -> bytes:
    return planned.sha256.hex().encode() + b"  " + planned.file.name + b"\n"

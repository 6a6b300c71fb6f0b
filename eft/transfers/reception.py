"""One request's or one open file's right to add to an upload. It ends when it is released, or when another takes over."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from eft.domain.attachment import Attachment
from eft.domain.digests import PartCheck
from eft.domain.errors import DigestMismatch, EftError, WriterDisplaced
from eft.domain.upload import Completeness
from eft.transfers.hold import Hold
from eft.transfers.intent import Allowance
from eft.transfers.shown_path import shown_path
from eft.transfers.uncancelled import uncancelled

if TYPE_CHECKING:
    from eft.transfers.holders import Holders


class Reception:
    """Adds bytes to one upload, in order. `displaced` is set when another writer has taken over: stop, and say so.

    Every method raises WriterDisplaced from then on, except `release`. What was begun is done even where its task is cancelled.
    """

    def __init__(self, holders: Holders, hold: Hold) -> None:
        self._holders = holders
        self._hold = hold
        self.displaced = asyncio.Event()

    @property
    def upload_id(self) -> str:
        return self._hold.upload.id

    @property
    def path(self) -> str:
        """Where the file stands in its case's directory by now."""
        return shown_path(self._hold.upload)

    @property
    def offset(self) -> int:
        """Bytes offered so far, from the start of the file."""
        return self._hold.offset

    @property
    def size(self) -> int:
        """Bytes of the file so far. More than `offset` while earlier bytes are written anew."""
        return self._hold.size

    @property
    def durable(self) -> int:
        """Bytes that may be acknowledged."""
        return self._hold.safe

    @property
    def length(self) -> int | None:
        """Bytes of the whole file, where that is known."""
        return self._hold.upload.length

    @property
    def expires_at(self) -> datetime:
        """When the upload is given up if nothing more comes."""
        return self._holders.expiry_after(self._hold.durable_at)

    @property
    def is_part(self) -> bool:
        """Whether the upload is a part of another, which is never published by itself."""
        return self._hold.upload.is_part

    @property
    def full(self) -> bool:
        """Whether to wait for `ready` before offering more."""
        return self._hold.full

    def expect(self, check: PartCheck | None) -> None:
        """A part begins. With a check nothing of it is committed before it was seen to hold."""
        self._check()
        self._hold.expect(check)

    def allow(self, allowance: Allowance | None) -> None:
        """From now on `offer` raises CaseFull past it."""
        self._hold.allowance = allowance

    def offer(self, data: bytes | memoryview) -> None:
        """Takes `data` without waiting. Raises what went wrong since, LengthInvalid past the length, CaseFull past the quota."""
        self._check()
        self._hold.offer(data)

    async def ready(self) -> None:
        self._check()
        await self._hold.ready()

    async def rewrite(self, offset: int, data: bytes | memoryview) -> None:
        """Takes `data` at `offset`, at most `size`; what is offered next follows it. What came before is durable on return, and
        the digest has to be read back when the file is finished. Raises NotSequential where that was done too often, and what
        `commit` raises."""
        self._check()
        if not self._hold.patch(offset, data):
            self._hold = await uncancelled(self._holders.seek(self._hold, offset))
            self._check()
            self._hold.offer(data)

    async def commit(self) -> int:
        """All that was offered is on stable storage and may be acknowledged. Returns the durable offset.

        Raises ChecksumMismatch (the part is gone, the offset as before), WriterDisplaced, CaseClosed, UploadExpired,
        StorageFull, StorageFailed.
        """
        self._check()
        return await uncancelled(self._hold.commit(self._check))

    async def kept(self, end: int) -> bool:
        """Once displaced: whether the bytes up to `end`, all offered here and without a check, became durable all the same, so
        that they may be acknowledged. Waits until whoever took over has committed them."""
        return await uncancelled(self._holders.kept(self._hold, end))

    async def rollback(self) -> int:
        """Forgets what is not durable. Returns the durable offset."""
        self._check()
        return await uncancelled(self._hold.rollback())

    async def finish(self, completeness: Completeness) -> Attachment | None:
        """The file is whole: durable, and published with its digest; None where the digest is still being read back, and for a
        part of another upload, which waits for that.

        Raises DigestMismatch, and what `commit` raises."""
        self._check()
        return await uncancelled(self._finish(completeness))

    async def _finish(self, completeness: Completeness) -> Attachment | None:
        if self.is_part:
            await self._hold.store_row()
            await self._hold.commit(self._check)
            await self._holders.drop(self._hold)
            return None
        try:
            attachment = await self._holders.publication.finish(self._hold, completeness, self._check)
        except DigestMismatch:
            await self._holders.drop(self._hold)
            raise
        await self._holders.drop(self._hold)
        return attachment

    async def settle(self, seconds: float | None) -> None:
        """The client closed the file: durable on return, published when it has rested for `seconds`; None: when it is renamed.

        A finished file to which nothing was added stays as it is. One whose length was announced (over HTTPS) needs nobody's
        word: it is published if it has come to its end, and goes on waiting for the rest if not. Raises DigestMismatch, and
        what `commit` raises."""
        self._check()
        await uncancelled(self._settle(seconds))

    async def _settle(self, seconds: float | None) -> None:
        if self.length is not None:
            await (self._finish(Completeness.DECLARED) if self.offset == self.length else self._pause())
            return
        if self._hold.is_stored or self._hold.offset == 0 or not self._hold.is_untouched:
            await self._holders.publication.settle(self._hold, seconds, self._check)
        await self._holders.drop(self._hold)

    async def _pause(self) -> None:
        await self._hold.commit(self._check)
        await self._holders.rest(self._hold)

    async def release(self) -> None:
        """No more will come from here. What came is made durable, unless it is part of a part with a checksum. Never raises."""
        if self._holders.is_current(self._hold, self):
            await uncancelled(self._release())

    async def _release(self) -> None:
        try:
            await self._holders.rest(self._hold)
        except EftError:
            await self._holders.drop(self._hold)

    def _check(self) -> None:
        if self.displaced.is_set():
            raise WriterDisplaced

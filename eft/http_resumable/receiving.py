"""One request's body is taken in at an offset: what every protocol of `/files` comes down to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from eft.accounts.tokens import UploadPrincipal
from eft.domain.actor import Actor
from eft.domain.digests import PartCheck
from eft.domain.errors import EftError, LengthExceeded, LengthInvalid, OffsetMismatch, TooLarge, WriterDisplaced
from eft.domain.upload import Completeness, Upload
from eft.http_resumable.part_checks import Unannounced, check_of, check_trailers
from eft.http_resumable.request import Request, RequestBody
from eft.transfers import Intent, Reception, Transfers


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and who makes it."""

    request: Request
    principal: UploadPrincipal

    @property
    def case_id(self) -> str:
        return self.principal.case_id

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.name, self.request.peer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a request says of the body that it brings. `length`: bytes of the whole file, where this request tells it, and
    `sha256` its digest in hex. `ends`:
    whether the file ends with this body; None: it does where its length is reached. `progress` is told what has become durable
    while the body still comes."""

    length: int | None = None
    sha256: str | None = None
    ends: bool | None = None
    progress: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of it: the durable offset, and the digest in hex of a file that was finished and published."""

    upload_id: str
    offset: int
    finished: bool
    expires_at: datetime
    sha256: str | None = None


class Receiving:
    """`max_size`: bytes of the largest upload, None for no limit."""

    def __init__(self, transfers: Transfers, max_size: int | None) -> None:
        self._transfers = transfers
        self.max_size = max_size

    def check_size(self, length: int | None) -> None:
        """Raises TooLarge."""
        if self.max_size is not None and (length or 0) > self.max_size:
            raise TooLarge(self.max_size, "upload")

    async def register(self, call: Call, intent: Intent) -> Upload:
        """A new upload without a byte. Raises what `Transfers.register` raises."""
        self.check_size(intent.length)
        return await self._transfers.register(call.case_id, intent)

    async def create(self, call: Call, intent: Intent, part: Part) -> Received:
        """A new upload that begins with the request's body. Raises what `append` raises; then nothing was begun, unless
        part of the body became durable."""
        self.check_size(intent.length)
        check = check_of(call.request)
        _check_fits(call.request, 0, intent.length)
        reception = await self._transfers.begin(call.case_id, intent)
        try:
            await self._receive(call.request, reception, check, part)
            if reception.offset or intent.length == 0 or part.ends:
                return await self._end_part(reception, part)
        except Exception:
            if check and not reception.durable:
                await self._leave_nothing(call, reception)
            raise
        finally:
            await reception.release()
        # Nothing came, so nothing was begun: the upload is only made known.
        upload = await self._transfers.register(call.case_id, intent)
        return Received(upload_id=upload.id, offset=0, finished=False, expires_at=upload.expires_at)

    async def _leave_nothing(self, call: Call, reception: Reception) -> None:
        """Of a new upload whose first part was dropped its sender has not heard."""
        await reception.release()
        with suppress(EftError):
            await self._transfers.terminate(reception.upload_id, case_id=call.case_id, actor=call.actor)

    async def append(self, call: Call, upload_id: str, offset: int, part: Part) -> Received:
        """The body is the file's bytes from `offset` on.

        Raises OffsetMismatch, LengthInvalid, TooLarge, ChecksumUnknown, ChecksumMismatch, Refusal, Disconnected, WriterDisplaced
        and what taking an upload raises. What came before is kept, except of a part with a checksum.
        """
        self.check_size(part.length)
        check = check_of(call.request)
        reception = await self._transfers.take(upload_id, case_id=call.case_id, at=offset)
        try:
            if offset != reception.offset:
                raise OffsetMismatch(reception.offset)
            length = part.length if reception.length is None else reception.length
            if length is not None and length >= offset:  # one that is below what is there is no length at all: told next
                _check_fits(call.request, offset, length)
            if part.length is not None:
                await self._transfers.set_length(upload_id, part.length, case_id=call.case_id)
            if part.sha256 is not None:
                await self._transfers.declare_sha256(upload_id, part.sha256, case_id=call.case_id)
            await self._receive(call.request, reception, check, part)
            try:
                return await self._end_part(reception, part)
            except WriterDisplaced:
                return await self._end_displaced(call.request, reception, check, part, offset)
        finally:
            await reception.release()

    async def _end_displaced(self, request: Request, reception: Reception, check: PartCheck, part: Part, offset: int) -> Received:
        """The answer to a part of which all came before another writer took over: of two writers one is told that it won.
        Raises WriterDisplaced where it was not kept, or where the file ends with it, which whoever asks next publishes."""
        end = offset + (request.content_length or 0)
        if check or request.content_length is None or part.ends or end == reception.length or not await reception.kept(end):
            raise WriterDisplaced
        return Received(upload_id=reception.upload_id, offset=end, finished=False, expires_at=reception.expires_at)

    async def _receive(self, request: Request, reception: Reception, check: PartCheck, part: Part) -> None:
        """Takes the body in as it arrives. Raises what stops it: the peer going, being displaced, a length passed."""
        if check:
            reception.expect(check)
        watch = asyncio.get_running_loop().create_task(_interrupt_when_displaced(reception, request.body))
        request.body.limit = None if self.max_size is None else self.max_size - reception.offset
        began = told = reception.durable
        counted = Unannounced() if request.content_length is None else None
        taken = 0
        try:
            async for piece in request.body:
                reception.offer(piece)
                if counted is not None:
                    counted.update(piece)
                taken += len(piece)
                if reception.full:
                    await reception.ready()
                if part.progress is not None and reception.durable > told:
                    told = reception.durable
                    part.progress(told)
        except TooLarge:
            raise TooLarge(self.max_size or 0, "upload") from None
        except WriterDisplaced:
            if check or taken != request.content_length:
                raise
        finally:
            watch.cancel()
        try:
            check_trailers(request, check, counted if reception.durable == began else None)
        except Exception:
            await reception.rollback()
            raise

    async def _end_part(self, reception: Reception, part: Part) -> Received:
        """Everything that came is durable, and the file published if it is whole."""
        if part.ends and reception.length is not None and reception.offset != reception.length:
            await reception.commit()
            raise LengthInvalid(
                f"The upload has {reception.length} bytes, and ends at {reception.offset}.",
                "Send what is missing, or start a new upload with the right length.",
            )
        finished = reception.offset == reception.length if part.ends is None else part.ends
        if finished:
            offset, expires_at = reception.offset, reception.expires_at
            attachment = await reception.finish(Completeness.DECLARED)
            sha256 = attachment.sha256 if attachment is not None else None
            finished = not reception.is_part
            return Received(upload_id=reception.upload_id, offset=offset, finished=finished, expires_at=expires_at, sha256=sha256)
        durable = await reception.commit()
        return Received(upload_id=reception.upload_id, offset=durable, finished=False, expires_at=reception.expires_at)


async def _interrupt_when_displaced(reception: Reception, body: RequestBody) -> None:
    await reception.displaced.wait()
    body.interrupt(WriterDisplaced())


def _check_fits(request: Request, offset: int, length: int | None) -> None:
    """Raises LengthExceeded where the part, by its own Content-Length, ends past the upload's end."""
    if length is not None and request.content_length is not None and offset + request.content_length > length:
        raise LengthExceeded(length)

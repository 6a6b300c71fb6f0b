"""tus 1.0.0 on `/files`: core, creation, creation-with-upload, creation-defer-length, termination, expiration, checksum."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
import re
from typing import Final

from eft.accounts.tokens import UploadPrincipal
from eft.domain.actor import Actor
from eft.domain.attachment import AttachmentState
from eft.domain.digests import PART_CHECKSUMS
from eft.domain.errors import (
    DigestMismatch,
    EftError,
    LengthInvalid,
    NotFound,
    OffsetMismatch,
    Purged,
    TooLarge,
    WriterDisplaced,
)
from eft.domain.upload import Completeness, Upload, UploadState
from eft.http_resumable import problems
from eft.http_resumable import tus_headers as tus
from eft.http_resumable.callers import Callers
from eft.http_resumable.content import Content, content_response, repr_digest
from eft.http_resumable.headers import Headers
from eft.http_resumable.listing import case_listing
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request, RequestBody
from eft.http_resumable.response import Response, http_date
from eft.transfers import Intent, Reception, Transfers

PREFIX: Final = "/files"

_ID = re.compile(r"[0-9a-f]{32}")
_COLLECTION_METHODS: Final = "OPTIONS, GET, POST"
_UPLOAD_METHODS: Final = "OPTIONS, HEAD, GET, PATCH, DELETE"


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, and who makes it."""

    request: Request
    principal: UploadPrincipal

    @property
    def case_id(self) -> str:
        return self.principal.case_id

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.name, self.request.peer)


class TusFiles:
    """The handler of `/files` and `/files/ID`.

    `callers` tell whom a request is from, before any byte of its body is read.
    `max_size`: bytes of the largest upload, None for no limit.
    """

    def __init__(self, transfers: Transfers, *, callers: Callers, max_size: int | None = None) -> None:
        self._transfers = transfers
        self._callers = callers
        self._max_size = max_size

    async def __call__(self, request: Request) -> Response:
        try:
            response = await self._answer(request)
        except WriterDisplaced as displaced:
            response = problems.answer(displaced)
            response.close = True
        except (EftError, Refusal) as refused:
            response = problems.answer(refused)
        response.headers.set_default("Tus-Resumable", tus.VERSION)
        return response

    async def _answer(self, request: Request) -> Response:
        method = tus.method_of(request.method, request.headers)
        upload_id = request.path.removeprefix(PREFIX).removeprefix("/")
        if method == "OPTIONS":
            return self._options()
        tus.check_version(method, request.headers)
        call = _Call(request, await self._callers.uploader(request))
        if not upload_id:
            if method == "GET":
                return await case_listing(request, self._transfers, call.case_id)
            if method != "POST":
                raise _not_allowed(_COLLECTION_METHODS)
            return await self._create(call)
        if not _ID.fullmatch(upload_id):
            raise NotFound
        if method == "HEAD":
            return await self._head(call, upload_id)
        if method == "GET":
            return await self._get(call, upload_id)
        if method == "PATCH":
            return await self._patch(call, upload_id)
        if method == "DELETE":
            await self._transfers.terminate(upload_id, case_id=call.case_id, actor=call.actor)
            return Response(204)
        raise _not_allowed(_UPLOAD_METHODS)

    def _options(self) -> Response:
        headers = Headers(
            (
                ("Tus-Version", tus.VERSION),
                ("Tus-Extension", ",".join(tus.EXTENSIONS)),
                ("Tus-Checksum-Algorithm", ",".join(PART_CHECKSUMS)),
            )
        )
        if self._max_size is not None:
            headers.add("Tus-Max-Size", str(self._max_size))
        return Response(204, headers)

    # Creation.

    async def _create(self, call: _Call) -> Response:
        request = call.request
        length = tus.creation_length(request.headers)
        self._check_size(length)
        metadata = tus.metadata_of(request.headers)
        intent = Intent(
            name=metadata.name,
            source=call.principal.source,
            actor=call.actor,
            length=length,
            sha256=metadata.sha256,
            metadata=metadata.text,
        )
        if request.content_length == 0 and length != 0:
            upload = await self._transfers.register(call.case_id, intent)
            return Response(201, (_location(upload.id), ("Upload-Expires", http_date(upload.expires_at))))
        return await self._create_with_upload(call, intent)

    async def _create_with_upload(self, call: _Call, intent: Intent) -> Response:
        """Tus 1.0.0 §creation-with-upload; also an empty file, which is finished as soon as it is created."""
        request = call.request
        if request.content_length != 0:
            self._check_part(request)
        checksum = tus.part_checksum(request.headers)
        _check_fits(request, 0, intent.length)
        reception = await self._transfers.begin(call.case_id, intent)
        try:
            if checksum is not None:
                reception.expect(*checksum)
            await self._receive(request, reception)
            if reception.offset == 0 and intent.length != 0:
                # Nothing came, so nothing was begun: the upload is only made known.
                await reception.release()
                upload = await self._transfers.register(call.case_id, intent)
                headers = Headers((_location(upload.id), ("Upload-Expires", http_date(upload.expires_at))))
            else:
                headers = await self._end_part(reception)
                headers.add(*_location(reception.upload_id))
        finally:
            await reception.release()
        headers.set_default("Upload-Offset", "0")
        return Response(201, headers)

    # Parts.

    async def _patch(self, call: _Call, upload_id: str) -> Response:
        request = call.request
        self._check_part(request)
        offset = tus.upload_offset(request.headers)
        length = tus.upload_length(request.headers)
        self._check_size(length)
        checksum = tus.part_checksum(request.headers)
        reception = await self._transfers.take(upload_id, case_id=call.case_id)
        try:
            if offset != reception.offset:
                raise OffsetMismatch(reception.offset)
            if length is not None:
                await self._transfers.set_length(upload_id, length, case_id=call.case_id)
            _check_fits(request, offset, reception.length)
            if checksum is not None:
                reception.expect(*checksum)
            await self._receive(request, reception)
            return Response(204, await self._end_part(reception))
        finally:
            await reception.release()

    async def _receive(self, request: Request, reception: Reception) -> None:
        """Takes the body in as it arrives. Raises what stops it: the peer going, being displaced, a length passed."""
        watch = asyncio.get_running_loop().create_task(_interrupt_when_displaced(reception, request.body))
        size_left = None if self._max_size is None else self._max_size - reception.offset
        request.body.limit = size_left
        try:
            async for piece in request.body:
                reception.offer(piece)
                if reception.full:
                    await reception.ready()
        finally:
            watch.cancel()
        try:
            tus.check_trailers(request.body.trailers)
        except Refusal:
            await reception.rollback()
            raise

    async def _end_part(self, reception: Reception) -> Headers:
        """Everything that came is durable, and the file published if it is whole; the headers that say so."""
        if reception.offset == reception.length:
            attachment = await reception.finish(Completeness.DECLARED)
            headers = Headers((("Upload-Offset", str(reception.offset)),))
            if attachment is not None:
                headers.add("Repr-Digest", repr_digest(attachment.sha256))
            return headers
        durable = await reception.commit()
        return Headers((("Upload-Offset", str(durable)), ("Upload-Expires", http_date(reception.expires_at))))

    def _check_part(self, request: Request) -> None:
        tus.check_part_type(request.headers)
        tus.check_body_is_plain(request.headers)

    def _check_size(self, length: int | None) -> None:
        if self._max_size is not None and (length or 0) > self._max_size:
            raise TooLarge(self._max_size, "upload")

    # What there is.

    async def _head(self, call: _Call, upload_id: str) -> Response:
        upload = await self._transfers.progress(upload_id, case_id=call.case_id)
        if upload.state is UploadState.REFUSED:
            # Its offset equals its length, which clients take for success.
            raise DigestMismatch(upload.declared_sha256 or "", upload.sha256 or "")
        if upload.state is UploadState.RECEIVING and upload.offset == upload.length:
            upload = await self._finish_what_is_whole(upload, call)
        headers = Headers((("Cache-Control", "no-store"), ("Upload-Offset", str(upload.offset))))
        is_finished = upload.state is UploadState.PUBLISHED
        length = upload.offset if is_finished else upload.length
        headers.add(*(("Upload-Defer-Length", "1") if length is None else ("Upload-Length", str(length))))
        if upload.metadata:
            headers.add("Upload-Metadata", upload.metadata)
        if not is_finished:
            headers.add("Upload-Expires", http_date(upload.expires_at))
        elif upload.sha256 is not None:
            headers.add("Repr-Digest", repr_digest(upload.sha256))
        return Response(200, headers)

    async def _finish_what_is_whole(self, upload: Upload, call: _Call) -> Upload:
        """Every byte is durable, but the one who sent the last was cut off before the file was published. A client that is
        told the full offset sends nothing more, so it is published now. Raises DigestMismatch."""
        reception = await self._transfers.take(upload.id, case_id=call.case_id)
        try:
            if reception.offset == reception.length:
                await reception.finish(Completeness.DECLARED)
        finally:
            await reception.release()
        return await self._transfers.progress(upload.id, case_id=call.case_id)

    async def _get(self, call: _Call, upload_id: str) -> Response:
        upload = await self._transfers.upload(upload_id, case_id=call.case_id)
        if upload.state is UploadState.EXPIRED:
            upload = await self._transfers.progress(upload_id, case_id=call.case_id)
        if upload.state is not UploadState.PUBLISHED:
            return Response(204, (("Upload-Offset", str(upload.offset)),))
        attachment = await self._transfers.attachment(upload_id, case_id=call.case_id)
        if attachment.state is not AttachmentState.AVAILABLE:
            raise Purged(attachment.gone_at)
        content = Content(
            name=attachment.name,
            size=attachment.size,
            sha256=attachment.sha256,
            read=lambda start, stop: self._transfers.read(attachment, start, stop),
        )
        return await content_response(call.request, content)


async def _interrupt_when_displaced(reception: Reception, body: RequestBody) -> None:
    await reception.displaced.wait()
    body.interrupt(WriterDisplaced())


def _check_fits(request: Request, offset: int, length: int | None) -> None:
    """Raises LengthInvalid where the part, by its own Content-Length, ends past the upload's end."""
    if length is not None and request.content_length is not None and offset + request.content_length > length:
        raise LengthInvalid(
            f"The upload has {length} bytes; this part would end at {offset + request.content_length}.",
            "Send no more than was announced, or start a new upload with the right length.",
        )


def _location(upload_id: str) -> tuple[str, str]:
    return "Location", f"{PREFIX}/{upload_id}"


def _not_allowed(allowed: str) -> Refusal:
    detail = "That method is not for this address."
    return Refusal(405, "method-not-allowed", detail, f"Use one of {allowed}.", headers={"Allow": allowed})

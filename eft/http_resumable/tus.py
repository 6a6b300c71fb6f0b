"""tus 1.0.0 on `/files`: core, creation, creation-with-upload, creation-defer-length, termination, expiration, checksum,
checksum-trailer, concatenation, concatenation-unfinished."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from eft.domain.digests import PART_CHECKSUMS
from eft.domain.errors import (
    AlreadyFinished,
    DigestMismatch,
    EftError,
    Invalid,
    LengthInvalid,
    ReadOnly,
    WriterDisplaced,
)
from eft.domain.upload import Upload, UploadState
from eft.http_resumable import problems
from eft.http_resumable import tus_headers as tus
from eft.http_resumable.digest_fields import add_repr_digest, whole_sha256
from eft.http_resumable.finished import finish_what_is_whole, told_again
from eft.http_resumable.headers import Headers
from eft.http_resumable.locations import location
from eft.http_resumable.part_checks import brings_nothing, check_nothing
from eft.http_resumable.receiving import Call, Part, Received, Receiving
from eft.http_resumable.refusals import Refusal, not_allowed
from eft.http_resumable.response import Response, http_date
from eft.transfers import Intent, Transfers

COLLECTION_METHODS: Final = "OPTIONS, GET, POST"
UPLOAD_METHODS: Final = "OPTIONS, HEAD, GET, PATCH, DELETE"


class Tus:
    """Answers in tus 1.0.0. The request's version and its sender were looked at before."""

    def __init__(self, transfers: Transfers, receiving: Receiving) -> None:
        self._transfers = transfers
        self._receiving = receiving

    def options(self) -> Headers:
        """What OPTIONS tells of tus."""
        headers = Headers(
            (
                ("Tus-Version", tus.VERSION),
                ("Tus-Extension", ",".join(tus.EXTENSIONS)),
                ("Tus-Checksum-Algorithm", ",".join(PART_CHECKSUMS)),
            )
        )
        if self._receiving.max_size is not None:
            headers.add("Tus-Max-Size", str(self._receiving.max_size))
        return headers

    async def answer(self, call: Call, method: str, upload_id: str) -> Response:
        """`upload_id` is empty for `/files` itself. Raises Refusal and every EftError of the receive path."""
        if not upload_id:
            if method != "POST":
                raise not_allowed(COLLECTION_METHODS)
            return await self._create(call)
        if method == "HEAD":
            return await self._head(call, upload_id)
        if method == "PATCH":
            return await self._patch(call, upload_id)
        if method == "DELETE":
            await self._transfers.withdraw(upload_id, case_id=call.case_id, actor=call.actor)
            return Response(204)
        raise not_allowed(UPLOAD_METHODS)

    async def _create(self, call: Call) -> Response:
        """Tus 1.0.0 §creation, §creation-with-upload; also an empty file, which is finished as soon as it is created."""
        request = call.request
        concat = tus.concat_of(request.headers)
        if concat is not None and concat.part_ids:
            return await self._concatenate(call, concat)
        length = tus.creation_length(request.headers)
        metadata = tus.metadata_of(request.headers)
        intent = Intent(
            name=metadata.name,
            source=call.principal.source,
            actor=call.actor,
            length=length,
            sha256=tus.one_digest(metadata.sha256, whole_sha256(request.headers)),
            metadata=metadata.text,
            concat=concat.text if concat is not None else None,
        )
        # Proxies give a body in chunks without any to who sent none; that needs no type.
        is_bare = request.content_length == 0 or ("Content-Type" not in request.headers and await brings_nothing(request))
        if length != 0 and is_bare:
            check_nothing(request)
            upload = await self._receiving.register(call, intent)
            begun = (("Upload-Offset", "0"),) if "Content-Type" in request.headers else ()
            return Response(201, (location(upload.id), ("Upload-Expires", http_date(upload.expires_at)), *begun))
        if not is_bare:
            tus.check_part_type(request.headers)
        received = await self._receiving.create(call, intent, Part())
        headers = _told(received, request.headers)
        headers.add(*location(received.upload_id))
        return Response(201, headers)

    async def _concatenate(self, call: Call, concat: tus.Concat) -> Response:
        """Tus 1.0.0 §concatenation: a final upload, which brings nothing but the names of its parts."""
        headers = call.request.headers
        if "Upload-Length" in headers or "Upload-Defer-Length" in headers:
            raise LengthInvalid("A final upload is as long as its parts.", "Leave Upload-Length and Upload-Defer-Length out.")
        if not await brings_nothing(call.request):
            raise Invalid("A final upload brings no bytes of its own.", "Send the bytes to its parts.")
        check_nothing(call.request)
        metadata = tus.metadata_of(headers)
        intent = Intent(
            name=metadata.name,
            source=call.principal.source,
            actor=call.actor,
            sha256=tus.one_digest(metadata.sha256, whole_sha256(headers)),
            metadata=metadata.text,
            concat=concat.text,
        )
        upload = await self._transfers.concatenate(call.case_id, intent, concat.part_ids)
        state = await self._state_of(upload, headers)
        if len(concat.text) > tus.TOLD_CONCAT_BYTES:
            state.remove("Upload-Concat")
        return Response(201, (location(upload.id), *state))

    async def _patch(self, call: Call, upload_id: str) -> Response:
        """Every answer tells when the upload expires, a refusal too (tus 1.0.0 §Upload-Expires)."""
        try:
            return await self._append(call, upload_id)
        except WriterDisplaced:
            raise
        except (EftError, Refusal) as refused:
            response = problems.answer(refused)
        with suppress(EftError):
            upload = await self._transfers.upload(upload_id, case_id=call.case_id)
            if upload.state is UploadState.RECEIVING:
                response.headers.add("Upload-Expires", http_date(upload.expires_at))
        return response

    async def _append(self, call: Call, upload_id: str) -> Response:
        headers = call.request.headers
        try:
            tus.check_part_type(headers)
            offset = tus.upload_offset(headers)
            part = Part(length=tus.upload_length(headers), sha256=whole_sha256(headers))
        except (Invalid, Refusal):
            await self._check_takes_parts(call, upload_id)
            raise
        try:
            received = await self._receiving.append(call, upload_id, offset, part)
        except AlreadyFinished:
            received = await told_again(self._transfers, call, upload_id, offset, part)
        return Response(204, _told(received, headers))

    async def _check_takes_parts(self, call: Call, upload_id: str) -> None:
        """What a PATCH is told first of an upload that takes no part, whatever else is wrong. Raises NotFound, ReadOnly, Gone."""
        upload = await self._transfers.upload(upload_id, case_id=call.case_id)
        if upload.state is UploadState.EXPIRED:
            await self._transfers.progress(upload_id, case_id=call.case_id)
        if upload.parts:
            raise ReadOnly("A final upload takes no bytes of its own.", "Add to its parts.")

    async def _head(self, call: Call, upload_id: str) -> Response:
        upload = await self._transfers.progress(upload_id, case_id=call.case_id)
        if upload.state is UploadState.REFUSED:
            # Its offset equals its length, which clients take for success.
            raise DigestMismatch(upload.declared_sha256 or "", upload.sha256 or "")
        upload = await finish_what_is_whole(self._transfers, upload, call.case_id)
        return Response(200, await self._state_of(upload, call.request.headers))

    async def _state_of(self, upload: Upload, asked: Headers) -> Headers:
        is_finished = upload.state is UploadState.PUBLISHED
        # What a final upload has before it is put together is no offset that anybody could go on from.
        is_waiting = bool(upload.parts) and upload.state is UploadState.RECEIVING
        headers = Headers((("Cache-Control", "no-store"),))
        if not is_waiting:
            headers.add("Upload-Offset", str(upload.offset))
        length = upload.offset if is_finished else upload.length
        if is_waiting:
            length = await self._transfers.length_of_parts(upload)
        if length is not None:
            headers.add("Upload-Length", str(length))
        elif not is_waiting:
            headers.add("Upload-Defer-Length", "1")
        for name, value in (("Upload-Metadata", upload.metadata), ("Upload-Concat", upload.concat)):
            if value:
                headers.add(name, value)
        if not is_finished:
            headers.add("Upload-Expires", http_date(upload.expires_at))
        elif upload.sha256 is not None:
            add_repr_digest(headers, upload.sha256, asked)
        return headers


def _told(received: Received, asked: Headers) -> Headers:
    headers = Headers((("Upload-Offset", str(received.offset)),))
    if not received.finished:
        headers.add("Upload-Expires", http_date(received.expires_at))
    elif received.sha256 is not None:
        add_repr_digest(headers, received.sha256, asked)
    return headers

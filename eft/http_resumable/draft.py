"""draft-ietf-httpbis-resumable-upload on `/files`, in the interop versions of `draft_versions.py`.

An upload is the same upload whichever protocol began it: each request is answered in the one that it speaks itself.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from email.utils import collapse_rfc2231_value
from functools import partial
from typing import Final

from eft.domain.errors import (
    AlreadyFinished,
    DigestMismatch,
    EftError,
    Invalid,
    LengthExceeded,
    LengthInvalid,
    WriterDisplaced,
)
from eft.domain.upload import Upload, UploadState
from eft.http_resumable import tus_headers as tus
from eft.http_resumable.digest_fields import add_repr_digest, whole_sha256
from eft.http_resumable.draft_problems import draft_problem
from eft.http_resumable.draft_versions import INTEROP, NEWEST, PART_TYPE, DraftVersion, integer, version_of
from eft.http_resumable.finished import finish_what_is_whole, told_again
from eft.http_resumable.headers import Headers
from eft.http_resumable.locations import location
from eft.http_resumable.part_checks import check_of
from eft.http_resumable.receiving import Call, Part, Received, Receiving
from eft.http_resumable.refusals import Refusal, not_allowed
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.transfers import Intent, Transfers

COLLECTION_METHODS: Final = "OPTIONS, GET, POST, PUT"
UPLOAD_METHODS: Final = "OPTIONS, HEAD, GET, PATCH, DELETE"

_STATE: Final = ("Upload-Offset", "Upload-Complete", "Upload-Incomplete")


def speaks_draft(headers: Headers) -> bool:
    """Whether a request speaks the draft: it has one of its fields, and is none of tus."""
    if "Tus-Resumable" in headers:
        return False
    return any(name in headers for name in (INTEROP, "Upload-Complete", "Upload-Incomplete")) or _is_part(headers)


class Draft:
    """Answers in the draft. The request's sender was looked at before."""

    def __init__(self, transfers: Transfers, receiving: Receiving) -> None:
        self._transfers = transfers
        self._receiving = receiving

    def options(self) -> Headers:
        """What OPTIONS tells of the draft."""
        headers = DraftVersion(NEWEST, False).limits(self._receiving.max_size)
        headers.add("Accept-Patch", f"{tus.PART_TYPE}, {PART_TYPE}")
        headers.add("Want-Content-Digest", "sha-256=10, sha-512=5")
        headers.add("Want-Repr-Digest", "sha-256=10")
        return headers

    async def answer(self, call: Call, method: str, upload_id: str) -> Response:
        """`upload_id` is empty for `/files` itself. Raises Refusal and every EftError of the receive path."""
        version = version_of(call.request.headers)
        if not upload_id:
            if method not in ("POST", "PUT"):
                raise not_allowed(COLLECTION_METHODS)
            return await self._create(call, version)
        if method == "HEAD":
            return await self._head(call, upload_id, version)
        if method == "PATCH":
            return await self._patch(call, upload_id, version)
        if method == "DELETE":
            if version.cancels_without_state:
                _check_tells_nothing(call.request.headers, _STATE)
            await self._transfers.withdraw(upload_id, case_id=call.case_id, actor=call.actor)
            return Response(204)
        raise not_allowed(UPLOAD_METHODS)

    async def _create(self, call: Call, version: DraftVersion) -> Response:
        """§Upload Creation. The upload is known, and announced, before a byte of the body is taken."""
        request = call.request
        completes = version.completes(request.headers) is not False
        metadata = _metadata_of(request)
        intent = Intent(
            name=metadata.name,
            source=call.principal.source,
            actor=call.actor,
            length=self._length(request, 0, completes),
            sha256=tus.one_digest(metadata.sha256, whole_sha256(request.headers)),
            metadata=metadata.text,
            in_draft=True,
        )
        check_of(request)
        upload = await self._receiving.register(call, intent)
        if version.declared:
            limits = version.limits(self._receiving.max_size, upload.expires_at, upload.created_at)
            request.inform(104, (location(upload.id), *limits, _interop(version)))
        part = Part(ends=version.ends(completes), progress=partial(_tell_progress, request, version))
        try:
            received = await self._receiving.append(call, upload.id, 0, part)
        except LengthExceeded:
            await self._transfers.terminate(upload.id, case_id=call.case_id, actor=call.actor)
            raise
        except (EftError, Refusal) as refused:
            return await self._refused(call, upload.id, version, refused)
        response = Response(201, self._told(received, version, request.headers))
        response.headers.add(*location(upload.id))
        return response

    async def _patch(self, call: Call, upload_id: str, version: DraftVersion) -> Response:
        """§Upload Append."""
        try:
            return await self._append(call, upload_id, version)
        except (EftError, Refusal) as refused:
            return await self._refused(call, upload_id, version, refused)

    async def _refused(self, call: Call, upload_id: str, version: DraftVersion, refused: EftError | Refusal) -> Response:
        """The answer to a refused body. Raises what was refused where nothing is to be added to it."""
        if not version.tells_offset_in_refusals or isinstance(refused, WriterDisplaced):
            raise refused
        response = draft_problem(refused, call.request.headers)
        with suppress(EftError):
            upload = await self._transfers.upload(upload_id, case_id=call.case_id)
            if upload.state is UploadState.RECEIVING:
                response.headers.set_default("Upload-Offset", str(upload.offset))
        return response

    async def _append(self, call: Call, upload_id: str, version: DraftVersion) -> Response:
        request = call.request
        if version.wants_part_type and not _is_part(request.headers):
            raise Refusal(415, "content-type", "The body is no part of an upload.", f"Send Content-Type: {PART_TYPE}.")
        offset = integer(request.headers, "Upload-Offset")
        if offset is None:
            raise Invalid("Upload-Offset is missing, or no number of bytes.", "Send the offset that HEAD tells.")
        completes = version.completes(request.headers)
        if completes is None:
            if version.number != 3:
                raise Invalid("Upload-Complete is missing.", "Send Upload-Complete: ?1 with the last part, ?0 before.")
            completes = True
        part = Part(
            length=self._length(request, offset, completes),
            sha256=whole_sha256(request.headers),
            ends=version.ends(completes),
            progress=partial(_tell_progress, request, version),
        )
        try:
            received = await self._receiving.append(call, upload_id, offset, part)
        except AlreadyFinished:
            if not completes:
                part = replace(part, ends=False)
            received = await told_again(self._transfers, call, upload_id, offset, part)
        except LengthExceeded:
            if version.ends_where_exceeded:
                await self._transfers.terminate(upload_id, case_id=call.case_id, actor=call.actor)
            raise
        status = version.unfinished_status if not received.finished else 201 if version.number <= 6 else 200
        return Response(status, self._told(received, version, request.headers))

    def _length(self, request: Request, offset: int, completes: bool) -> int | None:
        """§Length: what Upload-Length says, or where the last body ends. Raises LengthInvalid where they differ, TooLarge."""
        said = integer(request.headers, "Upload-Length")
        self._receiving.check_size(said)
        if not completes or request.content_length is None:
            return said
        ends_at = offset + request.content_length
        if said not in (None, ends_at):
            raise LengthInvalid(
                f"Upload-Length says {said} bytes, and the last part ends at {ends_at}.", "Send one length, the whole file's."
            )
        return ends_at

    async def _head(self, call: Call, upload_id: str, version: DraftVersion) -> Response:
        """§Offset Retrieval."""
        _check_tells_nothing(call.request.headers, (*_STATE, "Upload-Length") if version.number == 6 else _STATE)
        upload = await self._transfers.progress(upload_id, case_id=call.case_id)
        if upload.state is UploadState.REFUSED:
            raise DigestMismatch(upload.declared_sha256 or "", upload.sha256 or "")
        if version.ends_by_length:
            upload = await finish_what_is_whole(self._transfers, upload, call.case_id)
        headers = self._state_of(upload, version)
        headers.add("Cache-Control", "no-store")
        if upload.state is UploadState.PUBLISHED and upload.sha256 is not None:
            add_repr_digest(headers, upload.sha256, call.request.headers)
        return Response(204, headers)

    def tell_state(self, response: Response, upload: Upload, request: Request) -> None:
        """Adds what HEAD tells to a download: the draft's clients may ask for the offset with GET."""
        for name, value in self._state_of(upload, version_of(request.headers)):
            response.headers.add(name, value)

    def _state_of(self, upload: Upload, version: DraftVersion) -> Headers:
        finished = upload.state is UploadState.PUBLISHED
        headers = Headers((("Upload-Offset", str(upload.offset)), version.completeness(finished)))
        length = upload.offset if finished else upload.length
        if length is not None:
            headers.add("Upload-Length", str(length))
        if upload.metadata:
            headers.add("Upload-Metadata", upload.metadata)
        for name, value in version.limits(
            self._receiving.max_size, None if finished else upload.expires_at, self._transfers.now()
        ):
            headers.add(name, value)
        return headers

    def _told(self, received: Received, version: DraftVersion, asked: Headers) -> Headers:
        headers = Headers((("Upload-Offset", str(received.offset)), version.completeness(received.finished)))
        if received.sha256 is not None:
            add_repr_digest(headers, received.sha256, asked)
        if not received.finished:
            for name, value in version.limits(self._receiving.max_size, received.expires_at, self._transfers.now()):
                headers.add(name, value)
        return headers


def _check_tells_nothing(headers: Headers, state: tuple[str, ...]) -> None:
    """Raises Invalid for a request without a body that tells of the upload's state."""
    if any(name in headers for name in state):
        raise Invalid("A request that brings nothing tells no state.", f"Leave {', '.join(state)} out.")


def _is_part(headers: Headers) -> bool:
    return (headers.get("Content-Type") or "").partition(";")[0].strip().lower() == PART_TYPE


def _interop(version: DraftVersion) -> tuple[str, str]:
    return INTEROP, str(version.number)


def _tell_progress(request: Request, version: DraftVersion, durable: int) -> None:
    if version.tells_progress:
        request.inform(104, (("Upload-Offset", str(durable)), _interop(version)))


def _metadata_of(request: Request) -> tus.Metadata:
    """The draft leaves a file's name to the request itself: Content-Disposition, a `filename` in the query, or what tus clients
    send in this protocol too. Raises MetadataInvalid, Refusal."""
    if "Upload-Metadata" in request.headers:
        return tus.metadata_of(request.headers)
    name = _disposed_name(request.headers) or request.query.get("filename", [""])[0]
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip()
    pairs = {"filename": name, "filetype": "" if kind == PART_TYPE else kind}
    text = ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in pairs.items() if value)
    return tus.metadata_of(Headers((("Upload-Metadata", text),)))


def _disposed_name(headers: Headers) -> str:
    """The last component of the name in Content-Disposition, empty without one. Of two the extended one, `filename*`, counts
    (RFC 6266 §4.3)."""
    message = Message()
    message["Content-Disposition"] = headers.get("Content-Disposition") or "attachment"
    named = [value for key, value in message.get_params([], "Content-Disposition") if key.lower() == "filename"]
    named.sort(key=lambda value: isinstance(value, str))
    name = collapse_rfc2231_value(named[0]) if named else ""
    return name.replace("\\", "/").rpartition("/")[2]

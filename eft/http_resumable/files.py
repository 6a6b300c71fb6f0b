"""The handler of `/files` and `/files/ID`: tells which protocol a request speaks, and who sends it."""

from __future__ import annotations

from contextlib import suppress
import re

from eft.domain.errors import EftError, NotFound, WriterDisplaced
from eft.domain.upload import UploadState
from eft.http_resumable import problems
from eft.http_resumable import tus_headers as tus
from eft.http_resumable.callers import Callers
from eft.http_resumable.content import content_response
from eft.http_resumable.digest_fields import SHA512_BYTES, add_sha512, wants_sha512
from eft.http_resumable.draft import COLLECTION_METHODS, UPLOAD_METHODS, Draft, speaks_draft
from eft.http_resumable.draft_problems import draft_problem
from eft.http_resumable.gate import check_body_is_plain
from eft.http_resumable.headers import Headers
from eft.http_resumable.listing import case_listing
from eft.http_resumable.locations import PREFIX
from eft.http_resumable.receiving import Call, Receiving
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.http_resumable.tus import Tus
from eft.transfers import Transfers

_ID = re.compile(r"[0-9a-f]{32}")


class Files:
    """See the module. A request with `Tus-Resumable` speaks tus, one with the draft's fields speaks the draft. One with neither
    speaks the draft where that began the upload; otherwise it is refused, as tus wants, unless it is a plain GET.

    `callers` tell whom a request is from, before any byte of its body is read.
    `max_size`: bytes of the largest upload, None for no limit.
    """

    def __init__(self, transfers: Transfers, *, callers: Callers, max_size: int | None = None) -> None:
        self._transfers = transfers
        self._callers = callers
        receiving = Receiving(transfers, max_size)
        self._tus = Tus(transfers, receiving)
        self._draft = Draft(transfers, receiving)

    async def __call__(self, request: Request) -> Response:
        in_draft = speaks_draft(request.headers)
        try:
            method = request.method if in_draft else tus.method_of(request.method, request.headers)
            if method == "OPTIONS":
                response = self._options(request.path)
            else:
                call, upload_id = await self._admit(request, method, in_draft)
                in_draft = in_draft or await self._was_begun_in_draft(call, method, upload_id)
                response = await self._answer(call, method, upload_id, in_draft)
                if wants_sha512(request.headers) and response.status < 300:
                    await self._tell_sha512(call, upload_id, response)
        except (EftError, Refusal) as refused:
            response = draft_problem(refused, request.headers) if in_draft else problems.answer(refused)
            # Whoever was displaced may be half of a connection: nothing that still comes over it is worth waiting for.
            response.close = response.close or isinstance(refused, WriterDisplaced)
        if not in_draft:
            response.headers.set_default("Tus-Resumable", tus.VERSION)
        return response

    async def _admit(self, request: Request, method: str, in_draft: bool) -> tuple[Call, str]:
        """Who asks, and for which upload: empty for `/files` itself. Raises what keeps the request out."""
        upload_id = request.path.removeprefix(PREFIX).removeprefix("/")
        if not in_draft and ("Tus-Resumable" in request.headers or not upload_id):
            tus.check_version(method, request.headers)
        call = Call(request, await self._callers.uploader(request))
        check_body_is_plain(request.headers)
        if upload_id and not _ID.fullmatch(upload_id):
            raise NotFound
        return call, upload_id

    async def _was_begun_in_draft(self, call: Call, method: str, upload_id: str) -> bool:
        """Of a request that names no protocol: whether the draft began the upload, and so is spoken now. Raises Refusal (412)
        where tus did, which wants to be named."""
        if not upload_id or "Tus-Resumable" in call.request.headers:
            return False
        upload = await self._transfers.upload(upload_id, case_id=call.case_id)
        if not upload.in_draft:
            tus.check_version(method, call.request.headers)
        return upload.in_draft

    async def _answer(self, call: Call, method: str, upload_id: str, in_draft: bool) -> Response:
        if method != "GET":
            return await (self._draft if in_draft else self._tus).answer(call, method, upload_id)
        if not upload_id:
            return await case_listing(call.request, self._transfers, call.case_id)
        return await self._get(call, upload_id, in_draft)

    def _options(self, path: str) -> Response:
        """Answers whoever asks, in both protocols at once: a client that asks does not know yet what it will speak."""
        headers = self._tus.options()
        headers.add("Allow", COLLECTION_METHODS if path.rstrip("/") == PREFIX else UPLOAD_METHODS)
        for name, value in self._draft.options():
            headers.add(name, value)
        return Response(200, headers)

    async def _tell_sha512(self, call: Call, upload_id: str, response: Response) -> None:
        """Where the file is finished, and small enough to be read for it."""
        upload_id = upload_id or (response.headers.get("Location") or "").rpartition("/")[2]
        with suppress(EftError):
            attachment = await self._transfers.shared(upload_id, case_id=call.case_id)
            if attachment.size <= SHA512_BYTES:
                pieces = [piece async for piece in self._transfers.read(attachment, 0, attachment.size)]
                add_sha512(response.headers, b"".join(pieces))

    async def _get(self, call: Call, upload_id: str, in_draft: bool) -> Response:
        upload = await self._transfers.upload(upload_id, case_id=call.case_id)
        if upload.state is UploadState.EXPIRED:
            upload = await self._transfers.progress(upload_id, case_id=call.case_id)
        if upload.state is not UploadState.PUBLISHED:
            if in_draft:
                return await self._draft.answer(call, "HEAD", upload_id)
            headers = Headers((("Cache-Control", "no-store"),))
            if not upload.parts:
                headers.add("Upload-Offset", str(upload.offset))
            return Response(204, headers)
        attachment = await self._transfers.shared(upload_id, case_id=call.case_id)
        response = await content_response(call.request, self._transfers, attachment, call.actor)
        if in_draft:
            self._draft.tell_state(response, upload, call.request)
        return response

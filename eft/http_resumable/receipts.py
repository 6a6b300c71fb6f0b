"""Receipts at the HTTPS door: of a finished upload at `/files/ID/receipt`, and the public keys that they verify by."""

from __future__ import annotations

import re
from typing import Final

from eft.audit.receipts import MEDIA_TYPE, Receipts, receipt_name
from eft.cases.service import Cases
from eft.domain.downloads import NEVER_SHOWN, content_disposition
from eft.domain.errors import EftError, NotFound, UploadExpired
from eft.domain.upload import UploadState
from eft.http_resumable import problems
from eft.http_resumable.callers import Callers
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response, json_response
from eft.http_resumable.wire import Handler
from eft.transfers import Transfers

KEYS: Final = "/.well-known/eft-receipt-keys.json"
KEYS_AGE_S: Final = 3600
"""For how long caches may keep the public keys. A receipt under a key that is not among them asks for them anew."""

_RECEIPT = re.compile(r"/files/([0-9a-f]{32})/receipt")


class FilesWithReceipts:
    """`/files`: receipts are answered here, everything else by `files`."""

    def __init__(self, files: Handler, *, callers: Callers, transfers: Transfers, cases: Cases, receipts: Receipts) -> None:
        self._files = files
        self._callers = callers
        self._transfers = transfers
        self._cases = cases
        self._receipts = receipts

    async def __call__(self, request: Request) -> Response:
        found = _RECEIPT.fullmatch(request.path)
        if found is None:
            return await self._files(request)
        try:
            _check_reads(request)
            return await self._receipt(request, found[1])
        except (EftError, Refusal) as refused:
            return problems.answer(refused)

    async def _receipt(self, request: Request, upload_id: str) -> Response:
        """Raises NotFound, Purged, UploadExpired; Refusal for an upload that is not finished."""
        principal = await self._callers.uploader(request)
        upload = await self._transfers.upload(upload_id, case_id=principal.case_id)
        if upload.state is UploadState.EXPIRED:
            raise UploadExpired
        if upload.state is not UploadState.PUBLISHED:
            raise Refusal(
                409,
                "upload-unfinished",
                "The upload is not finished; there is a receipt when it is.",
                "Send the rest, then ask again.",
            )
        attachment = await self._transfers.attachment(upload_id, case_id=principal.case_id)
        receipt = await self._receipts.of(attachment, await self._cases.get(principal.case_id))
        return receipt_response(request, receipt, attachment.name)


class ReceiptKeys:
    """The JWK set, for anybody."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts

    async def __call__(self, request: Request) -> Response:
        try:
            if request.path != KEYS:
                raise NotFound
            _check_reads(request)
            published = await self._receipts.published_keys()
        except (EftError, Refusal) as refused:
            return problems.answer(refused)
        response = json_response(200, published, [("Cache-Control", f"public, max-age={KEYS_AGE_S}")])
        response.headers.set("Content-Type", "application/jwk-set+json")
        return _without_body(request, response)


def receipt_response(request: Request, receipt: str, name: str) -> Response:
    """The answer to GET or HEAD of a receipt of the file `name`."""
    headers = Headers(
        (
            ("Content-Type", MEDIA_TYPE),
            ("Content-Disposition", content_disposition(receipt_name(name))),
            *NEVER_SHOWN,
        )
    )
    return _without_body(request, Response(200, headers, receipt.encode("ascii")))


def _without_body(request: Request, response: Response) -> Response:
    if request.method != "HEAD":
        return response
    return Response(response.status, response.headers, b"", response.length)


def _check_reads(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise Refusal(405, "method-not-allowed", "That address is only read.", "Use GET or HEAD.", headers={"Allow": "GET, HEAD"})

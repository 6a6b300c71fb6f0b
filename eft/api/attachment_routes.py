"""Attachments and unfinished uploads: list, hand back, read, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator
import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from eft.accounts.tokens import Scope
from eft.api.bodies import AttachmentView, Page, UploadView
from eft.api.caller import needs
from eft.api.case_routes import Cursor, Limit
from eft.api.download import archive_answer, download
from eft.api.intake import declared_digest, declared_length, declared_name, refuse_encoding, take_in
from eft.api.services import ApiServices
from eft.audit.receipts import MEDIA_TYPE, receipt_name
from eft.domain.actor import Actor
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import check_case_id
from eft.domain.downloads import NEVER_SHOWN, content_disposition
from eft.domain.errors import NotFound, Purged
from eft.domain.upload import Source
from eft.transfers.archive import MEDIA_TYPE as ZIP
from eft.transfers.archive import Receipts, plan_archive
from eft.transfers.intent import Intent

Reads = Annotated[Actor, Depends(needs(Scope.ATTACHMENTS_READ))]
Writes = Annotated[Actor, Depends(needs(Scope.ATTACHMENTS_WRITE))]

_ID = re.compile(r"[0-9a-f]{32}")

_RAW_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    "parameters": [
        {
            "name": "Repr-Digest",
            "in": "header",
            "required": False,
            "description": "RFC 9530: sha-256=:BASE64: of the file. Where it does not match, the file is refused.",
            "schema": {"type": "string"},
        }
    ],
}
_CONDITIONS = {
    "parameters": [
        {"name": name, "in": "header", "required": False, "description": meaning, "schema": {"type": "string"}}
        for name, meaning in (
            ("Range", "RFC 9110 §14: one range of bytes; several are answered with the whole file"),
            ("If-Range", "The ETag of a file begun before: another file comes whole"),
            ("If-Match", "ETags of which one must be this file's"),
            ("If-None-Match", "ETags of which none may be this file's"),
            ("If-Modified-Since", "For who has no ETag"),
            ("If-Unmodified-Since", "For who has no ETag"),
            ("Want-Repr-Digest", "RFC 9530: sha-256=0 leaves the digest out"),
        )
    ]
}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "A range of it", "content": {"application/octet-stream": {}}},
    304: {"description": "It is the one that If-None-Match or If-Modified-Since names"},
}
_RECEIPT: dict[int | str, dict[str, Any]] = {
    200: {"description": "A JWS in compact serialisation", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}},
}


_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The archive", "content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}},
}


def attachment_routes(services: ApiServices) -> APIRouter:
    """The routes that are about files."""
    routes = APIRouter(tags=["files"])
    transfers = services.transfers

    async def present(attachment_id: str) -> Attachment:
        """The attachment, if it can be read. Raises NotFound, Purged."""
        if not _ID.fullmatch(attachment_id):
            raise NotFound
        attachment = await transfers.attachment(attachment_id)
        if attachment.state is not AttachmentState.AVAILABLE:
            raise Purged(attachment.gone_at)
        return attachment

    @routes.get("/cases/{case_id}/attachments")
    async def list_attachments(case_id: str, _: Reads, limit: Limit = 100, cursor: Cursor = None) -> Page[AttachmentView]:
        """The case's attachments, newest first; those that are gone are listed as what is left of them."""
        case = await services.cases.get(check_case_id(case_id))
        items, following = await transfers.attachments(case.id, cursor, limit)
        return Page[AttachmentView](items=[AttachmentView.of(item, case) for item in items], next=following)

    @routes.get("/cases/{case_id}/attachments.zip", responses=_ARCHIVE, response_class=Response)
    async def get_archive(case_id: str, request: Request, actor: Reads) -> Response:
        """All files of the case as one ZIP, made while it is sent, with their receipts and a SHA256SUMS. Where a file is purged
        meanwhile it is cut, and no archive."""
        case = await services.cases.get(check_case_id(case_id))
        receipts = Receipts(
            length=lambda attachment: services.receipts.length(attachment, case),
            of=lambda attachment: services.receipts.of(attachment, case),
        )
        return archive_answer(request, await plan_archive(transfers, case, actor, receipts), f"{case.id}.zip")

    @routes.post("/cases/{case_id}/attachments", status_code=201, openapi_extra=_RAW_BODY)
    async def hand_back(
        case_id: str,
        request: Request,
        actor: Writes,
        name: Annotated[str | None, Query(description="The file's name: a relative path, percent-encoded")] = None,
    ) -> AttachmentView:
        """Hands a file back to the customer: the body is its bytes, as they are."""
        headers = request.headers
        refuse_encoding(headers.get("content-encoding"))
        intent = Intent(
            name=declared_name(request.scope["query_string"]),
            source=Source.SUPPORT,
            actor=actor,
            length=declared_length(headers.get("content-length")),
            sha256=declared_digest(headers.get("repr-digest")),
        )
        attachment = await take_in(transfers, check_case_id(case_id), intent, _chunks(request))
        return AttachmentView.of(attachment, await services.cases.get(case_id))

    @routes.get("/cases/{case_id}/uploads")
    async def list_uploads(case_id: str, _: Reads, limit: Limit = 100, cursor: Cursor = None) -> Page[UploadView]:
        """Unfinished uploads, newest first."""
        items, following = await transfers.unfinished_page(check_case_id(case_id), cursor, limit)
        return Page[UploadView](items=[UploadView.of(upload) for upload in items], next=following)

    @routes.get("/attachments/{attachment_id}")
    async def get_attachment(attachment_id: str, _: Reads) -> AttachmentView:
        """One attachment; 410 once it is gone."""
        attachment = await present(attachment_id)
        return AttachmentView.of(attachment, await services.cases.get(attachment.case_id))

    @routes.get("/attachments/{attachment_id}/content", responses=_CONTENT, response_class=Response, openapi_extra=_CONDITIONS)
    async def get_content(attachment_id: str, request: Request, actor: Reads) -> Response:
        """Its bytes, or a range of them. Sent as a download, with ETag and Repr-Digest. It is in the audit log who asked."""
        return await download(request, transfers, await present(attachment_id), actor)

    @routes.get("/attachments/{attachment_id}/receipt", responses=_RECEIPT, response_class=Response)
    async def get_receipt(attachment_id: str, _: Reads) -> Response:
        """What the gateway signs of it: verified offline by the keys at `/.well-known/eft-receipt-keys.json`."""
        attachment = await present(attachment_id)
        receipt = await services.receipts.of(attachment, await services.cases.get(attachment.case_id))
        name = content_disposition(receipt_name(attachment.name))
        return Response(receipt, media_type=MEDIA_TYPE, headers={"Content-Disposition": name, **dict(NEVER_SHOWN)})

    @routes.delete("/attachments/{attachment_id}", status_code=204)
    async def delete_attachment(attachment_id: str, actor: Writes) -> None:
        """Deletes its bytes before their time; what it was stays listed."""
        await present(attachment_id)
        await transfers.delete(attachment_id, actor=actor)

    return routes


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk

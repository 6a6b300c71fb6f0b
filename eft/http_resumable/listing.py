"""`GET /files`: what a token's holder may fetch, and what is unfinished. For `eft fetch`; pages as the control API's."""

from __future__ import annotations

from typing import Any, Final

from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.errors import Invalid
from eft.domain.upload import Upload
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response, json_response
from eft.transfers import Transfers

MOST: Final = 500
_DEFAULT: Final = 100


async def case_listing(request: Request, transfers: Transfers, case_id: str) -> Response:
    """The case's readable attachments, newest first, `limit` of those after `cursor`; with the first page the unfinished uploads.

    Raises Invalid, NotFound.
    """
    limit = request.query.get("limit", [str(_DEFAULT)])[-1]
    cursor = request.query["cursor"][-1] if "cursor" in request.query else None
    if not limit.isdecimal() or not 1 <= int(limit[:9]) <= MOST:
        raise Invalid(f"limit is not a number from 1 to {MOST}.", "Correct it, or leave it out.")
    found, following = await transfers.attachments(case_id, cursor, int(limit))
    document: dict[str, Any] = {
        "case": case_id,
        "items": [_attachment(each) for each in found if each.state is AttachmentState.AVAILABLE and not each.hidden],
        "next": following,
    }
    if cursor is None:
        document["uploads"] = [_upload(each) for each in await transfers.unfinished(case_id)]
    return json_response(200, document, (("Cache-Control", "no-store"),))


def _attachment(attachment: Attachment) -> dict[str, Any]:
    return {
        "id": attachment.id,
        "name": attachment.name,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "source": attachment.source.value,
        "completeness": attachment.completeness.value,
        "received_at": attachment.received_at.isoformat().replace("+00:00", "Z"),
    }


def _upload(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "name": upload.name,
        "offset": upload.offset,
        "length": upload.length,
        "metadata": upload.metadata,
        "expires_at": upload.expires_at.isoformat().replace("+00:00", "Z"),
    }

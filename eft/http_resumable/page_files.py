"""A case's finished files below `/transfer/CASE`: one, its receipt, or all of them as one archive."""

from __future__ import annotations

import re
from typing import Final

from eft.audit.receipts import Receipts
from eft.cases.service import Cases
from eft.domain.actor import Actor
from eft.domain.attachment import AttachmentState
from eft.domain.errors import Purged
from eft.http_resumable.content import archive_response, content_response
from eft.http_resumable.receipts import receipt_response
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.transfers import Transfers
from eft.transfers.archive import Receipts as ArchiveReceipts
from eft.transfers.archive import plan_archive

FILES_PATH: Final = re.compile(
    r"/transfer/(?P<case>[A-Za-z0-9._-]{1,64})/attachments(?:\.zip|/(?P<id>[0-9a-f]{32})(?P<receipt>/receipt)?)"
)


class CaseFiles:
    """Answers GET and HEAD of what FILES_PATH matches. Whoever asks has been seen to belong to the case."""

    def __init__(self, *, transfers: Transfers, cases: Cases, receipts: Receipts) -> None:
        self._transfers = transfers
        self._cases = cases
        self._receipts = receipts

    async def answer(self, request: Request, found: re.Match[str], actor: Actor) -> Response:
        """Raises NotFound, Purged, Tampered, KeyUnavailable, StorageFailed."""
        if found["id"] is None:
            return await self._archive(request, found["case"], actor)
        attachment = await self._transfers.attachment(found["id"], case_id=found["case"])
        if attachment.state is not AttachmentState.AVAILABLE:
            raise Purged(attachment.gone_at)
        if found["receipt"] is None:
            return await content_response(request, self._transfers, attachment, actor)
        receipt = await self._receipts.of(attachment, await self._cases.get(attachment.case_id))
        return receipt_response(request, receipt, attachment.name)

    async def _archive(self, request: Request, case_id: str, actor: Actor) -> Response:
        case = await self._cases.get(case_id)
        receipts = ArchiveReceipts(
            length=lambda attachment: self._receipts.length(attachment, case),
            of=lambda attachment: self._receipts.of(attachment, case),
        )
        return archive_response(request, await plan_archive(self._transfers, case, actor, receipts), f"{case_id}.zip")

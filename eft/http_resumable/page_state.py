"""What the Transfer Files page knows of its case: one document, for the script and for the page without it."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime
from typing import Any, Final

from eft.cases.service import Cases
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.case import Case
from eft.domain.person import Person
from eft.domain.upload import Upload
from eft.transfers import Transfers

CHUNK_BYTES: Final = 16 * 1024 * 1024
"""What a script sends in one PATCH."""

NEWEST: Final = 200
"""Attachments that are listed; the case page lists all."""

LONGEST_FINGERPRINT: Final = 128


class PageState:
    """Collects the document."""

    def __init__(self, *, cases: Cases, transfers: Transfers, region: str, portal_url: str | None) -> None:
        self._cases = cases
        self._transfers = transfers
        self._region = region
        self._portal_url = portal_url

    async def case(self, case_id: str) -> Case:
        """Raises NotFound."""
        return await self._cases.get(case_id)

    async def document(self, case: Case, person: Person) -> dict[str, Any]:
        """Everything, as JSON. Uploads and attachments newest first. Raises NotFound."""
        attachments, following = await self._transfers.attachments(case.id, None, NEWEST)
        return {
            "case": {
                "id": case.id,
                "subject": case.subject,
                "status": case.status.value,
                "sub_status": None if case.sub_status is None else case.sub_status.value,
                "closed_at": _instant(case.closed_at),
                "purge_at": _instant(case.purge_at),
                "purge": case.purge.value,
            },
            "region": self._region,
            "actor": {"name": person.name, "role": person.role.value},
            "portal_url": self._portal_url,
            "chunk_bytes": CHUNK_BYTES,
            "uploads": [_upload(upload) for upload in await self._transfers.unfinished(case.id)],
            "attachments": [_attachment(attachment, case) for attachment in attachments],
            "more": following is not None,
        }


def _upload(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "name": upload.name,
        "offset": upload.offset,
        "length": upload.length,
        "state": upload.state.value,
        "source": upload.source.value,
        "created_at": _instant(upload.created_at),
        "expires_at": _instant(upload.expires_at),
        "fingerprint": _fingerprint(upload.metadata),
    }


def _fingerprint(metadata: str) -> str | None:
    """What the sender's own metadata says of the file's content, so that a picked file is matched by more than its name."""
    for pair in metadata.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if key == "fingerprint":
            try:
                return b64decode(encoded, validate=True).decode("ascii")[:LONGEST_FINGERPRINT] or None
            except ValueError:
                return None
    return None


def _attachment(attachment: Attachment, case: Case) -> dict[str, Any]:
    is_there = attachment.state is AttachmentState.AVAILABLE
    href = f"/transfer/{case.id}/attachments/{attachment.id}"
    return {
        "id": attachment.id,
        "name": attachment.name,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "source": attachment.source.value,
        "completeness": attachment.completeness.value,
        "state": attachment.state.value,
        "received_at": _instant(attachment.received_at),
        "purge_at": _instant(case.purge_at),
        "gone_at": _instant(attachment.gone_at),
        "disputed_sha256": attachment.disputed_sha256,
        "href": href if is_there else None,
        "receipt_href": f"{href}/receipt" if is_there else None,
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")

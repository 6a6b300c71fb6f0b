"""`/receipts`, as an SFTP client sees it: beside the name of each finished file its digest, and its signed receipt.

`/receipts/NAME.sha256` is a line that `sha256sum -c` reads, `/receipts/NAME.receipt` what the gateway signed (docs/receipts.md).
Nothing of it is stored: both follow from the attachment.
"""

from __future__ import annotations

from typing import Final, Protocol

from eft.db import attachments, cases
from eft.db.engine import Connection
from eft.domain.attachment import Attachment
from eft.domain.case import Case
from eft.domain.errors import NotFound
from eft.domain.upload import Source
from eft.transfers.content import Content
from eft.transfers.resources import Resources

RECEIPTS: Final = "receipts"
_DIGEST, _SIGNED = ".sha256", ".receipt"


class Receipts(Protocol):
    """Who signs receipts."""

    async def of(self, attachment: Attachment, case: Case, /) -> str:
        """The receipt, in ASCII. Raises Purged, KeyUnavailable, StorageFailed."""

    def length(self, attachment: Attachment, case: Case, /) -> int:
        """Its bytes."""


def is_receipt(path: str) -> bool:
    """Whether a path lies in that directory, or is it."""
    return path == RECEIPTS or path.startswith(RECEIPTS + "/")


class ReceiptsView:
    """What is in `/receipts` of any case."""

    def __init__(self, resources: Resources, receipts: Receipts) -> None:
        self._r = resources
        self._receipts = receipts

    async def sizes(self, case_id: str) -> list[tuple[str, int, Attachment]]:
        """Path, size in bytes and attachment of every file there. Raises NotFound."""

        def work(conn: Connection) -> tuple[Case | None, list[Attachment]]:
            return cases.get(conn, case_id), attachments.visible(conn, case_id)

        case, shown = await self._r.database.read(work)
        if case is None:
            raise NotFound
        found = []
        for attachment in shown:
            if attachment.source is not Source.SUPPORT:
                path = f"{RECEIPTS}/{attachment.name}"
                found.append((path + _DIGEST, len(_digest_line(attachment)), attachment))
                found.append((path + _SIGNED, self._receipts.length(attachment, case), attachment))
        return found

    async def content(self, case_id: str, path: str, attachment: Attachment) -> Content:
        """Of one of them."""
        if path.endswith(_DIGEST):
            data = _digest_line(attachment)
        else:
            case = await self._r.database.read(lambda conn: cases.get(conn, case_id))
            if case is None:
                raise NotFound
            data = (await self._receipts.of(attachment, case)).encode("ascii")
        return Content(self._r, "", b"", (), len(data), inline=data)


def _digest_line(attachment: Attachment) -> bytes:
    base = attachment.name.rpartition("/")[2]
    shown = base.replace("\\", "\\\\")
    return f"{'' if shown == base else chr(92)}{attachment.sha256}  {shown}\n".encode()

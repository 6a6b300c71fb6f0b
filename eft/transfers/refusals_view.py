"""`NAME.refused`, as an SFTP client sees it: why a file that it sent was not taken, and what to do.

It stands beside where NAME would be, for as long as the refused bytes are kept and nothing newer has come under that name.
Nothing of it is stored. Removing it ends the refused upload, and its bytes with it (docs/decisions/0043).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eft.db import attachments, uploads
from eft.db.engine import Connection
from eft.domain.errors import ReadOnly
from eft.domain.upload import Source, Upload, UploadState
from eft.transfers.content import Content
from eft.transfers.resources import Resources

REFUSED: Final = ".refused"


def refused_upload(conn: Connection, case_id: str, path: str) -> Upload | None:
    """The refused upload that `path` tells of."""
    if not path.endswith(REFUSED):
        return None
    upload = uploads.by_name(conn, case_id, path.removesuffix(REFUSED), Source.SFTP)
    return upload if upload is not None and _is_told(conn, upload) else None


def refused_uploads(conn: Connection, case_id: str) -> Mapping[str, Upload]:
    """Every one of the case, by the path that tells of it."""
    newest: dict[str, Upload] = {}
    for upload in uploads.unfinished(conn, case_id):
        if upload.source is Source.SFTP and not upload.is_part:
            newest.setdefault(upload.name, upload)
    return {name + REFUSED: upload for name, upload in newest.items() if _is_told(conn, upload)}


def _is_told(conn: Connection, upload: Upload) -> bool:
    """Whether it is refused, and nothing newer was taken under its name."""
    if upload.state is not UploadState.REFUSED:
        return False
    taken = attachments.newest_by_name(conn, upload.case_id, upload.name, from_support=False)
    return taken is None or taken.received_at < upload.created_at


def text_of(upload: Upload) -> bytes:
    """What is told."""
    name = upload.name.rpartition("/")[2]
    return (
        f"{name} was not taken: its content is not what its digest file says.\n\n"
        f"SHA-256 that {name}.sha256 says:  {upload.declared_sha256}\n"
        f"SHA-256 of what came:  {upload.sha256}\n\n"
        f"What to do: send {name} again. If {name}.sha256 is what is wrong, send that again first.\n"
        f"What came is kept until {upload.expires_at:%Y-%m-%d %H:%M} UTC; remove {name}{REFUSED} to delete it now.\n"
    ).encode()


def content_of(resources: Resources, upload: Upload) -> Content:
    """The same, to be read."""
    text = text_of(upload)
    return Content(resources, "", b"", (), len(text), inline=text)


def not_to_be_changed() -> ReadOnly:
    """What is said to who writes there."""
    return ReadOnly("This entry says why a file was refused.", "Read it and remove it; send files under other names.")

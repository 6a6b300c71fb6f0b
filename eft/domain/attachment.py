"""An attachment: a finished file of a case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from eft.domain.upload import Completeness, Source


class AttachmentState(StrEnum):
    AVAILABLE = "available"
    TOMBSTONED = "tombstoned"
    PURGED = "purged"


TRANSITIONS: dict[AttachmentState, frozenset[AttachmentState]] = {
    AttachmentState.AVAILABLE: frozenset({AttachmentState.TOMBSTONED}),
    AttachmentState.TOMBSTONED: frozenset({AttachmentState.PURGED}),
    AttachmentState.PURGED: frozenset(),
}
"""`tombstoned`: nothing of it can be read any more; `purged`: and its bytes were seen to be absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One finished file. Its id is that of the upload it came from. `size` in bytes, `sha256` in hex over the plaintext.

    `version` counts the files of one name, from 1; `superseded` says that a later one stands in the client's directory;
    `hidden` that the client removed it from there. Staff see all of them. `manifest` and `inline` are sealed.
    `disputed_sha256`: what a digest file that came after the publication says, where that is another digest (DESIGN §4.1).
    """

    id: str
    case_id: str
    name: str
    size: int
    sha256: str
    source: Source
    completeness: Completeness
    state: AttachmentState
    received_at: datetime
    version: int = 1
    superseded: bool = False
    hidden: bool = False
    modified_at: datetime | None = None
    actor: str = ""
    manifest: bytes | None = None
    inline: bytes | None = None
    gone_at: datetime | None = None
    disputed_sha256: str | None = None

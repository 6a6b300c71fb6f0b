"""An upload: a file that is not finished yet, and the states it goes through."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

SMALL = 32 * 1024
"""Bytes. A finished file of at most this size is sealed into its row: one durable commit in all."""

COMMIT_BYTES = 16 * 1024 * 1024
COMMIT_SECONDS = 1.0
"""What is received becomes durable at least this often, where no part checksum forbids it."""


class UploadState(StrEnum):
    RECEIVING = "receiving"
    SETTLING = "settling"
    SEALED = "sealed"
    PUBLISHED = "published"
    FROZEN = "frozen"
    REFUSED = "refused"
    EXPIRED = "expired"


TRANSITIONS: dict[UploadState, frozenset[UploadState]] = {
    UploadState.RECEIVING: frozenset(
        {
            UploadState.SETTLING,
            UploadState.SEALED,
            UploadState.PUBLISHED,
            UploadState.FROZEN,
            UploadState.REFUSED,
            UploadState.EXPIRED,
        }
    ),
    UploadState.SETTLING: frozenset(
        {
            UploadState.RECEIVING,
            UploadState.SEALED,
            UploadState.PUBLISHED,
            UploadState.FROZEN,
            UploadState.REFUSED,
            UploadState.EXPIRED,
        }
    ),
    UploadState.SEALED: frozenset({UploadState.PUBLISHED, UploadState.REFUSED, UploadState.EXPIRED}),
    UploadState.FROZEN: frozenset({UploadState.RECEIVING, UploadState.EXPIRED}),
    UploadState.REFUSED: frozenset({UploadState.RECEIVING, UploadState.PUBLISHED, UploadState.FROZEN, UploadState.EXPIRED}),
    UploadState.PUBLISHED: frozenset(),
    UploadState.EXPIRED: frozenset(),
}
"""The whole state machine. A sealed upload is whole and durable, and waits for its digest to be read back. A refused one goes on
when damaged parts are sent again; staff may release it."""

UNFINISHED = frozenset({UploadState.RECEIVING, UploadState.SETTLING, UploadState.SEALED, UploadState.FROZEN, UploadState.REFUSED})


def may_become(old: UploadState, new: UploadState) -> bool:
    """Whether the machine has this edge."""
    return new in TRANSITIONS[old]


class Source(StrEnum):
    """By which way the bytes came."""

    HTTPS = "https"
    SFTP = "sftp"
    SUPPORT = "support"


class Completeness(StrEnum):
    """How eft knows that a file is whole: `declared` by a length or digest that matched, or `closed` by the client (P2)."""

    DECLARED = "declared"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """What the database knows of one segment of an upload: the plaintext `[start, end)`, and the file that has it.

    `end` is None while its writer lives. The file is named by the upload and epoch that made it, which for a version made by
    reference are another upload's. What is at `position` here is at `position - shift` of what that upload has.
    """

    upload_id: str
    epoch: int
    start: int
    end: int | None
    file_upload_id: str
    file_epoch: int
    shift: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One upload. `length` and `offset` in bytes; `offset` is the end of its last closed segment, so it is a lower bound
    while a writer lives. `metadata` is the client's header as it was sent, `inline` the sealed bytes of a small file that is
    settling, `ended` the word for why it expired (`expired`, `terminated`, `overwritten`, `purged`).

    `concat`: the sender's Upload-Concat (tus 1.0.0 §concatenation), None for an upload that stands for itself. `parts`: the ids
    of the parts of a final one, in order, with blanks between. `in_draft`: the IETF draft began it, and a request that
    names no protocol speaks the draft."""

    id: str
    case_id: str
    name: str
    source: Source
    state: UploadState
    created_at: datetime
    expires_at: datetime
    length: int | None = None
    offset: int = 0
    epoch: int = 0
    holder: str | None = None
    metadata: str = ""
    declared_sha256: str | None = None
    sha256: str | None = None
    actor: str = ""
    settles_at: datetime | None = None
    frozen_at: datetime | None = None
    ended: str | None = None
    modified_at: datetime | None = None
    inline: bytes | None = None
    concat: str | None = None
    parts: str = ""
    in_draft: bool = False
    segments: tuple[SegmentFacts, ...] = field(default=())

    @property
    def is_part(self) -> bool:
        """Whether it is to become part of a final upload, and never an attachment by itself."""
        return self.concat is not None and not self.parts


def unfreeze_expiry(expires_at: datetime, frozen_at: datetime, now: datetime) -> datetime:
    """When a thawed upload expires: its clock stood still while it was frozen."""
    return expires_at + max(now - frozen_at, timedelta(0))

"""What somebody means to send, and the settings of the receive path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
import re

from eft.domain.actor import Actor
from eft.domain.errors import CaseFull, Conflict, DigestInvalid, LengthInvalid
from eft.domain.names import check_name
from eft.domain.upload import COMMIT_BYTES, COMMIT_SECONDS, Source

BATCH = 1024 * 1024
"""Bytes that are hashed, sealed and written in one go."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

FULL = 2 * BATCH
"""Bytes waiting in memory from which a sender should pause. One more batch may be under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A file to come. `length` in bytes where it is known, `sha256` in hex where the sender declared it, `metadata` the
    sender's own header, given back as it came. `concat`: its Upload-Concat, where the upload is a part or is made of parts.
    `in_draft`: whether the IETF draft begins it."""

    name: str
    source: Source
    actor: Actor
    length: int | None = None
    sha256: str | None = None
    metadata: str = ""
    modified_at: datetime | None = None
    concat: str | None = None
    in_draft: bool = False

    def checked(self) -> Intent:
        """The same, with its digest in lower case. Raises NameNotAllowed, DigestInvalid, LengthInvalid, Conflict."""
        check_name(self.name)
        if self.length is not None and self.length < 0:
            raise LengthInvalid("A length cannot be negative.", "Send the file's size in bytes.")
        if self.name == "from-support" or self.name.startswith("from-support/"):
            raise Conflict("The name from-support is kept for what support hands back.", "Choose another name.")
        if self.name == "receipts" or self.name.startswith("receipts/"):
            raise Conflict("The name receipts is kept for the receipts of what was sent.", "Choose another name.")
        if self.sha256 is None:
            return self
        digest = self.sha256.lower()
        if not _SHA256.fullmatch(digest):
            raise DigestInvalid
        return replace(self, sha256=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """The receive path's settings. `linger_s`: how long a writer without a request keeps its segment open. `case_bytes`: what one
    case may store, None for no limit."""

    expire_after: timedelta = timedelta(days=14)
    commit_bytes: int = COMMIT_BYTES
    commit_s: float = COMMIT_SECONDS
    linger_s: float = 30.0
    release_s: float = 0.7
    digest_wait_s: float = 10.0
    revalidate_s: float = 5.0
    threads: int = 4
    case_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to one upload: the case may store `quota` bytes, and `others` are taken by its other files."""

    quota: int
    others: int

    def check(self, size: int) -> None:
        """Raises CaseFull where this upload may not have so many bytes."""
        if self.others + size > self.quota:
            raise CaseFull(self.quota, self.others)


def first_batch(parts: list[bytes | memoryview], total: int) -> tuple[list[bytes | memoryview], list[bytes | memoryview]]:
    """The parts to store next, of `total` bytes together, and those that wait: all at once while that is at most two batches."""
    if total <= 2 * BATCH:
        return parts, []
    count = taken = 0
    while taken < BATCH:
        taken += len(parts[count])
        count += 1
    return parts[:count], parts[count:]

"""The segment that a hold adds to, as the threads see it that hash, seal and write."""

from __future__ import annotations

from collections.abc import Callable
import logging

from eft.domain.digests import PartCheck, RunningDigest
from eft.domain.errors import EftError, StorageFailed, StorageFull
from eft.storage.ports import SegmentWriter
from eft.transfers.gathering import gathered
from eft.transfers.hashing import Hashers

Parts = list[bytes | memoryview]

log = logging.getLogger(__name__)


class OpenSegment:
    """From its row on. Its file is made with the first bytes that go into it, so that a thread is asked once for both. Every
    method blocks; one at a time. Raises StorageFull, StorageFailed."""

    def __init__(self, create: Callable[[], SegmentWriter], start: int, hashers: Hashers) -> None:
        """`start`: where it begins in the upload."""
        self._hashers = hashers
        self._create = create
        self._start = start
        self._writer: SegmentWriter | None = None

    @property
    def position(self) -> int:
        """Where the next byte goes."""
        return self._start if self._writer is None else self._writer.position

    def make(self) -> SegmentWriter:
        """The file is there, without a byte. Idempotent."""
        if self._writer is None:
            self._writer = self._create()
        return self._writer

    def store(self, parts: Parts, digest: RunningDigest | None, check: PartCheck | None = None, unchecked: bytes = b"") -> None:
        """Adds `parts`, which is empty afterwards where there is no check. `unchecked`: the one part that is not checked."""
        writer = self.make()
        for group in gathered(parts) if check is None else [parts]:
            with self._hashers.hashed(group, digest):
                for part in group:
                    if check is not None and part is not unchecked:
                        check.update(part)
                writer.append(group)

    def commit(self, parts: Parts, digest: RunningDigest | None) -> int:
        """What was stored, and `parts` after it, is on stable storage. Returns where the next byte goes."""
        if parts:
            self.store(parts, digest)
        return self.make().commit(digest.export() if digest is not None else None)

    def rollback(self) -> None:
        """Forgets what was not committed."""
        if self._writer is not None:
            self._writer.rollback()

    def close(self) -> None:
        """Lets the file go."""
        if self._writer is not None:
            self._writer.close()


def log_failure(error: EftError, upload_id: str, durable: int) -> None:
    """What an operator has to know of: the disk is full, or it fails."""
    facts = {"upload_id": upload_id, "offset": durable}
    if isinstance(error, StorageFull):
        log.error("storage.full", extra=facts)
    elif isinstance(error, StorageFailed):
        log.error("segment.failed", extra=facts, exc_info=error)

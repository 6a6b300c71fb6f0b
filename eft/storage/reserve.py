"""Space on the disk that uploads leave alone, so that the database can always be written: a full disk stops uploads, not eft."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
from typing import Final

from eft.domain.errors import StorageFull
from eft.storage.failures import translated
from eft.storage.ports import SegmentId, SegmentReader, SegmentStore, SegmentWriter

_LARGEST_RESERVE: Final = 256 * 1024 * 1024
_SHARE: Final = 16


class Reserve:
    """`reserve` bytes of the file system of `root`; None: a sixteenth of it, at most 256 MiB."""

    def __init__(self, root: Path, reserve: int | None = None) -> None:
        self._root = root
        self._reserve = reserve

    def check(self, coming: int = 0) -> None:
        """Raises StorageFull where `coming` bytes would leave less than the reserve. Two microseconds: asked for each batch."""
        with translated():
            disk = os.statvfs(self._root)
        reserve = self._reserve
        if reserve is None:
            reserve = min(_LARGEST_RESERVE, disk.f_blocks * disk.f_frsize // _SHARE)
        if disk.f_bavail * disk.f_frsize - coming < reserve:
            raise StorageFull


class ReservingSegments:
    """A SegmentStore that takes nothing that would touch the reserve. Reading and deleting go on."""

    def __init__(self, segments: SegmentStore, reserve: Reserve) -> None:
        self._segments = segments
        self._reserve = reserve

    def create(self, id: SegmentId, key: bytes, start: int) -> SegmentWriter:
        self._reserve.check()
        return _ReservingWriter(self._segments.create(id, key, start), self._reserve)

    def open(self, id: SegmentId, key: bytes, *, settle: bool = False, end: int | None = None) -> SegmentReader:
        return self._segments.open(id, key, settle=settle, end=end)

    def epochs(self, case: str, upload: str) -> list[int]:
        return self._segments.epochs(case, upload)

    def delete(self, id: SegmentId) -> None:
        self._segments.delete(id)

    def delete_case(self, case: str) -> None:
        self._segments.delete_case(case)

    def absent(self, case: str) -> bool:
        return self._segments.absent(case)

    def cases(self) -> list[str]:
        return self._segments.cases()


class _ReservingWriter:
    def __init__(self, writer: SegmentWriter, reserve: Reserve) -> None:
        self._writer = writer
        self._reserve = reserve

    @property
    def id(self) -> SegmentId:
        return self._writer.id

    @property
    def start(self) -> int:
        return self._writer.start

    @property
    def position(self) -> int:
        return self._writer.position

    @property
    def durable(self) -> int:
        return self._writer.durable

    def append(self, parts: Sequence[bytes | memoryview]) -> None:
        self._reserve.check(sum(map(len, parts)))
        self._writer.append(parts)

    def commit(self, digest: bytes | None) -> int:
        return self._writer.commit(digest)

    def rollback(self) -> int:
        return self._writer.rollback()

    def close(self) -> None:
        self._writer.close()

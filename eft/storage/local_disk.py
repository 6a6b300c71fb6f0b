"""Segments as files on a local disk: `segments/<case uid>/<upload>-<epoch>.seg`, created where they will stay."""

from __future__ import annotations

from contextlib import suppress
import os

from eft.domain.errors import NotFound
from eft.storage.failures import translated
from eft.storage.files import File, Files, Where
from eft.storage.ports import SegmentId, SegmentReader, SegmentWriter
from eft.storage.segment_format import SALT, SegmentSeal, file_name, uid_bytes
from eft.storage.segment_reader import SegmentFileReader, find, settle
from eft.storage.segment_writer import BatchBuffers, SegmentFileWriter

_TOP = ("segments",)
_KNOWN = 10_000
"""Cases whose directory is known to be durable, at most: for the others it is made sure of again."""


class LocalDiskSegments:
    """The segments of one region below its root. Implements `SegmentStore`. Safe for threads and processes."""

    def __init__(self, files: Files, region: str) -> None:
        """Raises StorageFull, StorageFailed."""
        self._files, self._region = files, region
        self._buffers = BatchBuffers()
        self._known: set[str] = set()
        with translated():
            files.make_directory(_TOP)
            files.sync_directory(())

    def create(self, id: SegmentId, key: bytes, start: int) -> SegmentWriter:
        where = _where(id)
        seal = SegmentSeal(id, self._region, key, os.urandom(SALT), start)
        with translated():
            self._files.make_directory(where[:-1])
            file = self._files.create(where)
            try:
                return SegmentFileWriter(file, seal, self._buffers, lambda: self._publish(id.case))
            except BaseException:
                file.close()
                self._files.remove(where)
                raise

    def open(self, id: SegmentId, key: bytes, *, settle: bool = False, end: int | None = None) -> SegmentReader:
        with translated():
            try:
                file = self._files.open(_where(id), writable=settle)
            except FileNotFoundError:
                raise NotFound from None
            try:
                return self._reader(file, id, key, settling=settle, end=end)
            except BaseException:
                file.close()
                raise

    def epochs(self, case: str, upload: str) -> list[int]:
        uid_bytes(upload)
        prefix, suffix = f"{upload}-", ".seg"
        names = self._names(case)
        return sorted(
            int(name[len(prefix) : -len(suffix)]) for name in names if name.startswith(prefix) and name.endswith(suffix)
        )

    def delete(self, id: SegmentId) -> None:
        where = _where(id)
        with translated():
            with suppress(FileNotFoundError):
                self._files.remove(where)
            self._sync_if_there(where[:-1])

    def delete_case(self, case: str) -> None:
        directory = _directory(case)
        self._known.discard(case)
        with translated():
            for name in self._names(case):
                with suppress(FileNotFoundError):
                    self._files.remove((*directory, name))
            self._sync_if_there(directory)
            with suppress(FileNotFoundError):
                self._files.remove_directory(directory)
            self._files.sync_directory(_TOP)

    def absent(self, case: str) -> bool:
        uid_bytes(case)
        with translated():
            return case not in self._files.list(_TOP)

    def cases(self) -> list[str]:
        with translated():
            return self._files.list(_TOP)

    def _names(self, case: str) -> list[str]:
        with translated():
            try:
                return self._files.list(_directory(case))
            except FileNotFoundError:
                return []

    def _publish(self, case: str) -> None:
        """Who made the directory may have died before it was durable, so it does not matter who made it. Once it is, it stays
        until the purge, after which nobody has a key to write there."""
        self._files.sync_directory(_directory(case))
        if case not in self._known:
            self._files.sync_directory(_TOP)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known.add(case)

    def _sync_if_there(self, directory: Where) -> None:
        with suppress(FileNotFoundError):
            self._files.sync_directory(directory)

    def _reader(self, file: File, id: SegmentId, key: bytes, *, settling: bool, end: int | None) -> SegmentReader:
        found = find(file, id, self._region, key, end)
        if settling:
            settle(file, found)
            self._publish(id.case)
        return SegmentFileReader(file, found, end)


def _directory(case: str) -> Where:
    uid_bytes(case)
    return (*_TOP, case)


def _where(id: SegmentId) -> Where:
    return (*_directory(id.case), file_name(id))

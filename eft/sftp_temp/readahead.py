"""Reading ahead for a client that reads from start to end."""

from __future__ import annotations

import asyncio

from eft.sftp_temp.handles import ReadableFile

PIECE = 512 * 1024
"""Bytes. At most two of these are kept for a session, whatever it has open."""


class ReadAhead:
    """One for a session: it serves the file that was read last. A client that jumps about gets what it asks for, and no more."""

    def __init__(self) -> None:
        self._file: ReadableFile | None = None
        self._start = 0
        self._data = b""
        self._next: asyncio.Task[bytes] | None = None

    def get(self, file: ReadableFile, offset: int, length: int) -> memoryview | None:
        """The bytes `[offset, offset + length)`, short only at the end of the file; None where they are not at hand."""
        if file is not self._file or offset < self._start:
            return None
        size = file.reader.size
        stop = min(offset + length, size)
        end = self._start + len(self._data)
        if stop > end and self._next is not None and self._next.done() and offset <= end:
            self._join(self._next.result() if not self._failed() else b"", offset)
            end = self._start + len(self._data)
        if stop > end:
            return None
        file.expected = stop
        if self._next is None and end < size and end - stop < PIECE // 2:
            self._next = asyncio.ensure_future(file.reader.read(end, min(end + PIECE, size)))
        return memoryview(self._data)[offset - self._start : stop - self._start]

    async def fetch(self, file: ReadableFile, offset: int, length: int) -> bytes | memoryview:
        """The same bytes, read. `offset` lies before the end of the file. Raises EftError."""
        size = file.reader.size
        stop = min(offset + length, size)
        if file is self._file and self._next is not None and offset <= self._start + len(self._data):
            following, self._next = self._next, None
            self._join(await following, offset)
            if (found := self.get(file, offset, length)) is not None:
                return found
        sequential = offset == file.expected
        file.expected = stop
        if not sequential:
            return await file.reader.read(offset, stop)
        await self.forget()
        data = await file.reader.read(offset, min(max(stop, offset + PIECE), size))
        self._file, self._start, self._data = file, offset, data
        found = self.get(file, offset, length)
        return data[: stop - offset] if found is None else found

    async def forget(self, file: ReadableFile | None = None) -> None:
        """Drops what was read ahead; with `file`, only if it is of this one. On return nothing reads any more."""
        if file is not None and file is not self._file:
            return
        following, self._next = self._next, None
        self._file, self._start, self._data = None, 0, b""
        if following is not None:
            await asyncio.wait([following])
            if not following.cancelled():
                following.exception()

    def _join(self, following: bytes, offset: int) -> None:
        """Goes on to the next piece, keeping what is still needed from `offset` on."""
        self._next = None
        kept = max(offset - self._start, 0)
        self._data = self._data[kept:] + following
        self._start += kept

    def _failed(self) -> bool:
        return self._next is not None and (self._next.cancelled() or self._next.exception() is not None)

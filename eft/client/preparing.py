"""The next part of a file, read and hashed in a thread of its own while the one before it is on its way."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
import hashlib
from typing import Any, BinaryIO, Protocol

from eft.client.errors import ClientError, Interrupted
from eft.client.parts import sha256_checksum

LARGEST = 16 * 1024 * 1024
SMALLEST = 1024 * 1024


class Readable(Protocol):
    """Where the bytes come from. `size` is None where nobody knows it."""

    @property
    def size(self) -> int | None: ...

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fills `buffer`; less only at the end."""

    def close(self) -> None: ...


class PipeSource:
    """Standard input: read once, in order."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    @property
    def size(self) -> None:
        return None

    def read_into(self, buffer: memoryview, offset: int) -> int:
        filled = 0
        while filled < len(buffer):
            count = self._pipe.readinto(buffer[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        return filled

    def close(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Part:
    """`[offset, offset + len(data))`. `after`: the digest of everything up to its end. `ends`: nothing follows."""

    offset: int
    data: memoryview
    checksum: str
    after: Any
    ends: bool

    @property
    def stop(self) -> int:
        return self.offset + len(self.data)


class Preparing:
    """The parts of one source, one after another, at most two of them in memory."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._buffers = [bytearray(), bytearray()]
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="eft-read")
        self._current: Part | None = None
        self._following: Future[Part] | None = None

    def part(self, offset: int, digest: Any, size: int) -> Part:
        """The part from `offset` on, of at most `size` bytes. `digest`: of what is before it.

        Raises FileChanged; ClientError where it would have to go back in what can be read only once.
        """
        current = self._current
        if current is not None and current.offset == offset and (len(current.data) <= size or self._source.size is None):
            return current
        following, self._following = self._following, None
        if following is not None:
            ready = following.result()
            if ready.offset == offset and (len(ready.data) <= size or self._source.size is None):
                self._current = ready
                self._buffers.reverse()
                return ready
        if self._source.size is None and current is not None and current.stop != offset:
            raise ClientError(
                "The gateway lost a piece of what came through standard input, which cannot be read twice.",
                "Save it to a file, and send that.",
            )
        self._current = None
        self._current = self._read(0, offset, digest, size)
        return self._current

    def prepare(self, after: Part, size: int) -> None:
        """Begins with the part that follows `after`."""
        if not after.ends and self._following is None:
            self._following = self._thread.submit(self._read, 1, after.stop, after.after, size)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._following is not None and not self._following.cancelled() and self._source.size is not None:
            self._following.exception()
        self._source.close()

    def _read(self, which: int, offset: int, digest: Any, size: int) -> Part:
        total = self._source.size
        wanted = size if total is None else min(size, total - offset)
        if len(self._buffers[which]) < wanted:
            # A new one: a part that failed may still hold on to the old.
            self._buffers[which] = bytearray(wanted)
        data = memoryview(self._buffers[which])[:wanted]
        filled = self._source.read_into(data, offset)
        data = data[:filled]
        after = digest.copy()
        after.update(data)
        ends = filled < wanted if total is None else offset + filled >= total
        return Part(offset, data, sha256_checksum(data), after, ends)


def digest_of(source: Readable, stop: int, stopped: Any, mark: int = 0) -> tuple[Any, str]:
    """The digest of the first `stop` bytes, and in hex that of the first `mark`. Raises Interrupted, FileChanged."""
    digest, position, at_mark = hashlib.sha256(), 0, ""
    buffer = memoryview(bytearray(min(SMALLEST, max(stop, 1))))
    while True:
        if position == mark:
            at_mark = digest.hexdigest()
        if position >= stop:
            return digest, at_mark
        if stopped.is_set():
            raise Interrupted("Stopped.")
        until = mark if position < mark < stop else stop
        wanted = min(len(buffer), until - position)
        source.read_into(buffer[:wanted], position)
        digest.update(buffer[:wanted])
        position += wanted

"""Writes a segment: blocks at home, then a commit record, then one fdatasync."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from mmap import mmap

from eft.domain.errors import StorageFailed
from eft.storage.failures import translated
from eft.storage.files import File
from eft.storage.ports import SegmentId
from eft.storage.segment_format import BLOCK, STORED, Record, SegmentSeal, block_at, slot_at, slot_of

BATCH_BLOCKS = 16
"""Blocks to a write, and the most that is sealed in one go: 1 MiB."""

UNSYNCED_BLOCKS = 512
"""A commit of more than these (32 MiB) first syncs the blocks and then the record, so that whoever opens the segment never has
more than these to verify."""


class BatchBuffers:
    """Buffers of one batch each, lent to whoever seals just now: as many as threads seal at once, and no page fault for each
    batch. Whole pages, as writing past the page cache wants them. Safe for threads."""

    def __init__(self) -> None:
        self._free: deque[mmap] = deque()

    def take(self) -> mmap:
        try:
            return self._free.pop()
        except IndexError:
            return mmap(-1, BATCH_BLOCKS * STORED)

    def give(self, buffer: mmap) -> None:
        self._free.append(buffer)


class _State(Enum):
    READY = "ready"
    TORN = "torn"
    DEAD = "dead"
    CLOSED = "closed"


class SegmentFileWriter:
    """The one writer of a segment file, from its creation on. Implements `SegmentWriter`.

    Nonces count every seal of the segment and never go back, a rollback included. Nobody else ever seals into this file:
    a later writer of the upload has a segment of its own.
    """

    def __init__(self, file: File, seal: SegmentSeal, buffers: BatchBuffers, publish: Callable[[], None]) -> None:
        """Over a new file. `publish` makes its directory entries durable; it is called once, before the first commit returns.
        Raises OSError."""
        self._file, self._seal, self._buffers, self._publish = file, seal, buffers, publish
        self._state = _State.READY
        self._position = self._durable = seal.start
        self._tail_buffer = memoryview(bytearray(BLOCK))
        self._tail = 0
        self._full = 0
        self._sound = 0
        self._nonce = 1
        self._floor = 1
        self._sequence = 0
        self._digest: bytes | None = None
        self._durable_tail = b""
        self._file.write_at(seal.sealed_header(), 0)

    @property
    def id(self) -> SegmentId:
        return self._seal.id

    @property
    def start(self) -> int:
        return self._seal.start

    @property
    def position(self) -> int:
        return self._position

    @property
    def durable(self) -> int:
        return self._durable

    def append(self, parts: Sequence[bytes | memoryview]) -> None:
        self._expect_ready()
        self._state = _State.TORN
        buffer = self._buffers.take()
        try:
            self._seal_full_blocks(parts, memoryview(buffer))
        finally:
            self._buffers.give(buffer)
        self._state = _State.READY

    def commit(self, digest: bytes | None) -> int:
        self._expect_ready()
        if self._sequence and self._position == self._durable and digest == self._digest:
            return self._durable
        if self._full - self._sound > UNSYNCED_BLOCKS:
            self._sync(self._file.sync_data)
            self._sound = self._full
        record = Record(
            self._sequence + 1, self._position, self._sound, self._floor, digest, bytes(self._tail_buffer[: self._tail])
        )
        stored = self._seal.seal_record(self._next_nonce(), record)
        self._state = _State.TORN
        with translated():
            self._file.write_at(stored, slot_at(slot_of(record.sequence)))
        self._sync(self._file.sync_data)
        if not self._sequence:
            self._sync(self._publish)
        self._state = _State.READY
        self._sequence, self._durable, self._digest, self._durable_tail = record.sequence, record.offset, digest, record.tail
        self._sound, self._floor = self._full, self._nonce
        return self._durable

    def rollback(self) -> int:
        if self._state in (_State.DEAD, _State.CLOSED):
            raise StorageFailed
        self._state = _State.READY
        self._position = self._durable
        self._tail = len(self._durable_tail)
        self._tail_buffer[: self._tail] = self._durable_tail
        self._full = (self._durable - self._seal.start) // BLOCK
        self._sound, self._floor = min(self._sound, self._full), self._nonce
        return self._durable

    def close(self) -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            with suppress(OSError):
                self._file.close()

    def _seal_full_blocks(self, parts: Sequence[bytes | memoryview], batch: memoryview) -> None:
        filled = 0
        for part in parts:
            rest = memoryview(part)
            self._position += len(rest)
            while rest:
                if not self._tail and len(rest) >= BLOCK:
                    plaintext, rest = rest[:BLOCK], rest[BLOCK:]
                else:
                    taken = min(BLOCK - self._tail, len(rest))
                    self._tail_buffer[self._tail : self._tail + taken] = rest[:taken]
                    self._tail += taken
                    rest = rest[taken:]
                    if self._tail < BLOCK:
                        break
                    plaintext, self._tail = self._tail_buffer, 0
                at = filled * STORED
                self._seal.seal_block(self._next_nonce(), self._full + filled, plaintext, batch[at : at + STORED])
                filled += 1
                if filled == BATCH_BLOCKS:
                    self._write(batch)
                    filled = 0
        if filled:
            self._write(batch[: filled * STORED])

    def _write(self, batch: memoryview) -> None:
        with translated():
            self._file.write_at(batch, block_at(self._full))
        self._full += len(batch) // STORED

    def _next_nonce(self) -> int:
        self._nonce += 1
        return self._nonce - 1

    def _sync(self, sync: Callable[[], None]) -> None:
        try:
            sync()
        except OSError as error:
            self._state = _State.DEAD
            raise StorageFailed from error

    def _expect_ready(self) -> None:
        if self._state is not _State.READY:
            raise StorageFailed

"""Finds out what is durable of a segment, and reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

from eft.domain.errors import NotFound, Tampered
from eft.storage.failures import translated
from eft.storage.files import File
from eft.storage.ports import Durable, SegmentId
from eft.storage.segment_format import (
    BLOCK,
    HEAD,
    HEADER,
    PAGE,
    SLOT,
    STORED,
    Record,
    SegmentSeal,
    Unverified,
    block_at,
    open_header,
    slot_at,
)

_LOOKS = 16
"""How often a file is looked at that changes underfoot, before it counts as damaged."""

_AT_ONCE = 16
"""Blocks to a read: 1 MiB."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says: its seal, and the newest commit that holds, with its nonce, its slot and the bytes it takes there. No
    record: nothing was acknowledged."""

    seal: SegmentSeal
    record: Record | None
    nonce: int = 0
    slot: int = 0
    stored: bytes = b""

    @property
    def offset(self) -> int:
        return self.seal.start if self.record is None else self.record.offset

    @property
    def full(self) -> int:
        """Blocks at home that count."""
        return (self.offset - self.seal.start) // BLOCK


class _Changing(Exception):
    """What was read does not fit together. A writer may be at it: look again."""


def find(file: File, id: SegmentId, region: str, key: bytes, end: int | None) -> Found:
    """The newest commit that holds; or, where `end` is given, the first one that reaches it.

    Raises NotFound where not even the header came to the disk, so that nothing was ever acknowledged; Tampered where
    something was that is not there now; OSError.
    """
    for _ in range(_LOOKS):
        try:
            return _look(file, id, region, key, end)
        except _Changing:
            continue
    raise Tampered


def settle(file: File, found: Found) -> None:
    """Makes what `found` says durable, whoever wrote it and however that ended.

    Everything that an fdatasync of the writer may have missed is written again, byte for byte: after a failed fsync Linux shows
    pages that never reached the disk, and takes them for clean, so that syncing alone would promise too much. Raises OSError.
    """
    if found.record is not None:
        file.write_at(file.read_at(HEADER, 0), 0)
        for index, stored in _stored_blocks(file, found.record.sound, found.full):
            file.write_at(stored, block_at(index))
        file.write_at(found.stored, slot_at(found.slot))
        file.sync_data()


def _look(file: File, id: SegmentId, region: str, key: bytes, end: int | None) -> Found:
    head = memoryview(file.read_at(HEAD, 0))
    if len(head) < HEADER:
        raise NotFound
    second_was_written = _written(head[slot_at(1) : slot_at(1) + PAGE])
    try:
        seal = open_header(id, region, key, bytes(head[:HEADER]))
    except Unverified:
        if _written(head[:HEADER]) or second_was_written:
            raise _Changing from None
        raise NotFound from None
    commits: list[Found] = []
    for slot in (0, 1):
        try:
            record, nonce, stored = seal.open_record(slot, head[slot_at(slot) : slot_at(slot) + SLOT])
        except Unverified:
            continue
        commits.append(Found(seal, record, nonce, slot, stored))
    commits.sort(key=lambda commit: commit.record.sequence if commit.record else 0, reverse=True)
    if end == seal.start:
        return Found(seal, None)
    if end is not None:
        return _that_reaches(end, commits)
    for commit in commits:
        if _holds(file, commit):
            return commit
    # The second slot is written only after the first commit was acknowledged.
    if second_was_written:
        raise _Changing
    return Found(seal, None)


def _written(stored: memoryview) -> bool:
    return bytes(stored).strip(b"\0") != b""


def _that_reaches(end: int, commits: list[Found]) -> Found:
    for commit in reversed(commits):
        if commit.offset >= end:
            return commit
    raise _Changing


def _holds(file: File, found: Found) -> bool:
    """Whether the blocks that came with this commit are there, and are those that it means."""
    record = found.record
    if record is None:
        return True
    plain = memoryview(bytearray(BLOCK))
    seen = record.sound
    try:
        for index, stored in _stored_blocks(file, record.sound, found.full):
            for at in range(0, len(stored), STORED):
                nonce = found.seal.open_block(index + at // STORED, stored[at : at + STORED], plain)
                if not record.floor <= nonce < found.nonce:
                    return False
                seen += 1
    except Unverified:
        return False
    return seen == found.full


def _stored_blocks(file: File, first: int, last: int, room: memoryview | None = None) -> Iterator[tuple[int, memoryview]]:
    """The blocks `[first, last)` as they are stored, a batch at a time, in `room` if that is given. Raises Unverified where the
    file is too short."""
    buffer = memoryview(bytearray(min(_AT_ONCE, max(last - first, 0)) * STORED)) if room is None else room
    for index in range(first, last, _AT_ONCE):
        batch = buffer[: min(_AT_ONCE, last - index) * STORED]
        if file.read_into(batch, block_at(index)) != len(batch):
            raise Unverified
        yield index, batch


class _Room:
    """For one batch, as it is stored and what it says: memory that stays, as much as threads read at once, and need not be
    cleared each time."""

    free: ClassVar[deque[_Room]] = deque()

    def __init__(self) -> None:
        self.stored = memoryview(bytearray(_AT_ONCE * STORED))
        self.plain = memoryview(bytearray(_AT_ONCE * BLOCK))

    @classmethod
    @contextmanager
    def taken(cls) -> Iterator[_Room]:
        try:
            room = cls.free.pop()
        except IndexError:
            room = cls()
        try:
            yield room
        finally:
            cls.free.append(room)


class SegmentFileReader:
    """A view of a segment file as `found` says it is. Implements `SegmentReader`."""

    def __init__(self, file: File, found: Found, end: int | None) -> None:
        self._file, self._seal = file, found.seal
        self._full = found.full
        self._tail = b"" if found.record is None else found.record.tail
        stop = found.offset if end is None else end
        if stop < found.seal.start:
            raise ValueError("a segment does not end before it starts")
        digest = found.record.digest if found.record is not None and stop == found.offset else None
        self._durable = Durable(found.seal.start, stop, digest)

    @property
    def durable(self) -> Durable:
        return self._durable

    def read(self, start: int, stop: int) -> bytes:
        if not self._durable.start <= start <= stop <= self._durable.end:
            raise ValueError("a read outside of what is durable")
        origin = self._seal.start
        first, last = (start - origin) // BLOCK, -((origin - stop) // BLOCK)
        if start == stop:
            return b""
        pieces = []
        with _Room.taken() as room:
            for index in range(first, last, _AT_ONCE):
                batch = self._opened(index, min(index + _AT_ONCE, last), room)
                begin = origin + index * BLOCK
                pieces.append(bytes(batch[max(start - begin, 0) : stop - begin]))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _opened(self, first: int, last: int, room: _Room) -> memoryview:
        """The plaintext of the blocks `[first, last)`, at most a batch, in `room`."""
        plain = room.plain
        full = min(last, self._full)
        try:
            with translated():
                for index, stored in _stored_blocks(self._file, first, full, room.stored):
                    for at in range(0, len(stored), STORED):
                        block = index + at // STORED
                        to = (block - first) * BLOCK
                        self._seal.open_block(block, stored[at : at + STORED], plain[to : to + BLOCK])
        except Unverified:
            raise Tampered from None
        if last > full:
            to = (full - first) * BLOCK
            plain[to : to + len(self._tail)] = self._tail
        return plain[: (last - first) * BLOCK]

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

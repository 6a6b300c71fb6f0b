"""Storage in memory, for tests of what is built on it. It passes the same contract suites as the real one, and seals nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
import json
import os
from pathlib import Path
import threading

from eft.domain.errors import KeyUnavailable, NotFound, Purged, StorageFailed, Tampered
from eft.storage.key_format import OWNER_MAX, SECRET_MAX
from eft.storage.master_key import KEY_BYTES
from eft.storage.ports import Durable, KeyReport, SegmentId, SegmentReader, SegmentWriter, Tombstone
from eft.storage.segment_format import DIGEST_MAX, file_name, uid_bytes


@dataclass(slots=True)
class _Segment:
    key: bytes
    start: int
    durable: bytearray = field(default_factory=bytearray)
    digest: bytes | None = None


class MemoryWriter:
    """Implements `SegmentWriter`."""

    def __init__(self, id: SegmentId, segment: _Segment) -> None:
        self.id, self._segment = id, segment
        self.start = segment.start
        self._pending = bytearray()
        self._open = True

    @property
    def durable(self) -> int:
        return self.start + len(self._segment.durable)

    @property
    def position(self) -> int:
        return self.durable + len(self._pending)

    def append(self, parts: Sequence[bytes | memoryview]) -> None:
        self._expect_open()
        for part in parts:
            self._pending += part

    def commit(self, digest: bytes | None) -> int:
        self._expect_open()
        if len(digest or b"") > DIGEST_MAX:
            raise ValueError("the digest state is too long for a commit record")
        self._segment.durable += self._pending
        self._segment.digest = digest
        self._pending = bytearray()
        return self.durable

    def rollback(self) -> int:
        self._expect_open()
        self._pending = bytearray()
        return self.durable

    def close(self) -> None:
        self._open = False

    def _expect_open(self) -> None:
        if not self._open:
            raise StorageFailed


class MemoryReader:
    """Implements `SegmentReader`."""

    def __init__(self, segment: _Segment, end: int | None) -> None:
        reached = segment.start + len(segment.durable)
        stop = reached if end is None else end
        self._content = bytes(segment.durable[: stop - segment.start])
        self.durable = Durable(segment.start, stop, segment.digest if stop == reached else None)
        self._open = True

    def read(self, start: int, stop: int) -> bytes:
        if not self._open:
            raise StorageFailed
        if not self.durable.start <= start <= stop <= self.durable.end:
            raise ValueError("a read outside of what is durable")
        return self._content[start - self.durable.start : stop - self.durable.start]

    def close(self) -> None:
        self._open = False


class MemorySegments:
    """Implements `SegmentStore`. Safe for threads."""

    def __init__(self) -> None:
        self._segments: dict[SegmentId, _Segment] = {}
        self._lock = threading.Lock()

    def create(self, id: SegmentId, key: bytes, start: int) -> SegmentWriter:
        _check(id)
        if len(key) != KEY_BYTES:
            raise ValueError("a case key has 32 bytes")
        with self._lock:
            if id in self._segments:
                raise FileExistsError(file_name(id))
            segment = self._segments[id] = _Segment(key, start)
        return MemoryWriter(id, segment)

    def open(self, id: SegmentId, key: bytes, *, settle: bool = False, end: int | None = None) -> SegmentReader:
        _check(id)
        segment = self._segments.get(id)
        if segment is None:
            raise NotFound
        if key != segment.key:
            raise Tampered
        if end is not None and end < segment.start:
            raise ValueError("a segment does not end before it starts")
        if end is not None and end > segment.start + len(segment.durable):
            raise Tampered
        return MemoryReader(segment, end)

    def epochs(self, case: str, upload: str) -> list[int]:
        uid_bytes(case), uid_bytes(upload)
        return sorted(id.epoch for id in list(self._segments) if (id.case, id.upload) == (case, upload))

    def delete(self, id: SegmentId) -> None:
        _check(id)
        self._segments.pop(id, None)

    def delete_case(self, case: str) -> None:
        uid_bytes(case)
        for id in list(self._segments):
            if id.case == case:
                self._segments.pop(id, None)

    def absent(self, case: str) -> bool:
        uid_bytes(case)
        return all(id.case != case for id in list(self._segments))

    def cases(self) -> list[str]:
        return sorted({id.case for id in list(self._segments)})


@dataclass(frozen=True, slots=True)
class _Slot:
    owner: str
    value: bytes = b""
    secret: bool = False
    at: datetime | None = None


class MemoryKeyStore:
    """Implements `KeyStore`. Safe for threads."""

    def __init__(self) -> None:
        self._slots: dict[int, _Slot] = {}
        self._generation = 1
        self._lock = threading.Lock()

    def create_case_key(self, case: str) -> int:
        return self._put(_Slot(case, os.urandom(KEY_BYTES)))

    def case_key(self, slot: int, case: str) -> bytes:
        found = self._slots.get(slot)
        if found is None or found.owner != case or found.secret:
            raise KeyUnavailable
        if found.at is not None:
            raise Purged(found.at)
        return found.value

    def destroy_case_key(self, slot: int, case: str, at: datetime) -> None:
        with self._lock:
            found = self._slots.get(slot)
            if found is not None and (found.owner != case or found.secret):
                raise KeyUnavailable
            if found is None or found.at is None:
                self._slots[slot] = _Slot(case, at=at)

    def put_secret(self, owner: str, secret: bytes) -> int:
        if len(secret) > SECRET_MAX:
            raise ValueError(f"a secret has at most {SECRET_MAX} bytes")
        return self._put(_Slot(owner, secret, secret=True))

    def secret(self, slot: int, owner: str) -> bytes:
        found = self._slots.get(slot)
        if found is None or found.owner != owner or not found.secret:
            raise KeyUnavailable
        return found.value

    def erase_secret(self, slot: int, owner: str) -> None:
        with self._lock:
            found = self._slots.get(slot)
            if found is not None and found.secret and found.owner == owner:
                del self._slots[slot]

    def tombstones(self) -> list[Tombstone]:
        return [Tombstone(slot.owner, slot.at) for _, slot in sorted(self._slots.items()) if slot.at is not None]

    def rotate(self) -> int:
        self._generation += 1
        return self._generation

    def check(self) -> KeyReport:
        secrets = sum(slot.secret for slot in self._slots.values())
        tombstones = len(self.tombstones())
        live = len(self._slots) - secrets - tombstones
        return KeyReport(generation=self._generation, live=live, secrets=secrets, tombstones=tombstones)

    def export(self, path: Path) -> None:
        """Which slots there are, without what is in them."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(sorted(self._slots), file)

    def _put(self, slot: _Slot) -> int:
        if len(slot.owner.encode()) > OWNER_MAX:
            raise ValueError("the owner of a slot has too long a name")
        with self._lock:
            number = next(number for number in range(len(self._slots) + 1) if number not in self._slots)
            self._slots[number] = slot
            return number


def _check(id: SegmentId) -> None:
    uid_bytes(id.case)
    file_name(id)

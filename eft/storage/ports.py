"""What the rest of eft asks of storage. Local disk and memory implement it; contract suites in tests/contract hold them to it.

Offsets are bytes of the upload's plaintext, ranges half-open `[start, stop)`. Everything here is synchronous and may block: call
it from threads. One thread at a time for one writer or reader; stores may be shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SegmentId:
    """One segment: what one writer epoch stored of one upload. `case` is the case's uid and `upload` the upload's id, 32
    lower-case hexadecimal digits each; `epoch` counts from 0 up."""

    case: str
    upload: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Durable:
    """What is durable of a segment: the plaintext `[start, end)`, and the exported state of the upload's digest at `end`
    (None: there is none, re-read)."""

    start: int
    end: int
    digest: bytes | None


class SegmentWriter(Protocol):
    """The one writer of a segment. Nothing that it takes is durable before `commit` returns.

    After a write that failed (StorageFull, StorageFailed, from `append` or `commit`) what was appended since the last commit is
    undefined: only `rollback`, after which the writer is as good as before, and `close` work. After a sync that failed the writer
    is dead for ever, since nobody knows what the disk has: `rollback` raises StorageFailed too, and a new writer goes on in a
    segment of its own. A commit that raised may all the same be found when the segment is opened: its bytes are right.
    """

    @property
    def id(self) -> SegmentId: ...
    @property
    def start(self) -> int: ...
    @property
    def position(self) -> int:
        """Where the next appended byte goes."""

    @property
    def durable(self) -> int:
        """What the last commit returned, or `start`."""

    def append(self, parts: Sequence[bytes | memoryview]) -> None:
        """Takes the bytes and moves `position`. Best given about 1 MiB at a time. Raises StorageFull, StorageFailed."""

    def commit(self, digest: bytes | None) -> int:
        """Makes everything appended durable, with `digest` as the exported state of the upload's digest at `position`; returns
        the durable offset. Raises StorageFull, StorageFailed."""

    def rollback(self) -> int:
        """Forgets what was appended since the last commit; returns `durable`. Raises StorageFailed on a dead writer."""

    def close(self) -> None:
        """Lets go of the file. Commits nothing. Idempotent, never raises."""


class SegmentReader(Protocol):
    """A view of what was durable when it was opened; a live writer does not change it."""

    @property
    def durable(self) -> Durable: ...

    def read(self, start: int, stop: int) -> bytes:
        """The plaintext `[start, stop)`, which must lie in `[durable.start, durable.end)`: ValueError otherwise. Every byte
        was verified. Best asked for about 1 MiB at a time. Raises Tampered, StorageFailed."""

    def close(self) -> None:
        """Idempotent, never raises."""


class SegmentStore(Protocol):
    """The segments of one region. `key` is the case's key, 32 bytes; segment keys are derived from it inside."""

    def create(self, id: SegmentId, key: bytes, start: int) -> SegmentWriter:
        """A new, empty segment that begins at `start`. Raises FileExistsError where the epoch is taken, StorageFull,
        StorageFailed."""

    def open(self, id: SegmentId, key: bytes, *, settle: bool = False, end: int | None = None) -> SegmentReader:
        """What is durable of a segment, whoever wrote it; a live writer does not mind.

        `settle`: what the reader then shows as durable is durable, even where a writer died before its fsync or at a failed
        one: what a taker needs, and whoever tells a client an offset. Ask only when no writer may commit any more.
        `end`: the end of the segment where the database or a manifest knows it. Then nothing past it is shown, opening
        does not verify the last commit's blocks beforehand (each is verified when it is read), and a segment that ends
        earlier is Tampered.

        Raises NotFound, Tampered, StorageFailed.
        """

    def epochs(self, case: str, upload: str) -> list[int]:
        """The epochs that have a segment, ascending."""

    def delete(self, id: SegmentId) -> None:
        """Durable on return. Idempotent. Raises StorageFailed."""

    def delete_case(self, case: str) -> None:
        """Everything of the case. Durable on return. Idempotent. Raises StorageFailed."""

    def absent(self, case: str) -> bool:
        """Whether the store has nothing of the case: asked of the store, not remembered."""

    def cases(self) -> list[str]:
        """The uids of all cases that have something here."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a case's key: whose it was (`case` is the uid), and when it was destroyed."""

    case: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReport:
    """The state of a key store. `generation` is the master key's in use; `rotating` that a rotation was begun and not finished
    (run it again); `broken` lists the slots that cannot be read at all, `single` those of which only one of two copies is
    good (a rotation mends them)."""

    generation: int
    live: int
    secrets: int
    tombstones: int
    rotating: bool = False
    broken: tuple[int, ...] = field(default=())
    single: tuple[int, ...] = field(default=())


class KeyStore(Protocol):
    """Case keys and secrets of one region, in numbered slots, sealed under the master key. Safe for threads and processes.

    `case` is the case's uid, `owner` the id of whatever the secret belongs to: at most 128 bytes of UTF-8. A secret has at most
    256 bytes. Every change is durable on return. All raise StorageFailed where the disk does, and KeyUnavailable where the master
    key cannot be had.
    """

    def create_case_key(self, case: str) -> int:
        """A new random key; returns its slot."""

    def case_key(self, slot: int, case: str) -> bytes:
        """32 bytes. Raises KeyUnavailable where the slot holds no key of this case, Purged where it is its tombstone."""

    def destroy_case_key(self, slot: int, case: str, at: datetime) -> None:
        """Leaves a tombstone in place of the key, seen on the disk. Idempotent: the first instant stays. Raises KeyUnavailable
        where the slot belongs to somebody else."""

    def put_secret(self, owner: str, secret: bytes) -> int:
        """Returns the slot."""

    def secret(self, slot: int, owner: str) -> bytes:
        """Raises KeyUnavailable where the slot holds no secret of this owner."""

    def erase_secret(self, slot: int, owner: str) -> None:
        """Overwrites it; the slot is free for others. Idempotent: a slot that is free or has another owner is left alone."""

    def tombstones(self) -> list[Tombstone]:
        """Of every case purged here. Tombstones that a crash left half written are completed first."""

    def rotate(self) -> int:
        """Seals every key and secret anew under a new master key generation and destroys the old one; returns the new generation.
        After a crash, run it again: it goes on with the generation that was begun."""

    def check(self) -> KeyReport:
        """Reads every slot."""

    def export(self, path: Path) -> None:
        """A copy for a backup: sealed, without the master key, mode 0600. Raises FileExistsError."""

"""The key store's slot file: its header and its slots, read and written so that a crash at any moment leaves each slot one good
copy. Knows no master key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eft.domain.errors import KeyUnavailable, StorageFailed
from eft.storage.files import File, Files
from eft.storage.key_format import (
    CHUNK,
    CHUNKS_AT,
    GROWTH,
    HALF,
    SLOTS_IN_PAGE,
    Damaged,
    Header,
    Kind,
    Slot,
    half_at,
    pack_header,
    pack_slot,
    parse_header,
    parse_slot,
    slots_in,
)
from eft.storage.segment_format import PAGE

DIRECTORY = ("keys",)
SLOTS = ("keys", "slots")
LOCK = ("keys", "lock")
_NEW = ("keys", "slots.new")
_CHUNKS_AT_ONCE = 128
_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Halves:
    """What the two halves of slot `number` say: their content, None where free, Damaged where they do not verify."""

    number: int
    first: Slot | Damaged | None
    second: Slot | Damaged | None

    @property
    def best(self) -> Slot | Damaged | None:
        """What counts: a tombstone always, then the newer one; None where the slot is free, Damaged where nothing is left.

        A damaged half beside a free one is free: both are written before anybody relies on a slot, and zeroed one after the
        other, so that this is what is left of a filling that was never told, or of an erasing.
        """
        good = [half for half in (self.first, self.second) if isinstance(half, Slot)]
        if good:
            return max(good, key=lambda slot: (slot.kind is Kind.TOMBSTONE, slot.sequence))
        return None if self.first is None or self.second is None else Damaged()

    @property
    def agree(self) -> bool:
        """Whether both are good, and the same."""
        return not isinstance(self.first, Damaged) and self.first == self.second

    @property
    def next_sequence(self) -> int:
        return max((half.sequence for half in (self.first, self.second) if isinstance(half, Slot)), default=0) + 1


class SlotFile:
    """The open file. Writers hold the lock of the key store; readers do not need to. Raises OSError where the disk does."""

    def __init__(self, files: Files) -> None:
        """Raises KeyUnavailable where there is none."""
        try:
            self._file: File = files.open(SLOTS, writable=True)
        except FileNotFoundError:
            raise KeyUnavailable(
                "There is no key store below the storage root.",
                "Mount the right storage, or put keys/slots back from a backup; only a region without data begins anew.",
            ) from None

    @classmethod
    def create(cls, files: Files, header: Header) -> SlotFile:
        """A new one, durable on return. Raises FileExistsError."""
        if SLOTS[-1] in files.list(DIRECTORY):
            raise FileExistsError(SLOTS[-1])
        if _NEW[-1] in files.list(DIRECTORY):
            files.remove(_NEW)
        file = files.create(_NEW)
        try:
            file.allocate(CHUNKS_AT + GROWTH)
            for copy in (0, 1):
                file.write_at(pack_header(header), copy * PAGE)
            file.sync()
            files.replace(_NEW, SLOTS)
            files.sync_directory(DIRECTORY)
        finally:
            file.close()
        return cls(files)

    def close(self) -> None:
        self._file.close()

    def header(self) -> Header:
        """The newer of its two copies. Raises KeyUnavailable where neither is good."""
        return self._newest_header()[0]

    def write_header(self, header: Header) -> None:
        """Durable on return: one copy after the other, the one that counts now last."""
        _, counts = self._newest_header()
        for copy in (1 - counts, counts):
            self._file.write_at(pack_header(header), copy * PAGE)
            self.sync()

    def read(self, number: int) -> Halves:
        """A slot as it is. One that is just being written is looked at again. Raises KeyUnavailable where there is none."""
        if not 0 <= number < slots_in(self._file.size()):
            raise KeyUnavailable("The key store has no such slot.")
        for _ in range(_LOOKS):
            halves = Halves(number, self._half(number, 0), self._half(number, 1))
            if not isinstance(halves.best, Damaged):
                break
        return halves

    def scan(self, start: int = 0) -> Iterator[Halves]:
        """Every slot from `start` on, in order."""
        total = slots_in(self._file.size())
        batch = _CHUNKS_AT_ONCE * SLOTS_IN_PAGE
        for first in range(start - start % SLOTS_IN_PAGE, total, batch):
            base = half_at(first, 0)
            stored = self._file.read_at(_CHUNKS_AT_ONCE * CHUNK, base)
            for number in range(max(first, start), min(first + batch, total)):
                at = [half_at(number, half) - base for half in (0, 1)]
                yield Halves(number, _parse(number, stored[at[0] : at[0] + HALF]), _parse(number, stored[at[1] : at[1] + HALF]))

    def write(self, before: Halves, content: Slot | None) -> None:
        """Puts `content` (None: zeros) in both halves, durable on return and read back from the disk. The half that does not
        count is written first, so that a crash leaves the old or the new. Raises StorageFailed where it reads back otherwise."""
        stored = bytes(HALF) if content is None else pack_slot(before.number, content)
        for half in (0, 1) if before.second == before.best else (1, 0):
            self.write_half(before.number, half, stored)
            self.sync()
        self.verify([(before.number, stored)])

    def write_half(self, number: int, half: int, stored: bytes) -> None:
        """Not durable."""
        self._file.write_at(stored, half_at(number, half))

    def sync(self) -> None:
        """What was written is durable on return; after a failure, what is read next is what the disk has."""
        try:
            self._file.sync_data()
        except OSError:
            self._file.uncache()
            raise

    def verify(self, expected: list[tuple[int, bytes]], halves: tuple[int, ...] = (0, 1)) -> None:
        """Reads these halves of slots back from the disk. Raises StorageFailed where one is not as expected."""
        self._file.uncache()
        for number, stored in expected:
            for half in halves:
                if self._file.read_at(HALF, half_at(number, half)) != stored:
                    raise StorageFailed

    def grow(self) -> int:
        """More free slots, durable on return; the number of the first of them."""
        size = self._file.size()
        self._file.allocate(size + GROWTH)
        self._file.sync()
        return slots_in(size)

    def content(self) -> Iterator[bytes]:
        """The whole file, for a copy."""
        size, at = self._file.size(), 0
        while at < size:
            piece = self._file.read_at(1 << 20, at)
            yield piece
            at += len(piece)

    def _newest_header(self) -> tuple[Header, int]:
        found: list[tuple[Header, int]] = []
        for copy in (0, 1):
            try:
                found.append((parse_header(self._file.read_at(HALF, copy * PAGE)), copy))
            except Damaged:
                continue
        if not found:
            raise KeyUnavailable("The key store's header is damaged.", "Put keys/slots back from a backup.")
        return max(found, key=lambda header: header[0].sequence)

    def _half(self, number: int, half: int) -> Slot | Damaged | None:
        return _parse(number, self._file.read_at(HALF, half_at(number, half)))


def _parse(number: int, stored: bytes) -> Slot | Damaged | None:
    try:
        return parse_slot(number, stored)
    except Damaged as damaged:
        return damaged

"""The bytes of a key store's slot file: two copies of a header, then slots in two halves each. Packing and parsing; no I/O.

Byte tables are in docs/storage-format.md; why it is so, in docs/decisions/0014.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
import hashlib
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eft.storage.segment_format import NONCE, PAGE, TAG, derive

VERSION = 1
HALF = 512
"""Bytes of a half: one sector, and whole or absent after a power cut."""

SLOTS_IN_PAGE = PAGE // HALF
CHUNK = 2 * PAGE
"""The first halves of eight slots in one page, their second halves in the next: no page that is being written has both."""

CHUNKS_AT = 2 * PAGE
GROWTH = 64 * CHUNK
"""Bytes by which the file grows: 512 slots."""

OWNER_MAX, SECRET_MAX = 128, 256

_MAGIC = b"eft-keys"
_HEADER = struct.Struct(">B8sQIBB")
_CHECK = struct.Struct(">I16s")
_SLOT = struct.Struct(">BBBxIQ12sH")
_SUM = 32
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Kind(IntEnum):
    CASE_KEY = 1
    SECRET = 2
    TOMBSTONE = 3


class Damaged(Exception):
    """These bytes were not written whole, or not for this place."""


@dataclass(frozen=True, slots=True)
class Header:
    """`current`: the master key generation that new slots are sealed under. `checks`: for each generation in use a value that
    tells whether a master key is the right one."""

    sequence: int
    region: str
    current: int
    checks: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Slot:
    """The content of a slot that is not free. `sealed` for keys and secrets, `at` for tombstones."""

    kind: Kind
    owner: str
    sequence: int
    generation: int = 0
    nonce: bytes = bytes(NONCE)
    sealed: bytes = b""
    at: datetime = _EPOCH


def half_at(slot: int, half: int) -> int:
    """Where a half begins in the file."""
    chunk, place = divmod(slot, SLOTS_IN_PAGE)
    return CHUNKS_AT + chunk * CHUNK + half * PAGE + place * HALF


def slots_in(size: int) -> int:
    """How many slots a file of this size has."""
    return max(size - CHUNKS_AT, 0) // CHUNK * SLOTS_IN_PAGE


def pack_header(header: Header) -> bytes:
    region = header.region.encode()
    content = _HEADER.pack(VERSION, _MAGIC, header.sequence, header.current, len(header.checks), len(region)) + region
    content += b"".join(_CHECK.pack(generation, check) for generation, check in sorted(header.checks.items()))
    if len(content) > HALF - _SUM:
        raise ValueError("too many master key generations at once")
    return _summed(content, b"header")


def parse_header(stored: bytes) -> Header:
    """Raises Damaged."""
    content = _checked(stored, b"header")
    version, magic, sequence, current, count, length = _HEADER.unpack_from(content)
    if (version, magic) != (VERSION, _MAGIC):
        raise Damaged
    at = _HEADER.size + length
    checks = dict(_CHECK.unpack_from(content, at + index * _CHECK.size) for index in range(count))
    return Header(sequence, content[_HEADER.size : at].decode(), current, checks)


def pack_slot(number: int, slot: Slot) -> bytes:
    owner = slot.owner.encode()
    if len(owner) > OWNER_MAX:
        raise ValueError("the owner of a slot has too long a name")
    variable = slot.nonce
    if slot.kind is Kind.TOMBSTONE:
        variable = ((slot.at - _EPOCH) // _MICROSECOND).to_bytes(NONCE, "big", signed=True)
    head = _SLOT.pack(VERSION, slot.kind, len(owner), slot.generation, slot.sequence, variable, len(slot.sealed))
    return _summed(head + owner + slot.sealed, b"slot" + number.to_bytes(8, "big"))


def parse_slot(number: int, stored: bytes) -> Slot | None:
    """None for a free one, which is all zeros. Raises Damaged."""
    if len(stored) == HALF and stored == _ZEROS:
        return None
    content = _checked(stored, b"slot" + number.to_bytes(8, "big"))
    version, kind, owner_length, generation, sequence, variable, sealed_length = _SLOT.unpack_from(content)
    if version != VERSION or kind not in Kind.__members__.values():
        raise Damaged
    at = _SLOT.size + owner_length
    owner, sealed = content[_SLOT.size : at].decode(), content[at : at + sealed_length]
    if kind == Kind.TOMBSTONE:
        instant = _EPOCH + int.from_bytes(variable, "big", signed=True) * _MICROSECOND
        return Slot(Kind.TOMBSTONE, owner, sequence, at=instant)
    return Slot(Kind(kind), owner, sequence, generation, variable, sealed)


class SlotSeal:
    """Seals and opens slots under one master key generation, for one region."""

    def __init__(self, region: str, generation: int, master_key: bytes) -> None:
        name = generation.to_bytes(4, "big") + region.encode()
        self.generation = generation
        self.check = derive(master_key, b"", b"eft key store check\0" + name)[:16]
        self._aead = AESGCM(derive(master_key, b"", b"eft key store seal\0" + name))

    def seal(self, number: int, kind: Kind, owner: str, sequence: int, value: bytes) -> Slot:
        """Nonces are random: a generation seals far fewer than the 2^32 that they are good for (SP 800-38D §8.3)."""
        if len(value) > SECRET_MAX:
            raise ValueError(f"a secret has at most {SECRET_MAX} bytes")
        nonce = os.urandom(NONCE)
        sealed = self._aead.encrypt(nonce, value, self._data(number, kind, owner, sequence))
        return Slot(kind, owner, sequence, self.generation, nonce, sealed)

    def open(self, number: int, slot: Slot) -> bytes:
        """Raises Damaged."""
        try:
            return self._aead.decrypt(slot.nonce, slot.sealed, self._data(number, slot.kind, slot.owner, slot.sequence))
        except InvalidTag:
            raise Damaged from None

    def _data(self, number: int, kind: Kind, owner: str, sequence: int) -> bytes:
        return struct.pack(">QBIQ", number, kind, self.generation, sequence) + owner.encode()


_ZEROS = bytes(HALF)
assert _SLOT.size + OWNER_MAX + SECRET_MAX + TAG + _SUM <= HALF


def _summed(content: bytes, place: bytes) -> bytes:
    body = content.ljust(HALF - _SUM, b"\0")
    return body + hashlib.sha256(place + body).digest()


def _checked(stored: bytes, place: bytes) -> bytes:
    body = stored[: HALF - _SUM]
    if len(stored) != HALF or hashlib.sha256(place + body).digest() != stored[HALF - _SUM :]:
        raise Damaged
    return body

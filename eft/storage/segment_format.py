"""The bytes of a segment file: header, two commit slots, sealed blocks. Packing, parsing and sealing; no I/O.

Byte tables are in docs/storage-format.md; why it is so, in docs/decisions/0010 to 0013.
"""

from __future__ import annotations

from dataclasses import dataclass
import re
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from eft.storage.ports import SegmentId

VERSION = 1
NONCE = 12
TAG = 16
SALT = 32
PAGE = 4096

STORED = 64 * 1024
"""Bytes of a block in the file: nonce, ciphertext, tag. Whole pages, so that no page has bytes of two blocks."""

BLOCK = STORED - NONCE - TAG
"""Bytes of plaintext in a block."""

DIGEST_MAX = 256
"""The most that an exported digest state may take in a record."""

_HEADER = struct.Struct(">B7s32s16s16sQQ8x")
_MAGIC = b"eft-seg"
HEADER = _HEADER.size + TAG

_RECORD = struct.Struct(">QQQ12sHI")
_NO_DIGEST = 0xFFFF
_SLOT = struct.Struct(">12sI")
SLOT = -(-(_SLOT.size + _RECORD.size + DIGEST_MAX + BLOCK + TAG) // PAGE) * PAGE
"""Bytes that a slot may take in the file."""

HEAD = PAGE + 2 * SLOT
"""Bytes of header and slots, from the start of the file."""

BLOCKS_AT = 1024 * 1024
"""Where block 0 begins. A batch of blocks is then one aligned MiB, which the page cache takes in one piece; what lies between
is a hole and takes no space."""

_KIND_HEADER, _KIND_RECORD, _KIND_BLOCK = b"H", b"R", b"B"
_UID = re.compile(r"[0-9a-f]{32}")


class Unverified(Exception):
    """These bytes are not what was sealed for this place: never written, torn, another's, or altered."""


@dataclass(frozen=True, slots=True)
class Record:
    """One commit: the segment's plaintext is durable up to `offset` (an offset of the upload).

    `tail` is what follows the last full block. The blocks `[sound, full)` were written since the last fdatasync that succeeded,
    so they may be missing with this record there; those before are durable. `floor` is the first nonce that those blocks may
    have: an older one was sealed before a rollback, and is not what this commit means.
    """

    sequence: int
    offset: int
    sound: int
    floor: int
    digest: bytes | None
    tail: bytes


def slot_at(slot: int) -> int:
    """Where slot 0 (A) or 1 (B) begins in the file."""
    return PAGE + slot * SLOT


def slot_of(sequence: int) -> int:
    """The slot of a commit: the first goes to A, then they take turns, so that the older one is always overwritten."""
    return (sequence - 1) % 2


def block_at(index: int) -> int:
    """Where a block begins in the file."""
    return BLOCKS_AT + index * STORED


def derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    """A 32-byte key from a case key (HKDF-SHA256, RFC 5869)."""
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(key)


def uid_bytes(uid: str) -> bytes:
    """The 16 bytes of a generated id. Raises ValueError for anything but 32 lower-case hexadecimal digits."""
    if not _UID.fullmatch(uid):
        raise ValueError("an id in storage is 32 lower-case hexadecimal digits")
    return bytes.fromhex(uid)


def file_name(id: SegmentId) -> str:
    uid_bytes(id.upload)
    if id.epoch < 0:
        raise ValueError("an epoch is not negative")
    return f"{id.upload}-{id.epoch}.seg"


class SegmentSeal:
    """Seals and opens what belongs to one segment. Who seals gives the nonces, each once: see `SegmentWriter`."""

    __slots__ = ("_aead", "_ids", "header", "id", "start")

    def __init__(self, id: SegmentId, region: str, key: bytes, salt: bytes, start: int) -> None:
        """`salt`: fresh random bytes for a new segment, those of the header for an old one."""
        if len(key) != 32 or len(salt) != SALT:
            raise ValueError("a case key has 32 bytes, and so has a salt")
        self.id, self.start = id, start
        case, upload = uid_bytes(id.case), uid_bytes(id.upload)
        self._ids = case + upload + id.epoch.to_bytes(8, "big")
        info = b"eft segment\0" + bytes([VERSION]) + region.encode() + b"\0" + self._ids
        self._aead = AESGCM(derive(key, salt, info))
        self.header = _HEADER.pack(VERSION, _MAGIC, salt, case, upload, id.epoch, start)

    def sealed_header(self) -> bytes:
        """The header as it stands in the file: plain, and a tag over all of it. Takes nonce 0, so ask once."""
        return self.header + self._aead.encrypt(bytes(NONCE), b"", _KIND_HEADER + self.header)

    def check_header(self, stored: bytes) -> None:
        """Raises Unverified where `stored` is not what `sealed_header` made, with its first nonce."""
        try:
            self._aead.decrypt(bytes(NONCE), stored[_HEADER.size :], _KIND_HEADER + stored[: _HEADER.size])
        except InvalidTag:
            raise Unverified from None

    def seal_block(self, nonce: int, index: int, plaintext: memoryview, out: memoryview) -> None:
        """Writes the `STORED` bytes of a block to `out`."""
        counter = nonce.to_bytes(NONCE, "big")
        out[:NONCE] = counter
        self._aead.encrypt_into(counter, plaintext, self._data(_KIND_BLOCK, index), out[NONCE:])

    def open_block(self, index: int, stored: memoryview, out: memoryview) -> int:
        """Writes the `BLOCK` bytes of plaintext to `out`; returns the nonce it was sealed with. Raises Unverified."""
        counter = stored[:NONCE]
        try:
            self._aead.decrypt_into(counter, stored[NONCE:], self._data(_KIND_BLOCK, index), out)
        except InvalidTag:
            raise Unverified from None
        return int.from_bytes(counter, "big")

    def seal_record(self, nonce: int, record: Record) -> bytes:
        """The bytes for the record's slot. Raises ValueError where the digest state is too long."""
        digest = b"" if record.digest is None else record.digest
        if len(digest) > DIGEST_MAX:
            raise ValueError("the digest state is too long for a commit record")
        length = _NO_DIGEST if record.digest is None else len(digest)
        floor = record.floor.to_bytes(NONCE, "big")
        plain = _RECORD.pack(record.sequence, record.offset, record.sound, floor, length, len(record.tail)) + digest + record.tail
        counter = nonce.to_bytes(NONCE, "big")
        sealed = self._aead.encrypt(counter, plain, self._data(_KIND_RECORD, slot_of(record.sequence)))
        return _SLOT.pack(counter, len(sealed)) + sealed

    def open_record(self, slot: int, stored: bytes | memoryview) -> tuple[Record, int, bytes]:
        """The record in a slot, its nonce, and the bytes of the slot that it takes. Raises Unverified."""
        if len(stored) < _SLOT.size:
            raise Unverified
        counter, length = _SLOT.unpack_from(stored)
        sealed = bytes(stored[_SLOT.size : _SLOT.size + length])
        if len(sealed) != length or length < _RECORD.size + TAG:
            raise Unverified
        try:
            plain = self._aead.decrypt(counter, sealed, self._data(_KIND_RECORD, slot))
        except InvalidTag:
            raise Unverified from None
        sequence, offset, sound, floor, digest_length, tail_length = _RECORD.unpack_from(plain)
        rest = plain[_RECORD.size :]
        digest = None if digest_length == _NO_DIGEST else rest[:digest_length]
        tail = rest[len(digest or b"") :]
        if len(tail) != tail_length or offset < self.start or (offset - self.start) % BLOCK != tail_length:
            raise Unverified
        record = Record(sequence, offset, sound, int.from_bytes(floor, "big"), digest, tail)
        return record, int.from_bytes(counter, "big"), bytes(stored[: _SLOT.size + length])

    def _data(self, kind: bytes, index: int) -> bytes:
        return kind + self._ids + index.to_bytes(8, "big")


def open_header(id: SegmentId, region: str, key: bytes, stored: bytes) -> SegmentSeal:
    """The seal of the segment whose file begins with `stored`. Raises Unverified: also where the key is another's, or the
    file is of another segment or version."""
    if len(stored) < HEADER:
        raise Unverified
    version, magic, salt, case, upload, epoch, start = _HEADER.unpack_from(stored)
    if (version, magic, case, upload, epoch) != (VERSION, _MAGIC, uid_bytes(id.case), uid_bytes(id.upload), id.epoch):
        raise Unverified
    seal = SegmentSeal(id, region, key, salt, start)
    seal.check_header(stored[:HEADER])
    return seal

"""SFTP version 3, outwards: replies to bytes. No I/O.

Source: draft-ietf-secsh-filexfer-02 §7, and OpenSSH's PROTOCOL for the extensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
import struct

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = 0, 1, 2, 3, 4, 5
OP_UNSUPPORTED = 8

TRANSFER_BYTES = 255 * 1024
"""The longest READ and WRITE that is advertised, and the longest READ that is answered: OpenSSH's own figure."""

FILE_MODE, FILE_MODE_READ_ONLY = 0o100600, 0o100400
DIRECTORY_MODE, DIRECTORY_MODE_READ_ONLY = 0o040700, 0o040500

EXTENSIONS = (
    (b"posix-rename@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"fstatvfs@openssh.com", b"2"),
    (b"fsync@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"check-file", b"sha256,sha1,md5,sha512,sha384,sha224"),
    (b"check-file-name", b"1"),
    (b"check-file-handle", b"1"),
    (b"copy-data", b"1"),
)

_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
_SIZE, _PERMISSIONS, _TIMES = 1, 4, 8
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HALF_A_YEAR = timedelta(days=182)

_U32 = struct.Struct(">I")
_HEAD = struct.Struct(">IB4s")
_DATA_HEAD = struct.Struct(">IB4sI")
_STATUS_HEAD = struct.Struct(">IB4sII")
_FACTS = struct.Struct(">IQIII")
_OK_HEAD, _OK_TAIL = b"\x00\x00\x00\x11\x65", bytes(12)
_BETWEEN_OKS = _OK_TAIL + _OK_HEAD


@dataclass(frozen=True, slots=True)
class Facts:
    """What is told of a file or directory. `size` in bytes, `modified_at` in UTC."""

    size: int
    modified_at: datetime
    directory: bool = False
    read_only: bool = False

    @property
    def mode(self) -> int:
        if self.directory:
            return DIRECTORY_MODE_READ_ONLY if self.read_only else DIRECTORY_MODE
        return FILE_MODE_READ_ONLY if self.read_only else FILE_MODE


def version() -> bytes:
    """VERSION 3 and the extensions. Whatever the client proposes, this is what there is."""
    body = b"".join(_string(name) + _string(value) for name, value in EXTENSIONS)
    return struct.pack(">IBI", 5 + len(body), 2, 3) + body


def ok(identifier: bytes) -> bytes:
    """STATUS OK, without words."""
    return _OK_HEAD + identifier + _OK_TAIL


def oks(identifiers: Iterable[bytes]) -> bytes:
    """The same for each of them."""
    return b"".join((_OK_HEAD, _BETWEEN_OKS.join(identifiers), _OK_TAIL))


def status(identifier: bytes, code: int, message: str) -> bytes:
    """STATUS with a sentence for the person at the other end."""
    text = message.encode()
    return _STATUS_HEAD.pack(19 + len(text), _STATUS, identifier, code, len(text)) + text + b"\x00\x00\x00\x02en"


def end_of_file(identifier: bytes) -> bytes:
    return status(identifier, EOF, "End of file.")


def handle(identifier: bytes, name: bytes) -> bytes:
    return _HEAD.pack(9 + len(name), _HANDLE, identifier) + _string(name)


def data(identifier: bytes, payload: bytes | memoryview) -> bytes:
    return b"".join((_DATA_HEAD.pack(9 + len(payload), _DATA, identifier, len(payload)), payload))


def attributes(identifier: bytes, facts: Facts) -> bytes:
    return _HEAD.pack(5 + _FACTS.size, _ATTRS, identifier) + _facts(facts)


def names(identifier: bytes, entries: Iterable[tuple[str, Facts]], now: datetime) -> bytes:
    """NAME with the facts of each entry, as READDIR asks for. `now` decides how dates are shown."""
    count, parts = 0, []
    for name, facts in entries:
        parts.append(_string(name.encode()) + _string(long_name(name, facts, now).encode()) + _facts(facts))
        count += 1
    body = b"".join(parts)
    return _HEAD.pack(9 + len(body), _NAME, identifier) + _U32.pack(count) + body


def real_path(identifier: bytes, path: str) -> bytes:
    """NAME with one absolute path and no attributes, §6.11."""
    name = _string(path.encode())
    return _HEAD.pack(9 + 2 * len(name) + 4, _NAME, identifier) + _U32.pack(1) + name + name + bytes(4)


def limits(identifier: bytes, *, packet: int, handles: int) -> bytes:
    """limits@openssh.com: longest packet, READ and WRITE in bytes, open handles."""
    body = struct.pack(">QQQQ", packet, TRANSFER_BYTES, TRANSFER_BYTES, handles)
    return _HEAD.pack(5 + len(body), _EXTENDED_REPLY, identifier) + body


def checked(identifier: bytes, algorithm: str, digests: bytes, *, tagged: bool) -> bytes:
    """The answer to the check-file extensions, draft-ietf-secsh-filexfer-09 §9.1.2."""
    body = (_string(b"check-file") if tagged else b"") + _string(algorithm.encode()) + digests
    return _HEAD.pack(5 + len(body), _EXTENDED_REPLY, identifier) + body


def space(identifier: bytes, *, total: int, free: int, name_bytes: int) -> bytes:
    """statvfs@openssh.com: `total` and `free` in bytes of the store, told in blocks of 4 KiB. Files are not limited in number."""
    block = 4096
    body = struct.pack(">11Q", block, block, total // block, free // block, free // block, 0, 0, 0, 0, 2, name_bytes)
    return _HEAD.pack(5 + len(body), _EXTENDED_REPLY, identifier) + body


def long_name(name: str, facts: Facts, now: datetime) -> str:
    """A line as `ls -l` writes it, in English and with no user of the host in it, §7."""
    kinds = "d" if facts.directory else "-"
    bits = "".join(letter if facts.mode & bit else "-" for letter, bit in zip("rwx", (0o400, 0o200, 0o100), strict=True))
    at = facts.modified_at
    recent = abs(now - at) < _HALF_A_YEAR
    when = f"{_MONTHS[at.month - 1]} {at.day:2d} " + (f"{at.hour:02d}:{at.minute:02d}" if recent else f" {at.year:04d}")
    return f"{kinds}{bits}------    1 eft      eft      {facts.size:>12d} {when} {name}"


def _string(value: bytes) -> bytes:
    return _U32.pack(len(value)) + value


def _facts(facts: Facts) -> bytes:
    """§5. Times are whole seconds in 32 bits: what lies outside is told as the nearest."""
    seconds = min(max(int(facts.modified_at.timestamp()), 0), 0xFFFFFFFF)
    return _FACTS.pack(_SIZE | _PERMISSIONS | _TIMES, facts.size, facts.mode, seconds, seconds)

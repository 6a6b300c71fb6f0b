"""SFTP version 3, inwards: bytes to requests. No I/O, no state but the bytes that do not make a packet yet.

Source: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the extensions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
import struct

from eft.domain.errors import EftError, Invalid, NameNotAllowed
from eft.sftp_temp.requests import (
    Attributes,
    CheckFile,
    Close,
    CopyData,
    FSetStat,
    FStat,
    FSync,
    Init,
    Limits,
    MakeDir,
    Open,
    OpenDir,
    Read,
    ReadDir,
    RealPath,
    Refused,
    Remove,
    RemoveDir,
    Rename,
    Request,
    SetStat,
    Stat,
    StatVfs,
    Unsupported,
    Write,
)
from eft.sftp_temp.runs import Run, find

PACKET_BYTES = 257 * 1024
"""The longest packet, without its length field: 256 KiB of payload and 1 KiB for the rest."""
PATH_BYTES = 4096
HANDLE_BYTES = 64

SMALL_WRITE = 8 * 1024
"""Payloads below this are copied out of the chunk they came in; above, they are views of it."""


class Kind:
    """Packet types, §3."""

    INIT, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = 1, 3, 4, 5, 6, 7, 8, 9, 10
    OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME = 11, 12, 13, 14, 15, 16, 17, 18
    EXTENDED = 200


_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_WRITE_TAIL = struct.Struct(">QI")

_MERGE_BELOW = 4 * 1024
_MERGE_UP_TO = 16 * 1024


class Garbage(Exception):
    """The bytes are not SFTP. Nothing after them can be trusted: the connection ends."""


class RequestParser:
    """Takes bytes as they come and gives requests one at a time. How the bytes were split makes no difference.

    What does not make a packet yet stays in the chunks it came in; only small chunks are merged, so that a peer that sends
    byte by byte costs no more memory than its bytes.
    """

    def __init__(self) -> None:
        self._chunks: deque[bytes | memoryview] = deque()
        self._position = 0
        self._length: int | None = None
        self.available = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Takes the next bytes. A view is of bytes that never change."""
        chunks = self._chunks
        if chunks and len(data) < _MERGE_BELOW and len(chunks[-1]) < _MERGE_UP_TO:
            chunks[-1] = b"".join((chunks[-1], data))
        elif data:
            chunks.append(data)
        self.available += len(data)

    def next(self) -> Request | None:
        """The next request, None where its packet is not complete. Raises Garbage."""
        if self.available < 4:
            return None
        length = self._length
        if length is None:
            length = self._length = self._peek_length()
        if self.available < 4 + length:
            return None
        self._length = None
        chunk, start = self._chunks[0], self._position
        stop = start + 4 + length
        if stop > len(chunk):
            return self._next_across(length)
        self.available -= 4 + length
        if stop == len(chunk):
            self._chunks.popleft()
            self._position = 0
        else:
            self._position = stop
        return _parse(chunk, start + 4, stop)

    def run(self, goes_on: Callable[[bytes, int], bool]) -> Run | None:
        """The small WRITEs that are there next and can be carried out together, `runs.find`. They stay the next requests until
        they are skipped."""
        if self._length is not None or not self._chunks:
            return None
        return find(self._chunks[0], self._position, goes_on)

    def skip(self, run: Run) -> None:
        """The requests of a run have been carried out."""
        self.available -= run.taken
        self._position += run.taken
        if self._position == len(self._chunks[0]):
            self._chunks.popleft()
            self._position = 0

    def clear(self) -> None:
        """Forgets what has not been given out."""
        self._chunks.clear()
        self._position, self._length, self.available = 0, None, 0

    def _peek_length(self) -> int:
        chunk = self._chunks[0]
        if len(chunk) - self._position >= 4:
            length: int = _U32.unpack_from(chunk, self._position)[0]
        else:
            field = bytearray()
            position = self._position
            for piece in self._chunks:
                field += piece[position : position + 4 - len(field)]
                position = 0
                if len(field) == 4:
                    break
            length = _U32.unpack(field)[0]
        if not 1 <= length <= PACKET_BYTES:
            raise Garbage(f"a packet of {length} bytes")
        return length

    def _next_across(self, length: int) -> Request:
        """The next request, whose packet lies in more than one chunk. The payload of a large WRITE is not joined."""
        self._take(4)
        head = b"".join(self._take(min(length, 1 + 4 + 4 + HANDLE_BYTES + 12)))
        rest = self._take(length - len(head))
        if head[0] != Kind.WRITE or len(head) < 9:
            whole = b"".join((head, *rest))
            return _parse(whole, 0, len(whole))
        handle_length = _U32.unpack_from(head, 5)[0]
        if handle_length > HANDLE_BYTES:
            return Refused(head[1:5], _no_such_handle())
        position = 9 + handle_length
        if len(head) < position + 12:
            raise Garbage("a WRITE that ends early")
        offset, count = _WRITE_TAIL.unpack_from(head, position)
        position += 12
        if count > length - position:
            raise Garbage("a WRITE that ends early")
        parts: list[bytes | memoryview] = []
        missing = count
        for piece in (head[position:], *rest):
            if missing and piece:
                part = piece[:missing]
                parts.append(part)
                missing -= len(part)
        return Write(head[1:5], head[9 : 9 + handle_length], offset, tuple(parts), count)

    def _take(self, count: int) -> list[bytes | memoryview]:
        """The next `count` bytes, as they lie."""
        self.available -= count
        taken: list[bytes | memoryview] = []
        while count:
            chunk, position = self._chunks[0], self._position
            here = len(chunk) - position
            if here > count:
                taken.append(memoryview(chunk)[position : position + count])
                self._position = position + count
                return taken
            taken.append(memoryview(chunk)[position:] if position else chunk)
            self._chunks.popleft()
            self._position = 0
            count -= here
        return taken


class _TooLong(Exception):
    """A string past its limit."""

    def __init__(self, error: EftError) -> None:
        self.error = error


def _no_such_handle() -> Invalid:
    return Invalid("There is no such handle.", "Open the file again.")


class _Fields:
    """The fields of one packet, in order. What follows the last field that is asked for is ignored, as OpenSSH does."""

    __slots__ = ("data", "position", "stop")

    def __init__(self, data: bytes, position: int, stop: int) -> None:
        self.data, self.position, self.stop = data, position, stop

    def u32(self) -> int:
        position = self.position
        if position + 4 > self.stop:
            raise Garbage("a packet that ends early")
        self.position = position + 4
        value: int = _U32.unpack_from(self.data, position)[0]
        return value

    def u64(self) -> int:
        position = self.position
        if position + 8 > self.stop:
            raise Garbage("a packet that ends early")
        self.position = position + 8
        value: int = _U64.unpack_from(self.data, position)[0]
        return value

    def string(self) -> bytes:
        length = self.u32()
        start = self.position
        if start + length > self.stop:
            raise Garbage("a packet that ends early")
        self.position = start + length
        return self.data[start : start + length]

    def path(self) -> bytes:
        path = self.string()
        if len(path) > PATH_BYTES:
            raise _TooLong(NameNotAllowed(f"is longer than {PATH_BYTES} bytes"))
        return path

    def handle(self) -> bytes:
        handle = self.string()
        if len(handle) > HANDLE_BYTES:
            raise _TooLong(_no_such_handle())
        return handle

    def attributes(self) -> Attributes:
        """§5. Raises Garbage."""
        flags = self.u32()
        found = Attributes()
        if flags & 1:
            found.size = self.u64()
        if flags & 2:
            self.u64()
        if flags & 4:
            self.u32()
        if flags & 8:
            self.u32()
            found.modified_at = self.u32()
        if flags & 0x80000000:
            for _ in range(self.u32()):
                self.string()
                self.string()
        return found


def _parse(data: bytes | memoryview, position: int, stop: int) -> Request:
    """The request in `data[position:stop)`, a packet without its length. Raises Garbage."""
    kind = data[position]
    if stop - position < 5:
        raise Garbage("a packet that ends early")
    if isinstance(data, memoryview) and (kind != Kind.WRITE or stop - position < SMALL_WRITE):
        data, position, stop = bytes(data[position:stop]), 0, stop - position
    identifier = bytes(data[position + 1 : position + 5])
    if kind == Kind.WRITE:
        return _parse_write(identifier, data, position + 5, stop)
    assert isinstance(data, bytes)
    fields = _Fields(data, position + 5, stop)
    try:
        return _parse_other(kind, identifier, fields)
    except _TooLong as too_long:
        return Refused(identifier, too_long.error)


def _parse_write(identifier: bytes, data: bytes | memoryview, position: int, stop: int) -> Request:
    """§6.4. Kept apart from the rest because a gigabyte has 4,000 to 260,000 of these."""
    if position + 4 > stop:
        raise Garbage("a WRITE that ends early")
    start = position + 4
    position = start + _U32.unpack_from(data, position)[0]
    if position - start > HANDLE_BYTES:
        return Refused(identifier, _no_such_handle())
    if position + 12 > stop:
        raise Garbage("a WRITE that ends early")
    offset, length = _WRITE_TAIL.unpack_from(data, position)
    begin = position + 12
    end = begin + length
    if end > stop:
        raise Garbage("a WRITE that ends early")
    part = bytes(data[begin:end]) if length < SMALL_WRITE else memoryview(data)[begin:end]
    return Write(identifier, bytes(data[start:position]), offset, (part,), length)


def _parse_other(kind: int, identifier: bytes, fields: _Fields) -> Request:
    match kind:
        case Kind.READ:
            return Read(identifier, fields.handle(), fields.u64(), fields.u32())
        case Kind.OPEN:
            return Open(identifier, fields.path(), fields.u32(), fields.attributes())
        case Kind.CLOSE:
            return Close(identifier, fields.handle())
        case Kind.STAT | Kind.LSTAT:
            return Stat(identifier, fields.path())
        case Kind.FSTAT:
            return FStat(identifier, fields.handle())
        case Kind.SETSTAT:
            return SetStat(identifier, fields.path(), fields.attributes())
        case Kind.FSETSTAT:
            return FSetStat(identifier, fields.handle(), fields.attributes())
        case Kind.OPENDIR:
            return OpenDir(identifier, fields.path())
        case Kind.READDIR:
            return ReadDir(identifier, fields.handle())
        case Kind.REMOVE:
            return Remove(identifier, fields.path())
        case Kind.MKDIR:
            return MakeDir(identifier, fields.path())
        case Kind.RMDIR:
            return RemoveDir(identifier, fields.path())
        case Kind.REALPATH:
            return RealPath(identifier, fields.path())
        case Kind.RENAME:
            return Rename(identifier, fields.path(), fields.path(), replace=False)
        case Kind.EXTENDED:
            return _parse_extended(identifier, fields)
        case Kind.INIT:
            return Init(b"", _U32.unpack(identifier)[0])
        case _:
            return Unsupported(identifier)


def _parse_extended(identifier: bytes, fields: _Fields) -> Request:
    """The extensions that VERSION names. Raises Garbage."""
    match fields.string():
        case b"posix-rename@openssh.com":
            return Rename(identifier, fields.path(), fields.path(), replace=True)
        case b"fsync@openssh.com":
            return FSync(identifier, fields.handle())
        case b"statvfs@openssh.com":
            fields.path()
            return StatVfs(identifier)
        case b"fstatvfs@openssh.com":
            fields.handle()
            return StatVfs(identifier)
        case b"limits@openssh.com":
            return Limits(identifier)
        case b"check-file-name":
            path = fields.path()
            return CheckFile(identifier, None, path, *_asked_digest(fields))
        case b"check-file-handle":
            handle = fields.handle()
            return CheckFile(identifier, handle, None, *_asked_digest(fields))
        case b"check-file":
            handle = fields.handle()
            return CheckFile(identifier, handle, None, *_asked_digest(fields), tagged=True)
        case b"copy-data":
            return CopyData(identifier, fields.handle(), fields.u64(), fields.u64(), fields.handle(), fields.u64())
        case _:
            return Unsupported(identifier)


def _asked_digest(fields: _Fields) -> tuple[str, int, int, int]:
    """The list of algorithms, the range, and the size of blocks."""
    return fields.string().decode("ascii", "replace"), fields.u64(), fields.u64(), fields.u32()

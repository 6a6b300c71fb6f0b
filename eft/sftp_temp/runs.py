"""Small WRITEs that follow each other, carried out together.

PSFTP writes 4 KiB at a time: a gigabyte has 262,144 of those, and one read of the socket brings fifty. Each of them by itself
costs twenty calls; so those that are plainly the next bytes of one file become one offer to it, and one piece of replies.
Whatever is not as plain as that is left where it lies and is carried out one by one, as everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
import struct

from eft.sftp_temp.early import EarlyReplies
from eft.sftp_temp.handles import HandleTable, WritableFile

RUN_WRITES = 64
"""As many WRITEs are carried out at once."""
LONGEST_PAYLOAD = 8 * 1024
"""A payload of this size or more is not copied: it is no part of a run."""

_WRITE = 6
_HANDLE_BYTES = 16
_LENGTH_FIELD = 4
_FIXED = 21
"""Bytes of a WRITE beside its handle, its payload and its own length: type, id, length of the handle, offset, count."""
_SHORTEST = _LENGTH_FIELD + _FIXED + 2
_U32 = struct.Struct(">I")


@dataclass(slots=True)
class Run:
    """WRITEs of `length` bytes each, one behind the other: `data` is the payload of all. They lie in `taken` bytes."""

    ids: list[bytes]
    handle: bytes
    offset: int
    data: bytes
    length: int
    taken: int


def find(chunk: bytes | memoryview, start: int, goes_on: Callable[[bytes, int], bool]) -> Run | None:
    """The WRITEs that begin at `start`, a boundary of packets, if there are two at least: of one handle, each as long as the
    first and beginning where the one before it ends. `goes_on` is asked whether that handle takes such at that offset."""
    if len(chunk) - start < 2 * _SHORTEST or chunk[start + _LENGTH_FIELD] != _WRITE:
        return None
    length, handle_length = _U32.unpack_from(chunk, start)[0], _U32.unpack_from(chunk, start + 9)[0]
    payload = length - _FIXED - handle_length
    if not 0 < handle_length <= _HANDLE_BYTES or not 0 < payload < LONGEST_PAYLOAD:
        return None
    size, head = _LENGTH_FIELD + length, _head(handle_length)
    last = min(start + RUN_WRITES * size, len(chunk)) - size
    if start + size > last:
        return None
    _, _, identifier, _, handle, offset, count = head.unpack_from(chunk, start)
    if count != payload or not goes_on(handle, offset):
        return None
    view, begins, position, following = memoryview(chunk), head.size, start + size, offset + count
    usual = (length, _WRITE, handle_length, handle, count)
    identifiers, payloads = [identifier], [view[start + begins : position]]
    while position <= last:
        one, kind, identifier, two, other, at, size_of = head.unpack_from(chunk, position)
        if at != following or (one, kind, two, other, size_of) != usual:
            break
        identifiers.append(identifier)
        payloads.append(view[position + begins : position + size])
        position += size
        following += count
    if len(identifiers) < 2:
        return None
    return Run(identifiers, handle, offset, b"".join(payloads), count, position - start)


@cache
def _head(handle_length: int) -> struct.Struct:
    """All of a WRITE before its payload: length, type, id, handle, offset, count."""
    return struct.Struct(f">IB4sI{handle_length}sQI")


class Runs:
    """Writes them into the files of one session."""

    def __init__(self, handles: HandleTable, early: EarlyReplies) -> None:
        self._handles = handles
        self._early = early

    def goes_on(self, handle: bytes, offset: int) -> bool:
        """Whether a WRITE there is what comes next of a file, and none waits for its reply."""
        file = self._handles.find(handle)
        return isinstance(file, WritableFile) and not self._early and file.goes_on(offset)

    def write(self, run: Run) -> WritableFile | None:
        """The file that has taken them all; None where something is in the way, and nothing was taken."""
        file = self._handles.find(run.handle)
        return file if isinstance(file, WritableFile) and file.write_run(run.data, run.length) else None

"""Small pieces are put together before they are hashed and sealed.

Each call of the digest lets another thread run and waits for its turn afterwards, which costs more than it does to copy what a
TLS record or an SFTP packet holds; and what is not in one piece is copied for sealing anyway. The buffer is one for each thread
and stays: memory that is asked for and given back each time costs a page fault for each 4 KiB, which is dearer than the copy.
"""

from __future__ import annotations

from collections.abc import Iterator
import threading

from eft.transfers.intent import BATCH

LARGE = 128 * 1024
"""Bytes of a piece from which on it is not copied."""


class _Buffer(threading.local):
    def __init__(self) -> None:
        self.content = memoryview(bytearray(BATCH))


_own = _Buffer()


def gathered(parts: list[bytes | memoryview]) -> Iterator[list[bytes | memoryview]]:
    """The same bytes in the same order, in groups of about 1 MiB: neighbours smaller than 128 KiB as one piece, larger ones as
    they are. The list is empty afterwards: each part is let go of as soon as it is copied or its group was used. A group is good
    until the next is asked for."""
    parts.reverse()
    while parts:
        if len(parts[-1]) >= LARGE or len(parts) == 1:
            yield _large(parts)
        else:
            yield [_copied(parts)]


def _large(parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """The last parts, as they are."""
    taken = [parts.pop()]
    size = len(taken[0])
    while parts and len(parts[-1]) >= LARGE and size < BATCH:
        taken.append(parts.pop())
        size += len(taken[-1])
    return taken


def _copied(parts: list[bytes | memoryview]) -> memoryview:
    """The last parts up to a large one, as many as fit."""
    buffer, filled = _own.content, 0
    while parts and len(parts[-1]) < LARGE and filled + len(parts[-1]) <= len(buffer):
        part = parts.pop()
        buffer[filled : filled + len(part)] = part
        filled += len(part)
    return buffer[:filled]

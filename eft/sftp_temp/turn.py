"""A turn of one connection: what one read brought is looked at, then what that led to is done, then all of it is sent at once.

A write to a socket costs this process more than making and sealing a small packet does, and another turn of the event loop costs
a system call. So packets wait for the end of the turn: of the read that led to them, or of the loop's turn where nothing is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

GATHERED_BYTES = 64 * 1024
"""From here on what was gathered is sent at once."""


class Turn:
    """Gathers packets and what is put off. `write` gets the packets in order, `failed` is told of what was put off and raised."""

    __slots__ = ("_bytes", "_failed", "_later", "_loop", "_open", "_packets", "_scheduled", "_write")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        write: Callable[[list[bytes | bytearray]], None],
        failed: Callable[[], None],
    ) -> None:
        self._loop, self._write, self._failed = loop, write, failed
        self._later: list[Callable[[], None]] = []
        self._packets: list[bytes | bytearray] = []
        self._bytes = 0
        self._open = False
        self._scheduled = False

    def begin(self) -> None:
        """Until `end` nothing is sent, and nothing is asked of the event loop."""
        self._open = True

    def end(self) -> None:
        """Does what was put off, and sends what was gathered."""
        self._scheduled = False
        self._open = True
        while self._later:
            later, self._later = self._later, []
            try:
                for what in later:
                    what()
            except Exception:
                self._failed()
        self._open = False
        self.flush()

    def later(self, what: Callable[[], None]) -> None:
        """Calls it at the end of the turn. It may put off other work, but not itself."""
        self._later.append(what)
        self._schedule()

    def gather(self, packet: bytes | bytearray) -> None:
        """Sends it at the end of the turn, or with those before it as soon as they are many."""
        self._packets.append(packet)
        self._bytes += len(packet)
        if self._bytes >= GATHERED_BYTES:
            self.flush()
        else:
            self._schedule()

    def flush(self) -> None:
        """Sends what was gathered now."""
        if self._packets:
            packets, self._packets, self._bytes = self._packets, [], 0
            self._write(packets)

    def _schedule(self) -> None:
        if not self._open and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.end)

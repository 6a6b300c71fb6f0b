"""Writes answers no faster than the peer reads them: a peer that does not read costs one write buffer."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Final

from eft.http_resumable.limits import Limits
from eft.http_resumable.pace import Pace
from eft.http_resumable.refusals import Disconnected
from eft.http_resumable.response import Response, head_of

_BYTES_ACKED: Final = slice(120, 128)
"""`tcpi_bytes_acked` in `struct tcp_info` (linux/tcp.h)."""
_SMALL_PIECE: Final = 16 * 1024
_TURN_BYTES: Final = 256 * 1024


class Outgoing:
    """The writing half of one connection. Everything that waits raises Disconnected when the connection has gone."""

    __slots__ = ("_acknowledged", "_limits", "_lost", "_pace", "_paused", "_transport", "_waiters")

    def __init__(self, transport: asyncio.WriteTransport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._paused = False
        self._lost = False
        self._waiters: list[asyncio.Future[None]] = []
        self._pace: Pace | None = None
        self._acknowledged = 0
        transport.set_write_buffer_limits(high=limits.write_buffer_bytes)

    # called by the connection

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._pace = None
        self._wake()

    def lost(self) -> None:
        self._lost = True
        self._pace = None
        self._wake()

    def is_too_slow(self, now: float) -> bool:
        """Whether the peer reads too slowly to be worth waiting for. Asked now and then, so that nothing need be measured while
        data flows."""
        if not self._paused or self._lost:
            return False
        if self._pace is None:
            self._pace = Pace(self._limits.minimum_rate, self._limits.write_window_s)
            self._acknowledged = self._bytes_acknowledged()
        elif (acknowledged := self._bytes_acknowledged()) > self._acknowledged:
            self._pace.came(now, acknowledged - self._acknowledged)
            self._acknowledged = acknowledged
        self._pace.waits(now)
        return self._pace.is_too_slow(now)

    def _bytes_acknowledged(self) -> int:
        """What the peer's side has taken, by its TCP: our own buffer empties in steps far larger than what a slow peer reads."""
        sock = self._transport.get_extra_info("socket")
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.stop)
        return int.from_bytes(info[_BYTES_ACKED], sys.byteorder)

    # for those who write

    def write(self, data: bytes) -> None:
        """Hands small data over without waiting; nothing where the connection has gone."""
        if not self._lost:
            self._transport.write(data)

    async def send(self, *pieces: bytes) -> None:
        """Hands the pieces over and waits until the peer has read enough for more."""
        if self._lost or self._transport.is_closing():
            raise Disconnected
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        else:
            self._transport.writelines(pieces)
        await self._drain()

    async def flush(self) -> None:
        """Waits until nothing is left in our own buffer."""
        if not self._lost:
            self._transport.set_write_buffer_limits(high=1, low=0)
        await self._drain()

    async def answer(self, response: Response, *, to_head: bool, http_11: bool, date: str, keep_alive: bool) -> None:
        """Writes the whole answer, and closes a streamed body however that ends.

        Raises Disconnected; RuntimeError for a body that is not as long as was said, when the peer has seen part of it.
        """
        body = response.body
        try:
            chunked = response.length is None and http_11
            head = head_of(response, date=date, chunked=chunked, keep_alive=keep_alive)
            bodiless = to_head or not response.has_body
            if bodiless:
                await self.send(head)
            elif isinstance(body, bytes):
                await self.send(head + body)
            else:
                await self.send(head)
                await self._stream(response, chunked)
        finally:
            if not isinstance(body, bytes) and hasattr(body, "aclose"):
                await body.aclose()

    async def _stream(self, response: Response, chunked: bool) -> None:
        assert not isinstance(response.body, bytes)
        sent = unshared = 0
        async for piece in response.body:
            sent += len(piece)
            unshared += len(piece)
            if unshared >= _TURN_BYTES:
                # A fast source and a fast peer would never let another connection have its turn.
                unshared = 0
                await asyncio.sleep(0)
            if response.length is not None and sent > response.length:
                raise RuntimeError("a body longer than its length")
            if not chunked:
                await self.send(piece)
            elif len(piece) > _SMALL_PIECE:
                await self.send(b"%x\r\n" % len(piece), piece, b"\r\n")
            elif piece:
                await self.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        if response.length is not None and sent < response.length:
            raise RuntimeError("a body shorter than its length")
        if chunked:
            await self.send(b"0\r\n\r\n")

    async def _drain(self) -> None:
        while self._paused and not self._lost:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._lost:
            raise Disconnected

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

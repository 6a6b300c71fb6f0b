"""A connection before its TLS begins: whether there is room for it, and what a proxy in TCP mode says of it."""

from __future__ import annotations

import asyncio
from collections import Counter
import socket
from typing import Final

from eft.domain.proxy_protocol import ProxyHeader, ProxyHeaderInvalid
from eft.http_resumable.limits import Limits
from eft.http_resumable.refusals import Refusal

_PEEK_BYTES: Final = 4096 + 16
_RETRY_S: Final = 5


class Room:
    """Bounds connections, in all and for each client address.

    One too many is told so, in an answer to its first request; past `turned_away` of those at once it is only closed.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._turned_away = 0
        self.open = 0
        self.empty = asyncio.Event()
        self.empty.set()

    def enter(self) -> Place | None:
        """A place for a connection that was just accepted; None where it is to be closed."""
        place = Place(self)
        if self.open - self._turned_away >= self._limits.connections and not place.turn_away("The server"):
            return None
        self.open += 1
        self.empty.clear()
        return place


class Place:
    """One connection's place, until `leave`. `refusal` is what its first request is answered with."""

    __slots__ = ("_address", "_left", "_room", "refusal")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._address: str | None = None
        self._left = False
        self.refusal: Refusal | None = None

    def of(self, address: str) -> bool:
        """It is known now whose it is. False where it is to be closed."""
        limit = self._room._limits.connections_per_address
        if not limit or self.refusal is not None:
            return True
        if self._room._by_address[address] >= limit:
            return self.turn_away("This address")
        self._room._by_address[address] += 1
        self._address = address
        return True

    def turn_away(self, who: str) -> bool:
        """Its first request is refused. False where too many are being refused already."""
        if self._room._turned_away >= self._room._limits.turned_away:
            return False
        self._room._turned_away += 1
        self.refusal = Refusal(
            503,
            "too-many-connections",
            f"{who} has as many connections as it may have.",
            f"Close some, or try again in {_RETRY_S} seconds.",
            headers={"Retry-After": str(_RETRY_S)},
            close=True,
        )
        return True

    def leave(self) -> None:
        """The connection has ended, in its handshake or later. Counted once."""
        if self._left:
            return
        self._left = True
        room = self._room
        room.open -= 1
        room._turned_away -= self.refusal is not None
        if self._address is not None:
            room._by_address[self._address] -= 1
            if not room._by_address[self._address]:
                del room._by_address[self._address]
        if not room.open:
            room.empty.set()


async def proxied_client(accepted: socket.socket, patience_s: float) -> str | None:
    """Reads the PROXY header and nothing past it; the client's address, None where the connection is the proxy's own.

    Raises ProxyHeaderInvalid, TimeoutError, OSError.
    """
    header = ProxyHeader()
    async with asyncio.timeout(patience_s):
        while not header.complete:
            await _readable(accepted)
            try:
                data = accepted.recv(_PEEK_BYTES, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                continue
            if not data:
                raise ProxyHeaderInvalid("the connection ended")
            accepted.recv(header.take(data))
    return header.client


async def _readable(accepted: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def awake() -> None:
        loop.remove_reader(accepted)
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(accepted, awake)
    try:
        await ready
    finally:
        loop.remove_reader(accepted)

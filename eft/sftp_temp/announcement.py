"""The PROXY header that a listed proxy sends before SSH begins. Until it is there, nothing reaches SSH."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, ip_address, ip_network

from eft.domain.proxy_protocol import ProxyHeader, ProxyHeaderInvalid


def announces(address: str, proxies: Iterable[str]) -> bool:
    """Whether connections from `address` begin with a header, `proxies` being networks."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in ip_network(network) for network in proxies)


class Announcement(asyncio.Protocol):
    """Stands before the protocol of `transport` until the header is complete, then hands over to it and is gone.

    `announced` is told the client's address, None where the connection is the proxy's own, and says whether to go on; `invalid`
    is told of a connection that begins with anything else. Silence ends by the time limit for signing in.
    """

    def __init__(
        self, transport: asyncio.Transport, announced: Callable[[str | None], bool], invalid: Callable[[], None]
    ) -> None:
        self._transport, self._announced, self._invalid = transport, announced, invalid
        self._header = ProxyHeader()
        self._next = transport.get_protocol()
        transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        try:
            used = self._header.take(data)
        except ProxyHeaderInvalid:
            self._invalid()
            return
        if not self._header.complete:
            return
        self._transport.pause_reading()  # uvloop would go on with the old kind of protocol otherwise
        self._transport.set_protocol(self._next)
        self._transport.resume_reading()
        if self._announced(self._header.client):
            self._pass_on(data[used:])

    def _pass_on(self, data: bytes) -> None:
        """What came behind the header in the same read."""
        following = self._next
        if isinstance(following, asyncio.Protocol):
            following.data_received(data)
        elif isinstance(following, asyncio.BufferedProtocol):
            while data:
                buffer = memoryview(following.get_buffer(len(data)))
                size = min(len(buffer), len(data))
                buffer[:size] = data[:size]
                following.buffer_updated(size)
                data = data[size:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._next.connection_lost(exc)

    def eof_received(self) -> None:
        self._invalid()

    def pause_writing(self) -> None:
        self._next.pause_writing()

    def resume_writing(self) -> None:
        self._next.resume_writing()

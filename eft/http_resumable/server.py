"""The HTTPS server: listening sockets, TLS, the bounds on connections, and an orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
import errno
import logging
from pathlib import Path
import resource
import socket
import ssl
import sys
from typing import Final

from eft.domain.clock import Clock
from eft.domain.proxy_protocol import ProxyHeaderInvalid
from eft.http_resumable.arrivals import Place, Room, proxied_client
from eft.http_resumable.limits import Limits
from eft.http_resumable.proxies import Networks
from eft.http_resumable.tls import Tls
from eft.http_resumable.wire import Connection, Handler, Site

log = logging.getLogger("eft.http")

_CIPHERS_TLS_1_2: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!SHA1"
_BACKLOG: Final = 1024
_ACCEPTS_IN_ONE_GO: Final = 64
_CANCEL_S: Final = 5.0
_REST_S: Final = 0.5
_SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
)
"""Set on the listening socket; Linux hands them down to what it accepts. A peer that vanished is noticed within a minute, also
where data for it is on its way."""

_LAST_WORDS_S: Final = 3.0
"""Of the grace at the end: how long before it runs out bodies that are still coming are interrupted."""


def tls_context(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers; no compression, no renegotiation. All the ciphers are good,
    so the client chooses: it knows which of them its machine is fast at.

    Raises OSError and ssl.SSLError where the files do not serve.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS_TLS_1_2)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, private_key)
    return context


def open_as_many_files_as_allowed() -> int:
    """Raises this process's limit of descriptors as far as it may; how many it may have open then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


class HttpServer:
    """Serves `handler` over TLS on any number of addresses, in the running event loop.

    Connections from `proxy_protocol_from` begin with a PROXY header. `proxies` stand for many clients: the limit for one address
    does not hold for theirs.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        ssl_context: ssl.SSLContext,
        clock: Clock,
        limits: Limits | None = None,
        proxy_protocol_from: Iterable[str] = (),
        proxies: Iterable[str] = (),
    ) -> None:
        self._site = Site(handler=handler, clock=clock, limits=limits or Limits())
        self._ssl_context = ssl_context
        self._listeners: list[socket.socket] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._looked_at = 0.0
        self._room = Room(self._site.limits)
        self._announced = Networks(proxy_protocol_from)
        self._proxies = Networks(proxies)

    @property
    def connections(self) -> int:
        """Open connections, those still in their TLS handshake included."""
        return self._room.open

    @property
    def requests(self) -> int:
        """Requests begun since the start."""
        return self._site.requests

    @property
    def limits(self) -> Limits:
        return self._site.limits

    async def listen(self, host: str, port: int, *, reuse_port: bool = True) -> int:
        """Listens on every address of `host`; port 0 picks a free one. Returns the port. May be called several times.

        Raises OSError where the address cannot be had; then nothing of this call is left listening.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        opened: list[socket.socket] = []
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                port = port or (opened[0].getsockname()[1] if opened else 0)
                opened.append(_listener(family, (address[0], port), reuse_port))
        except OSError:
            for listener in opened:
                listener.close()
            raise
        for listener in opened:
            loop.add_reader(listener, self._accept, listener)
        self._listeners += opened
        if self._sweep is None:
            self._look()
        return int(opened[0].getsockname()[1])

    async def close(self, grace_s: float) -> None:
        """Stops accepting, ends idle connections, and gives running answers `grace_s` seconds; then cuts what is left.

        A body that is still coming 3 s before that is interrupted, so that what came can be kept and the client be told.
        """
        loop = asyncio.get_running_loop()
        self._site.closing = True
        for listener in self._listeners:
            # Whoever has connected already would be reset by the kernel, and not know that another worker is there.
            self._accept(listener)
            loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        for connection in list(self._site.connections):
            connection.retire()
        if not await self._all_gone(max(0.0, grace_s - _LAST_WORDS_S)):
            for connection in list(self._site.connections):
                connection.interrupt()
            if not await self._all_gone(min(grace_s, _LAST_WORDS_S)):
                await self._cut()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _all_gone(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._room.empty.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _cut(self) -> None:
        tasks: set[asyncio.Task[None]] = set(self._handshakes)
        for handshake in list(self._site.handshakes):
            handshake.abort()
        for connection in list(self._site.connections):
            if connection.task is not None:
                tasks.add(connection.task)
            connection.abort()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_S)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_IN_ONE_GO):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Out of descriptors or memory. The queue stays readable, so asking again at once would only burn the processor.
                log.error("http.accept_failed", extra={"reason": errno.errorcode.get(error.errno or 0, "unknown")})
                self._rest_from_accepting(listener)
                return
            place = self._room.enter()
            if place is None:
                accepted.close()
                continue
            accepted.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._handshake(accepted, address[0], place))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def _rest_from_accepting(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(_REST_S, self._accept_again, listener)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def _handshake(self, accepted: socket.socket, address: str, place: Place) -> None:
        limits = self._site.limits
        try:
            client = address
            if self._announced.has(address):
                client = await proxied_client(accepted, limits.handshake_s) or address
            if not self._proxies.has(client) and not place.of(client):
                raise ConnectionRefusedError

            def connection() -> Connection:
                return Connection(self._site, place.leave, peer=client, refusal=place.refusal)

            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Tls(self._site, self._ssl_context, connection, place.leave), accepted
            )
        except (OSError, ProxyHeaderInvalid) as error:
            log.debug("http.refused", extra={"reason": type(error).__name__})
            accepted.close()
            place.leave()
        except BaseException:
            accepted.close()
            place.leave()
            raise

    def _look(self) -> None:
        """Acts on what takes too long; not at the first look after the machine stood still, as what came meanwhile is unread."""
        sweep_s = self._site.limits.sweep_s
        now = self._site.clock.monotonic()
        stood_still, self._looked_at = now - self._looked_at > 1.0 + 4 * sweep_s, now
        if not stood_still:
            for handshake in list(self._site.handshakes):
                handshake.check(now)
            for connection in list(self._site.connections):
                connection.check(now)
        self._sweep = asyncio.get_running_loop().call_later(sweep_s, self._look)


def _listener(family: int, address: tuple[object, int], reuse_port: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        for level, option, value in _SOCKET_OPTIONS:
            listener.setsockopt(level, option, value)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener

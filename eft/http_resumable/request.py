"""A request as a handler sees it, and its body as it arrives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import cached_property
from typing import Final, Protocol
from urllib.parse import parse_qsl

from eft.domain.errors import TooLarge
from eft.http_resumable.framing import Framing
from eft.http_resumable.head import RequestHead
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Refusal

_PIECE_OVERHEAD: Final = 64
"""Bytes that a buffered piece costs beyond its payload: without it a peer that sends single bytes would get 40 times the
buffer that it is allowed."""


class Wire(Protocol):
    """What a request asks of its connection."""

    def body_wanted(self) -> None:
        """A handler waits for the body."""

    def body_taken(self) -> None:
        """There is room in the buffer again."""

    def inform(self, status: int, headers: Headers, *, http_11: bool) -> None: ...

    async def disconnected(self) -> None: ...


class RequestBody:
    """The body: an asynchronous iterator of pieces of 1 byte to about 256 KiB, in order.

    What arrives while the handler is busy is gathered, up to a limit; past that the peer is made to wait. What arrived before
    the peer went away is still given out, then Disconnected is raised.

    Iterating raises Disconnected, BodyTooSlow, TooLarge (past `limit`), Refusal (wrong framing), or what `interrupt` was given.
    """

    __slots__ = ("_buffered", "_error", "_framing", "_high", "_pieces", "_waiter", "_wire", "limit", "received")

    def __init__(self, framing: Framing, wire: Wire, high: int) -> None:
        self._framing = framing
        self._wire = wire
        self._high = high
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.limit: int | None = None
        self.received = 0

    @property
    def complete(self) -> bool:
        """Whether all of it came from the peer; it may still be in the buffer."""
        return self._framing.complete

    @property
    def remaining(self) -> int | None:
        """Bytes that did not come yet, None where nobody knows."""
        return self._framing.remaining

    @property
    def trailers(self) -> Headers:
        """The trailer fields (RFC 9110 §6.5): whole once the iteration has ended, empty before."""
        return self._framing.trailers if self.complete else Headers()

    @property
    def waiting(self) -> bool:
        """Whether a handler waits for the peer."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def full(self) -> bool:
        return self._buffered >= self._high

    def __aiter__(self) -> RequestBody:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self.limit is not None and self.received + (self.remaining or 0) > self.limit:
                raise TooLarge(self.limit)
            if self._pieces:
                return self._take()
            if self.complete:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            await self._arrival()

    async def read(self, limit: int) -> bytes:
        """All of it. Raises TooLarge where it is more than `limit` bytes, and what iterating raises."""
        self.limit = limit
        return b"".join([piece async for piece in self])

    def interrupt(self, error: BaseException) -> None:
        """Nothing more is awaited: once what came is taken, the reader is given `error`. The first call counts."""
        if self._error is None and not self.complete:
            self._error = error
        self._wake()

    # called by the connection

    def feed(self, data: memoryview) -> int:
        """How much of `data` belongs to this body. Raises Refusal."""
        payload, used = self._framing.feed(data)
        if payload:
            self.received += len(payload)
            self._pieces.append(payload)
            self._buffered += len(payload) + _PIECE_OVERHEAD
        if payload or self.complete:
            self._wake()
        return used

    def discard(self) -> int:
        """Forgets what is buffered; how many bytes that was."""
        forgotten = sum(len(piece) for piece in self._pieces)
        self._pieces.clear()
        self._buffered = 0
        return forgotten

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        was_full = self.full
        self._buffered -= len(piece) + _PIECE_OVERHEAD
        if was_full and not self.full:
            self._wire.body_taken()
        return piece

    async def _arrival(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("two readers of one body")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            self._wire.body_wanted()
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Request:
    """One request. `peer` is the client's address, without a port; it, `host` and `scheme` are as the client used them, also
    behind a proxy that is believed. `counted` is what the request counts as while it is under way (`rates.py`).
    """

    def __init__(self, head: RequestHead, body: RequestBody, wire: Wire, peer: str) -> None:
        self.method = head.method
        self.path = head.path
        self.raw_path = head.raw_path
        self.raw_query = head.raw_query
        self.host = head.host
        self.headers = head.headers
        self.http_11 = head.http_11
        self.expects_continue = head.expects_continue
        self.content_length = head.body_length
        self.body = body
        self.peer = peer
        self.scheme = "https"
        self.takes_interim = True
        self.counted: list[tuple[str, str]] = []
        self._wire = wire

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query's fields. Raises Refusal where it is no form-encoded UTF-8, or has more than 100."""
        fields: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(self.raw_query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            raise Refusal(400, "query-invalid", "The query of the address cannot be read.") from None
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return fields

    def inform(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Sends an interim answer, 102 to 199 (RFC 9110 §15.2), at once. HTTP/1.0 peers are sent none, nor are proxies that would
        not know what to do with it."""
        if not 102 <= status <= 199:
            raise ValueError("not an interim status")
        if self.takes_interim:
            self._wire.inform(status, Headers(headers), http_11=self.http_11)

    async def disconnected(self) -> None:
        """Returns when the peer has gone."""
        await self._wire.disconnected()

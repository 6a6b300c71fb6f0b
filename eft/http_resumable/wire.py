"""One HTTP/1.1 connection: bytes in, requests out (RFC 9112). `outgoing.py` writes the answers.

A connection reads one request at a time. Bytes of a next, pipelined one wait unparsed, and the peer is not read from while
they do. Everything that comes in is handled in the callback that brings it; the only task is the handler's, one a request, and
it is woken once however much arrived meanwhile.

::

    HEAD ──head whole──> BODY ──body whole──> ANSWER ──answer written──> HEAD
                          └──answer written──> DRAIN ──body whole──────> HEAD
    any ──answered, and not to be kept──> LINGER ──> CLOSED
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
import logging
from typing import Final, cast

from eft.domain.errors import EftError
from eft.http_resumable import problems
from eft.http_resumable.framing import framing
from eft.http_resumable.head import HeadReader, RequestHead
from eft.http_resumable.headers import Headers
from eft.http_resumable.outgoing import Outgoing
from eft.http_resumable.pace import Pace
from eft.http_resumable.refusals import BodyTooSlow, Disconnected, Refusal, Stopping
from eft.http_resumable.request import Request, RequestBody
from eft.http_resumable.response import Response, head_of, interim
from eft.http_resumable.site import Handler, Site

__all__ = ["Connection", "Handler", "Site"]

log = logging.getLogger("eft.http")

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NOTHING: Final = memoryview(b"")


class _State(Enum):
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    DRAIN = auto()
    LINGER = auto()
    CLOSED = auto()


class Connection(asyncio.BufferedProtocol):
    """One connection of a `Site`. `on_lost` is called once, when it has ended. `peer`: the client's address, where that is not
    the socket's other end. `refusal`: what the first request is answered with, whatever it is."""

    def __init__(
        self, site: Site, on_lost: Callable[[], None], *, peer: str | None = None, refusal: Refusal | None = None
    ) -> None:
        self._site = site
        self._limits = site.limits
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._outgoing: Outgoing
        self._peer = peer
        self._refusal = refusal
        self._is_fresh = True
        self._pace: Pace | None = None
        self._state = _State.HEAD
        self._reader: HeadReader | None = None
        self._body: RequestBody | None = None
        self._body_broken = False
        self._continue_owed = False
        self._rest = _NOTHING
        self._discarded = 0
        self._reading_paused = False
        self._gone: asyncio.Future[None] | None = None
        self._deadline: float | None = None
        self.task: asyncio.Task[None] | None = None

    # what the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outgoing = Outgoing(self._transport, self._limits)
        if self._peer is None:
            peer = transport.get_extra_info("peername")
            self._peer = peer[0] if isinstance(peer, tuple) else ""
        self._site.connections.add(self)
        self._deadline = self._in(self._limits.goodbye_s if self._site.closing else self._limits.head_s)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._site.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._feed(self._site.buffer[:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = _State.CLOSED
        self._site.connections.discard(self)
        self._deadline = None
        self._rest = _NOTHING
        self._outgoing.lost()
        if self._body is not None:
            self._body.interrupt(Disconnected())
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self._on_lost()

    def pause_writing(self) -> None:
        self._outgoing.pause()

    def resume_writing(self) -> None:
        self._outgoing.resume()

    # what a request asks for

    def body_wanted(self) -> None:
        if self._continue_owed:
            self._continue_owed = False
            self._outgoing.write(_CONTINUE)
        if self._pace is not None:
            self._pace.waits(self._site.clock.monotonic())

    def body_taken(self) -> None:
        if self._state is _State.BODY:
            self._resume_reading()

    def inform(self, status: int, headers: Headers, *, http_11: bool) -> None:
        if http_11 and self._state in (_State.BODY, _State.ANSWER):
            self._outgoing.write(interim(status, headers))

    async def disconnected(self) -> None:
        if self._state is not _State.CLOSED:
            if self._gone is None:
                self._gone = self._loop.create_future()
            await asyncio.shield(self._gone)

    # what the server asks for

    def check(self, now: float) -> None:
        """Acts on what took too long."""
        if self._outgoing.is_too_slow(now):
            self._transport.abort()
        elif self._state is _State.BODY and self._pace is not None and self._pace.is_too_slow(now):
            assert self._body is not None
            self._body.interrupt(BodyTooSlow(self._limits.minimum_rate, self._limits.body_window_s))
        elif self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._too_late()

    def retire(self) -> None:
        """Ends the connection now if it is idle, after the present answer otherwise. `Site.closing` is set before.

        One that has just come has a moment to ask: its client would not know why it was turned away."""
        if self._state is _State.HEAD and (self._reader is None or not self._reader.begun):
            if self._is_fresh:
                self._deadline = min(self._deadline or 0.0, self._in(self._limits.goodbye_s))
            else:
                self._close()

    def interrupt(self) -> None:
        """Takes no more of a body that is still coming: what came is kept, and the client told to go on elsewhere."""
        if self._state is _State.BODY and self._body is not None:
            self._body.interrupt(Stopping())

    def abort(self) -> None:
        self._transport.abort()

    # reading

    def _feed(self, data: memoryview) -> None:
        try:
            while data:
                if self._state is _State.HEAD:
                    data = data[self._feed_head(data) :]
                elif self._state is _State.BODY:
                    data = data[self._feed_body(data) :]
                elif self._state is _State.DRAIN:
                    data = data[self._feed_drain(data) :]
                elif self._state is _State.ANSWER:
                    self._hold(data)
                    return
                else:
                    self._feed_linger(len(data))
                    return
        except Refusal as refusal:
            self._refuse(refusal)

    def _feed_head(self, data: memoryview) -> int:
        if self._reader is None:
            self._reader = HeadReader(self._limits)
            self._deadline = self._in(self._limits.head_s)
        head, used = self._reader.feed(data)
        if head is not None:
            self._reader = None
            self._begin(head)
        return used

    def _begin(self, head: RequestHead) -> None:
        self._site.requests += 1
        self._deadline = None
        self._is_fresh = False
        if self._refusal is not None:
            self._refuse(self._refusal, more_comes=head.body_length != 0)
            return
        self._body = RequestBody(framing(head.body_length, self._limits), self, self._limits.body_buffer_bytes)
        self._body_broken = False
        self._continue_owed = head.expects_continue and not self._body.complete
        self._state = _State.ANSWER if self._body.complete else _State.BODY
        self._pace = None if self._body.complete else Pace(self._limits.minimum_rate, self._limits.body_window_s)
        request = Request(head, self._body, self, self._peer or "")
        self.task = self._loop.create_task(self._serve(request, head.keep_alive))

    def _feed_body(self, data: memoryview) -> int:
        body, pace = self._body, self._pace
        assert body is not None
        assert pace is not None
        before = body.received
        try:
            used = body.feed(data)
        except Refusal as refusal:
            # The handler is told, and answers; nothing that follows can be understood.
            self._body_broken = True
            self._state = _State.ANSWER
            self._deadline = None
            self._pause_reading()
            body.interrupt(refusal)
            return len(data)
        self._continue_owed = False
        now = self._site.clock.monotonic()
        pace.came(now, body.received - before)
        if body.waiting:
            pace.waits(now)
        if body.complete:
            self._state = _State.ANSWER
        elif body.full:
            self._pause_reading()
        return used

    def _hold(self, data: memoryview) -> None:
        """Keeps a pipelined request for later. A view of bytes of our own is kept as it is, the shared buffer is copied."""
        if self._body_broken:
            return
        if self._rest:
            data = memoryview(bytes(self._rest) + bytes(data))
        self._rest = data if data.readonly else memoryview(bytes(data))
        self._pause_reading()

    def _feed_drain(self, data: memoryview) -> int:
        body = self._body
        assert body is not None
        used = body.feed(data)
        self._discarded += used
        body.discard()
        if body.complete:
            self._next()
        elif self._discarded > self._limits.drain_bytes:
            self._linger()
        return used

    def _feed_linger(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._limits.linger_bytes and not self._transport.is_closing():
            self._close(self._limits.goodbye_s)

    def _next(self) -> None:
        """Ready for the next request; what was pipelined is parsed now."""
        self._state = _State.HEAD
        self._body = None
        self.task = None
        rest, self._rest = self._rest, _NOTHING
        if self._site.closing and not rest:
            self._close()
            return
        self._deadline = self._in(self._limits.keep_alive_s)
        self._resume_reading()
        self._feed(rest)

    def _too_late(self) -> None:
        if self._transport.is_closing():
            self._transport.abort()
        elif self._state is _State.HEAD and self._reader is not None and self._reader.begun:
            seconds = self._limits.head_s
            self._refuse(Refusal(408, "head-too-slow", f"The head of the request did not arrive within {seconds:g} seconds."))
        else:
            self._close(self._limits.goodbye_s)

    def _refuse(self, refusal: Refusal, *, more_comes: bool = True) -> None:
        """Answers a message that never became a request, and ends the connection."""
        self._reader = None
        if self._state is not _State.DRAIN:
            response = problems.answer(refusal)
            assert isinstance(response.body, bytes)
            head = head_of(response, date=self._site.date(), chunked=False, keep_alive=False)
            self._outgoing.write(head + response.body)
        if more_comes:
            self._linger()
        else:
            self._close(self._limits.linger_s)

    # answering

    async def _serve(self, request: Request, keep_alive: bool) -> None:
        try:
            response = await self._response_to(request)
            keep_alive = keep_alive and not response.close and not self._site.closing and self._can_drain(request.body)
            if response.length is None and response.has_body and not request.http_11:
                keep_alive = False
            await self._outgoing.answer(
                response,
                to_head=request.method == "HEAD",
                http_11=request.http_11,
                date=self._site.date(),
                keep_alive=keep_alive,
            )
            if not keep_alive:
                await self._outgoing.flush()
        except Disconnected:
            self._transport.abort()
        except asyncio.CancelledError:
            self._transport.abort()
            raise
        except Exception:
            # The answer has begun: cutting it short is the only way to say that it is not whole.
            log.exception("http.answer_failed")
            self._transport.abort()
        else:
            self._answered(request.body, keep_alive)

    async def _response_to(self, request: Request) -> Response:
        try:
            return await self._site.handler(request)
        except (EftError, Refusal) as refused:
            return problems.answer(refused)
        except Disconnected:
            raise
        except Exception:
            log.exception("http.handler_failed")
            return problems.internal_error()

    def _can_drain(self, body: RequestBody) -> bool:
        """Whether what is left of the body can be understood, is sure to come, and is worth reading."""
        if self._body_broken or body.complete:
            return not self._body_broken
        return not self._continue_owed and (body.remaining is None or body.remaining <= self._limits.drain_bytes)

    def _answered(self, body: RequestBody, keep_alive: bool) -> None:
        if self._state is _State.CLOSED:
            return
        self._deadline = None
        self._discarded = body.discard()
        if keep_alive and not self._body_broken:
            if body.complete:
                self._next()
            else:
                self._state = _State.DRAIN
                self._deadline = self._in(self._limits.body_window_s)
                self._resume_reading()
        elif body.complete and not self._rest:
            self._close()
        else:
            self._linger()

    # closing

    def _linger(self) -> None:
        """Reads on for a while without looking, so that the answer is not lost to a reset (RFC 9112 §9.6)."""
        self._state = _State.LINGER
        self._discarded = 0
        self._rest = _NOTHING
        self._deadline = self._in(self._limits.goodbye_s if self._site.closing else self._limits.linger_s)
        self._resume_reading()

    def _close(self, patience_s: float | None = None) -> None:
        """Says goodbye in TLS, and waits for the peer's: long enough to read an answer, or `patience_s`."""
        if patience_s is None:
            patience_s = self._limits.goodbye_s if self._site.closing else self._limits.write_window_s
        self._state = _State.LINGER
        self._deadline = self._in(patience_s)
        self._transport.close()

    # reading or not

    def _in(self, seconds: float) -> float:
        return self._site.clock.monotonic() + seconds

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self._state is not _State.CLOSED and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

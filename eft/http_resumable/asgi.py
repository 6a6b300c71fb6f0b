"""Runs an ASGI 3 application, such as the control API, on our own requests and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
import logging
from typing import Any, Final

from eft.domain.errors import TooLarge
from eft.http_resumable import problems
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Disconnected, Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response

log = logging.getLogger("eft.http")

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

BODY_LIMIT: Final = 1024 * 1024


class AsgiMount:
    """A handler that answers with `app`. Both bodies are streamed, at the pace of the slower side.

    A request body may have `body_limit` bytes, except where `unlimited(method, path)` says that the application streams it.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        body_limit: int = BODY_LIMIT,
        unlimited: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._app = app
        self._body_limit = body_limit
        self._unlimited = unlimited

    async def __call__(self, request: Request) -> Response:
        if self._unlimited is None or not self._unlimited(request.method, request.path):
            request.body.limit = self._body_limit
            if (request.content_length or 0) > self._body_limit:
                raise TooLarge(self._body_limit, "body")
        return await _Run(self._app, request).answer()


class _Pieces:
    """A body on its way from the application to the connection, one piece at a time."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._piece = b""
        self._ended = False
        self._error: Exception | None = None
        self.abandoned = False

    async def put(self, piece: bytes) -> None:
        """Waits until the piece before was taken. Raises OSError, as ASGI says, where nobody takes any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._piece or self.abandoned)
            if self.abandoned:
                raise OSError("the client has gone")
            self._piece = piece
            self._changed.notify_all()

    async def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; the first call counts."""
        async with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
                self._changed.notify_all()

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: self._piece or self._ended)
            piece, self._piece = self._piece, b""
            if not piece:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._changed.notify_all()
            return piece

    async def aclose(self) -> None:
        async with self._changed:
            self.abandoned = True
            self._changed.notify_all()


class _Run:
    """One request through the application. The application has a task of its own, so that an answer can be pulled while it
    is still being made."""

    def __init__(self, app: AsgiApp, request: Request) -> None:
        self._app = app
        self._request = request
        self._answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._headers = Headers()
        self._pieces = _Pieces()
        self._body_ended = False
        self._refused: Exception | None = None

    async def answer(self) -> Response:
        """What the application answered. Raises what stood in the way of reading the request."""
        task = asyncio.get_running_loop().create_task(self._run())
        try:
            return await self._answer
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _run(self) -> None:
        failure: Exception | None = None
        try:
            await self._app(self._scope(), self._receive, self._send)
        except Exception as error:
            failure = error
        # Whatever the application made of it: where the request could not be read, this is why.
        failure = self._refused or failure
        await self._pieces.end(RuntimeError("the application ended in the middle of its answer"))
        if isinstance(failure, (Disconnected, Refusal, TooLarge)):
            if not self._answer.done():
                self._answer.set_exception(failure)
            return
        if failure is not None and not self._pieces.abandoned:
            log.error("http.handler_failed", exc_info=failure)
        # Its traceback holds this frame and the application's: without this what they have open waits for the collector.
        failure = None
        if not self._answer.done():
            self._answer.set_result(problems.internal_error())

    def _scope(self) -> Message:
        request = self._request
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1" if request.http_11 else "1.0",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.raw_path,
            "query_string": request.raw_query,
            "root_path": "",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
            "client": (request.peer, 0),
            "server": None,
            "state": {},
            "extensions": {},
        }

    async def _receive(self) -> Message:
        try:
            async for piece in self._request.body:
                return {"type": "http.request", "body": piece, "more_body": True}
        except Disconnected:
            return {"type": "http.disconnect"}
        except (Refusal, TooLarge) as refused:
            self._refused = refused
            raise
        if not self._body_ended:
            self._body_ended = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._request.disconnected()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            fields = message.get("headers", ())
            self._headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)
        elif message["type"] == "http.response.body" and self._refused is None:
            await self._send_body(bytes(message.get("body", b"")), bool(message.get("more_body", False)))

    async def _send_body(self, body: bytes, more: bool) -> None:
        declared = self._headers.get("Content-Length")
        length = int(declared) if declared is not None else None
        if not self._answer.done():
            if not more:
                self._answer.set_result(Response(self._status, self._headers, body, None if body else length))
                return
            self._answer.set_result(Response(self._status, self._headers, self._pieces, length))
        if body:
            await self._pieces.put(body)
        if not more:
            await self._pieces.end()

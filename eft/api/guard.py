"""What every request passes before a route sees it: the bearer token, then the bound on JSON bodies.

It also answers when all else fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
import logging
from typing import Any

from starlette.requests import ClientDisconnect

from eft.accounts.tokens import ApiPrincipal, Tokens
from eft.api.problems import Problem, translate, unexpected
from eft.domain.errors import EftError, Invalid, TooLarge, Unauthenticated

JSON_LIMIT = 64 * 1024
"""Bytes of a JSON body."""

PREFIX = "/api/v1"
OPENAPI = f"{PREFIX}/openapi.json"

Message = MutableMapping[str, Any]
AsgiScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

_NOT_JSON = Problem(415, "unsupported-media-type", "The body is not declared as JSON.", "Send Content-Type: application/json.")

log = logging.getLogger(__name__)


class Guard:
    """An ASGI application around another one. No body is read before the token was seen to be good (K18)."""

    def __init__(self, app: AsgiApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, head=scope["method"] == "HEAD")
        try:
            if scope["path"] != OPENAPI:
                scope.setdefault("state", {})["principal"] = await self._tokens.authenticate(_bearer(scope))
            if not _takes_raw_bytes(scope):
                body = await _read(scope, receive)
                if body and not _is_json(scope):
                    await answer.problem(_NOT_JSON)
                    return
                receive = _Replay(body, receive)
            await self._app(_as_get(scope), receive, answer)
        except EftError as error:
            await answer.refuse(translate(error), error)
        except ClientDisconnect:
            return
        except Exception as error:
            # What broke off a download, such as a purge, comes wrapped.
            if isinstance(error.__cause__, EftError):
                log.warning("api.failed", extra={"code": error.__cause__.code})
            else:
                log.exception("api.failed")
            await answer.refuse(unexpected(), error)


class _Answer:
    """Passes an answer on, with the headers that each one has, and knows how far it got."""

    def __init__(self, send: Send, *, head: bool) -> None:
        self._send = send
        self._head = head
        self.started = False
        self.ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            present = {name.lower() for name, _ in message.get("headers", [])}
            extra = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
            headers = [*message.get("headers", []), *(pair for pair in extra if pair[0] not in present)]
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
            if self._head:
                message = {**message, "body": b""}
        await self._send(message)

    async def problem(self, problem: Problem) -> None:
        body = problem.body
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()]
        headers.append((b"content-length", str(len(body)).encode()))
        await self({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self({"type": "http.response.body", "body": b"" if self._head else body})

    async def refuse(self, problem: Problem, error: Exception) -> None:
        """Says no where nothing was said yet. Half an answer is cut instead, so that nobody takes it for a whole one."""
        if not self.started:
            await self.problem(problem)
        elif not self.ended:
            raise error


class _Replay:
    """Gives a body that was read already, once, and then whatever comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def is_head(scope: AsgiScope) -> bool:
    """Whether the caller asked for the head alone. Routes see a GET then."""
    return bool(scope["state"].get("is_head"))


def _as_get(scope: AsgiScope) -> AsgiScope:
    """Every address that is read answers HEAD, with what GET would say (RFC 9110 §9.3.2)."""
    if scope["method"] != "HEAD":
        return scope
    return {**scope, "method": "GET", "state": {**scope.get("state", {}), "is_head": True}}


def principal_of(scope: AsgiScope) -> object:
    """Whom the request's token stands for."""
    return scope["state"]["principal"]


def name_of(principal: object) -> str:
    """The principal's name in the audit log."""
    return f"token:{principal.name}" if isinstance(principal, ApiPrincipal) else "token:-"


def _bearer(scope: AsgiScope) -> str:
    given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if len(given) != 1:
        raise Unauthenticated
    kind, _, token = given[0].decode("latin-1").partition(" ")
    if kind.lower() != "bearer":
        raise Unauthenticated
    return str(token.strip())


def _header(scope: AsgiScope, wanted: bytes) -> bytes:
    return next((bytes(value) for name, value in scope["headers"] if name.lower() == wanted), b"")


def _takes_raw_bytes(scope: AsgiScope) -> bool:
    """`POST cases/ID/attachments` streams; all else is JSON, bounded."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/attachments"))


def _is_json(scope: AsgiScope) -> bool:
    media = _header(scope, b"content-type").partition(b";")[0].strip().lower()
    return media == b"application/json" or (media.startswith(b"application/") and media.endswith(b"+json"))


async def _read(scope: AsgiScope, receive: Receive) -> bytes:
    length = _header(scope, b"content-length")
    if length.isdigit() and int(length[:20]) > JSON_LIMIT:
        raise TooLarge(JSON_LIMIT, "body")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("The request ended before its body did.", "Send it again.")
        part = message.get("body", b"")
        size += len(part)
        if size > JSON_LIMIT:
            raise TooLarge(JSON_LIMIT, "body")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)

"""An answer, and how it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
import json
from typing import Any, Final

from eft.http_resumable.headers import Headers, encode

SECURITY_HEADERS: Final = (
    ("Strict-Transport-Security", "max-age=31536000"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
"""On every answer, where the handler did not set another value."""

_BODILESS: Final = frozenset({204, 304})


class Response:
    """Status, header fields and body. A streamed body is pulled as fast as the peer reads it, and closed however that ends.

    `length` in bytes: of a streamed body that is known beforehand, or, in the answer to HEAD, of the body that is not sent.
    Without it a streamed body goes out in chunks. `close`: the connection ends with this answer.
    """

    __slots__ = ("body", "close", "headers", "length", "status")

    def __init__(
        self,
        status: int,
        headers: Headers | Iterable[tuple[str, str]] = (),
        body: bytes | AsyncIterator[bytes] = b"",
        length: int | None = None,
        *,
        close: bool = False,
    ) -> None:
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body
        self.length = len(body) if isinstance(body, bytes) and length is None else length
        self.close = close

    @property
    def has_body(self) -> bool:
        """Whether an answer of this status has a body at all (RFC 9110 §6.4.1)."""
        return self.status not in _BODILESS


def json_response(status: int, document: dict[str, Any], headers: Iterable[tuple[str, str]] = ()) -> Response:
    fields = Headers(headers)
    fields.set_default("Content-Type", "application/json")
    return Response(status, fields, json.dumps(document, ensure_ascii=False).encode())


def interim(status: int, headers: Headers) -> bytes:
    """A 1xx answer. Raises ValueError for a field that cannot be sent."""
    return f"HTTP/1.1 {status} {_reason(status)}\r\n{encode(headers)}\r\n".encode("latin-1")


def head_of(response: Response, *, date: str, chunked: bool, keep_alive: bool) -> bytes:
    """Status line and header fields of an answer. Framing is decided here and nowhere else: a handler's own is dropped.

    Raises ValueError for a field that cannot be sent.
    """
    headers = response.headers.copy()
    for name in ("Content-Length", "Transfer-Encoding", "Connection", "Date", "Server"):
        headers.remove(name)
    for name, value in SECURITY_HEADERS:
        headers.set_default(name, value)
    headers.add("Date", date)
    if response.has_body:
        if chunked:
            headers.add("Transfer-Encoding", "chunked")
        elif response.length is not None:
            headers.add("Content-Length", str(response.length))
    if not keep_alive:
        headers.add("Connection", "close")
    return f"HTTP/1.1 {response.status} {_reason(response.status)}\r\n{encode(headers)}\r\n".encode("latin-1")


def http_date(instant: datetime) -> str:
    """RFC 9110 §5.6.7, from an aware UTC instant."""
    return format_datetime(instant, usegmt=True)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return {104: "Upload Resumption Supported", 460: "Checksum Mismatch"}.get(status, "Unknown")

"""Reads the head of a request: the request line and the header fields, with llhttp in its strict mode.

llhttp sees the head alone. Where the head ends is found here, so that no byte of what follows reaches it: the body has its own
framing (`framing.py`), and a pipelined request waits unparsed until its turn.
"""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Final
from urllib.parse import unquote_to_bytes

import httptools

from eft.http_resumable.headers import Headers
from eft.http_resumable.limits import Limits
from eft.http_resumable.refusals import Refusal, malformed

_END: Final = b"\r\n\r\n"
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::[0-9]{0,5})?")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """One request's head. `host` is without its port, in lower case; `path` is percent-decoded once.

    `body_length` in bytes, 0 where there is no body, None where it is chunked.
    """

    method: str
    raw_path: bytes
    raw_query: bytes
    path: str
    host: str
    headers: Headers
    http_11: bool
    keep_alive: bool
    body_length: int | None
    expects_continue: bool


class HeadReader:
    """Gathers one head from pieces of any size, and keeps no more of them than the limits allow."""

    __slots__ = ("_complete", "_fields", "_header_bytes", "_limits", "_line", "_parser", "_refusal", "_size", "_tail", "_target")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = httptools.HttpRequestParser(self)
        self._line: bytes | None = b""
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._size = 0
        self._tail = b""
        self._complete = False
        self._refusal: Refusal | None = None

    @property
    def begun(self) -> bool:
        """Whether any byte of this head came."""
        return self._size > 0

    def feed(self, data: memoryview) -> tuple[RequestHead | None, int]:
        """The head, once it is whole, and how many bytes of `data` belong to it. Raises Refusal."""
        used = 0
        room = self._limits.target_bytes + self._limits.header_bytes
        while used < len(data) and not self._complete:
            piece = bytes(data[used : used + room])
            joined = self._tail + piece
            found = joined.find(_END)
            if found >= 0:
                piece = piece[: found + len(_END) - len(self._tail)]
                self._tail = b""
            else:
                self._tail = joined[-3:]
            used += len(piece)
            if self._line is not None:
                self._check_line(self._line + piece)
            self._parse(piece)
            self._size += len(piece)
            if not self._complete and self._size > room:
                raise self._too_large()
        return (self._finish() if self._complete else None), used

    def _check_line(self, begun: bytes) -> None:
        """Looks at the request line as soon as it is whole (RFC 9112 §3): llhttp takes more for one than HTTP has, such as two
        blanks and the versions of other protocols. Raises Refusal."""
        line, end, _ = begun.lstrip(b"\r\n").partition(b"\r\n")
        if not end:
            self._line = begun
            return
        self._line = None
        method, *rest = line.split(b" ")
        if len(rest) != 2 or not _METHOD.fullmatch(method) or not rest[0]:
            raise malformed("The request line is not a method, an address and a version, with one blank between each.")
        if not _VERSION.fullmatch(rest[1]):
            raise malformed("The request line does not end with a version of HTTP.")
        if rest[1] not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise Refusal(505, "http-version", "This server speaks HTTP/1.1.", "Use HTTP/1.1.", close=True)

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserInvalidMethodError:
            if self._line and not _METHOD.fullmatch(self._line.lstrip(b"\r\n").partition(b" ")[0]):
                raise malformed("The request line does not begin with a method.") from None
            raise Refusal(501, "method-unknown", "That method is not known here.", close=True) from None
        except httptools.HttpParserUpgrade:
            if self._parser.get_method() == b"CONNECT":
                raise Refusal(501, "method-unknown", "This server is no proxy.", close=True) from None
            raise malformed("This connection cannot be upgraded.") from None
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            if self._refusal is not None:
                raise self._refusal from None
            raise malformed(f"The request is not HTTP/1.1: {_printable(error)}.") from None

    # called by llhttp

    def on_url(self, piece: bytes) -> None:
        self._target += piece
        if len(self._target) > self._limits.target_bytes:
            self._refusal = Refusal(
                414, "target-too-long", f"The address is longer than {self._limits.target_bytes} bytes.", close=True
            )
            raise self._refusal

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))
        self._header_bytes += len(name) + len(value) + 4
        if len(self._fields) > self._limits.header_fields or self._header_bytes > self._limits.header_bytes:
            self._refusal = self._too_large()
            raise self._refusal

    def on_headers_complete(self) -> None:
        self._complete = True

    def _too_large(self) -> Refusal:
        limits = self._limits
        return Refusal(
            431,
            "headers-too-large",
            f"There are more than {limits.header_fields} header fields, or more than {limits.header_bytes} bytes of them.",
            close=True,
        )

    def _finish(self) -> RequestHead:
        headers = Headers((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")) for name, value in self._fields)
        method = self._parser.get_method().decode("ascii")
        authority, raw_path, raw_query = _split_target(method, self._target)
        host = _host(headers, authority)
        http_11 = self._parser.get_http_version() == "1.1"
        return RequestHead(
            method=method,
            raw_path=raw_path,
            raw_query=raw_query,
            path=_decode_path(raw_path),
            host=host,
            headers=headers,
            http_11=http_11,
            keep_alive=http_11 and "close" not in headers.tokens("Connection"),
            body_length=_body_length(headers, http_11),
            expects_continue=http_11 and _expects_continue(headers),
        )


def _printable(error: BaseException) -> str:
    """Llhttp's reason. It names no byte of the request, but who knows of the next release."""
    return "".join(character if character.isprintable() and character.isascii() else "?" for character in str(error))[:100]


def _split_target(method: str, target: bytes) -> tuple[bytes | None, bytes, bytes]:
    """Authority of the absolute form, path and query (RFC 9112 §3.2). OPTIONS for a whole host is one for `*` (§3.2.4)."""
    if target == b"*" and method == "OPTIONS":
        return None, b"*", b""
    authority: bytes | None = None
    if absolute := _ABSOLUTE.match(target):
        authority, target = absolute[1], target[absolute.end() :]
        if not target and method == "OPTIONS":
            return authority, b"*", b""
        if not target.startswith(b"/"):
            target = b"/" + target
    if not target.startswith(b"/"):
        raise malformed("The address does not begin with a slash.")
    path, _, query = target.partition(b"?")
    if b"#" in target:
        raise malformed("The address has a fragment.")
    return authority, path, query


def _decode_path(raw_path: bytes) -> str:
    if _BAD_ESCAPE.search(raw_path):
        raise Refusal(400, "path-invalid", "The address has a % that begins no escape.")
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "path-invalid", "The address is not UTF-8.") from None
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in path):
        raise Refusal(400, "path-invalid", "The address has a control character.")
    return path


def _host(headers: Headers, authority: bytes | None) -> str:
    hosts = headers.get_all("Host")
    if len(hosts) != 1:
        raise malformed("A request needs exactly one Host header.")
    named = host_of(hosts[0] if authority is None else authority.decode("latin-1"))
    if named is None:
        raise malformed("The Host header is no host name.")
    return named


def host_of(authority: str) -> str | None:
    """The host of `host` or `host:port`, in lower case, an IPv6 address without its brackets; None where it is neither."""
    named = _HOST.fullmatch(authority)
    return None if named is None else named[1].lower().strip("[]")


def _body_length(headers: Headers, http_11: bool) -> int | None:
    """RFC 9112 §6.3, and nothing that two readers could understand differently."""
    codings = headers.get_all("Transfer-Encoding")
    lengths = headers.get_all("Content-Length")
    if codings:
        if lengths:
            raise malformed("Transfer-Encoding and Content-Length exclude each other.")
        if not http_11:
            raise malformed("HTTP/1.0 has no Transfer-Encoding.")
        if len(codings) != 1 or codings[0].lower() != "chunked":
            raise Refusal(501, "transfer-coding-unknown", "The only transfer coding is chunked.", close=True)
        return None
    if not lengths:
        return 0
    if len(lengths) != 1 or not lengths[0].isascii() or not lengths[0].isdigit():
        raise malformed("Content-Length is not one number.")
    return int(lengths[0])


def _expects_continue(headers: Headers) -> bool:
    expectations = headers.tokens("Expect")
    if not expectations:
        return False
    if expectations != ["100-continue"]:
        raise Refusal(417, "expectation-unknown", "The only expectation is 100-continue.", close=True)
    return True

"""Giving a file out: ranges (RFC 9110 §14), validators, and a file name in any script (RFC 8187)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
import re
from typing import Final
from urllib.parse import quote

from eft.http_resumable.headers import Headers
from eft.http_resumable.problems import answer
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)
_ATTR_CHARS: Final = "!#$&+-.^_`|~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A whole file to be given out: its name as the client chose it, size in bytes, SHA-256 in hex, and how to read
    `[start, stop)` of it."""

    name: str
    size: int
    sha256: str
    read: Callable[[int, int], AsyncIterator[bytes]]


async def content_response(request: Request, content: Content) -> Response:
    """The answer to GET or HEAD: 200, 206 for one satisfiable range, 304, or 416.

    Reads the first piece, so that a file that cannot be read is refused, and not cut short. Raises what reading raises.
    The type is always that of plain bytes and the disposition always attachment: no browser renders what a client sent.
    """
    headers = Headers(
        (
            ("Content-Type", "application/octet-stream"),
            ("Content-Disposition", content_disposition(content.name)),
            ("Accept-Ranges", "bytes"),
            ("ETag", etag(content.sha256)),
            ("Repr-Digest", repr_digest(content.sha256)),
            ("Cache-Control", "private, no-cache"),
        )
    )
    if _none_match(request, content):
        return Response(304, headers)
    try:
        span = _wanted_range(request, content)
    except Refusal as refusal:
        return answer(refusal)
    start, stop = span or (0, content.size)
    if span:
        headers.add("Content-Range", f"bytes {start}-{stop - 1}/{content.size}")
    body: bytes | AsyncIterator[bytes] = b"" if request.method == "HEAD" else await _begun(content.read(start, stop))
    return Response(206 if span else 200, headers, body, stop - start)


class _Begun:
    """An iterator whose first piece was taken already."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first = first
        self._rest = rest

    def __aiter__(self) -> _Begun:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, b""
        return first or await anext(self._rest)

    async def aclose(self) -> None:
        if hasattr(self._rest, "aclose"):
            await self._rest.aclose()


async def _begun(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    return _Begun(await anext(pieces, b""), pieces)


def content_disposition(name: str) -> str:
    """`attachment` with the last component of `name`: in ASCII for old readers, and exactly (RFC 6266, RFC 8187)."""
    base = name.rsplit("/", 1)[-1]
    plain = "".join(character if " " <= character <= "~" and character not in '"\\%' else "_" for character in base)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(base, safe=_ATTR_CHARS)}"


def etag(sha256: str) -> str:
    return f'"sha256-{sha256}"'


def repr_digest(sha256: str) -> str:
    """RFC 9530 §3."""
    return f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"


def byte_range(value: str, size: int) -> tuple[int, int] | None:
    """`[start, stop)` of one byte range, None where the field is to be ignored: another unit, several ranges, no range.

    Raises Refusal (416) where it lies outside.
    """
    found = _RANGE.fullmatch(value)
    if found is None or (found[0] and not (found[1] or found[2])):
        return None
    if not found[1]:
        start, stop = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        stop = min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= size or start >= stop:
        raise Refusal(
            416,
            "range-not-satisfiable",
            f"The file has {size} bytes; the range lies outside.",
            "Ask for a range within the file.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop


def _wanted_range(request: Request, content: Content) -> tuple[int, int] | None:
    """Range counts for GET alone, and not where If-Range names another version (RFC 9110 §13.1.5, §14.2)."""
    value = request.headers.get("Range")
    if value is None or request.method != "GET":
        return None
    condition = request.headers.get("If-Range")
    if condition is not None and condition != etag(content.sha256):
        return None
    return byte_range(value, content.size)


def _none_match(request: Request, content: Content) -> bool:
    wanted = [tag.strip().removeprefix("W/") for value in request.headers.get_all("If-None-Match") for tag in value.split(",")]
    return "*" in wanted or etag(content.sha256) in wanted

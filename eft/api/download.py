"""An attachment's bytes as an answer: whole or a range, never shown in a browser (RFC 9110 §14, RFC 6266, RFC 9530)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator
from email.utils import format_datetime
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from eft.api.problems import Problem
from eft.api.ranges import Unsatisfiable, names_tag, range_still_holds, wanted_range
from eft.domain.attachment import Attachment
from eft.transfers.service import Transfers


async def download(request: Request, transfers: Transfers, attachment: Attachment) -> Response:
    """The answer to a GET or HEAD of an available attachment's content.

    Its first piece is read before anything is said, so that what cannot be read is a problem and not a broken answer.
    Raises Purged, Tampered, KeyUnavailable, StorageFailed.
    """
    etag = f'"sha256-{attachment.sha256}"'
    headers = _headers(attachment, etag)
    conditions = request.headers
    if "if-match" in conditions and not names_tag(conditions["if-match"], etag, weak=False):
        return answer(Problem(412, "precondition-failed", "The file is not the one that If-Match names.", "Ask for it anew."))
    if names_tag(conditions.get("if-none-match"), etag, weak=True):
        return Response(status_code=304, headers=headers)
    start, stop, status = 0, attachment.size, 200
    if request.method == "GET" and range_still_holds(conditions.get("if-range"), etag, headers["last-modified"]):
        try:
            wanted = wanted_range(conditions.get("range"), attachment.size)
        except Unsatisfiable:
            problem = Problem(
                416,
                "range-not-satisfiable",
                f"The file has {attachment.size} bytes; the range lies outside of it.",
                "Ask for a range within it.",
                headers={"content-range": f"bytes */{attachment.size}"},
            )
            return answer(problem)
        if wanted is not None:
            start, stop = wanted
            status = 206
            headers["content-range"] = f"bytes {start}-{stop - 1}/{attachment.size}"
    headers["content-length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    pieces = transfers.read(attachment, start, stop)
    first = await anext(pieces, b"")
    return _Download(first, pieces, status, headers)


def answer(problem: Problem) -> Response:
    """The problem, as an answer."""
    return Response(problem.body, status_code=problem.status, headers=problem.headers)


def content_disposition(name: str) -> str:
    """`attachment` with the last component of the name: in ASCII for old clients, and exactly (RFC 8187)."""
    last = name.rsplit("/", 1)[-1]
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in last)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(last, safe='')}"


def _headers(attachment: Attachment, etag: str) -> dict[str, str]:
    return {
        "accept-ranges": "bytes",
        "cache-control": "private, no-store, no-transform",
        "content-disposition": content_disposition(attachment.name),
        "content-security-policy": "sandbox; default-src 'none'",
        "content-type": "application/octet-stream",
        "etag": etag,
        "last-modified": format_datetime(attachment.received_at, usegmt=True),
        "repr-digest": f"sha-256=:{b64encode(bytes.fromhex(attachment.sha256)).decode()}:",
    }


class _Download(StreamingResponse):
    """Pieces of a file, the first of which was read already. What they are read from is closed however the answer ends."""

    def __init__(self, first: bytes, pieces: AsyncIterator[bytes], status: int, headers: dict[str, str]) -> None:
        self._first, self._pieces = first, pieces
        super().__init__(self._all(), status_code=status, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self._pieces, AsyncGenerator):
                await self._pieces.aclose()

    async def _all(self) -> AsyncIterator[bytes]:
        yield self._first
        async for piece in self._pieces:
            yield piece

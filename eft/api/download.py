"""Files as answers: one attachment, whole or in part, and all of a case as one archive. No browser shows them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from eft.api.guard import is_head
from eft.api.problems import Problem, of_condition
from eft.domain.actor import Actor
from eft.domain.attachment import Attachment
from eft.domain.downloads import NEVER_SHOWN, NotGiven, content_disposition, plan_download
from eft.transfers.archive import MEDIA_TYPE, Archive
from eft.transfers.content import Begun
from eft.transfers.service import Transfers


async def download(request: Request, transfers: Transfers, attachment: Attachment, actor: Actor) -> Response:
    """The answer to a GET or HEAD of an available attachment's content. What is given goes into the audit log.

    Its first piece is read before anything is said, so that what cannot be read is a problem and not a broken answer.
    Raises Purged, Tampered, KeyUnavailable, StorageFailed.
    """
    method = "HEAD" if is_head(request.scope) else request.method
    try:
        plan = plan_download(method, lambda name: ", ".join(request.headers.getlist(name)) or None, attachment)
    except NotGiven as refused:
        return answer(of_condition(refused))
    headers = {name.lower(): value for name, value in plan.headers}
    if plan.status == 304:
        return Response(status_code=304, headers=headers)
    headers["content-length"] = str(plan.stop - plan.start)
    if method == "HEAD":
        return Response(status_code=plan.status, headers=headers)
    how = {} if plan.span is None else {"range": plan.span}
    pieces = await transfers.give_out(attachment, plan.start, plan.stop, actor=actor, **how)
    return _Streamed(pieces, plan.status, headers)


def archive_answer(request: Request, archive: Archive, name: str) -> Response:
    """The answer to a GET or HEAD of an archive that is saved as `name`."""
    headers = {
        "content-type": MEDIA_TYPE,
        "content-disposition": content_disposition(name),
        "content-length": str(archive.length),
        **{name.lower(): value for name, value in NEVER_SHOWN},
    }
    if is_head(request.scope):
        return Response(headers=headers)
    return _Streamed(archive.pieces(), 200, headers)


def answer(problem: Problem) -> Response:
    """The problem, as an answer."""
    return Response(problem.body, status_code=problem.status, headers=problem.headers)


class _Streamed(StreamingResponse):
    """Pieces as an answer. What they are read from is closed however it ends."""

    def __init__(self, pieces: Begun | AsyncGenerator[bytes, None], status: int, headers: dict[str, str]) -> None:
        self._pieces = pieces
        super().__init__(pieces, status_code=status, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces):
            await super().__call__(scope, receive, send)

"""Giving files out of a case: one, with its ranges and conditions, or all of them as one archive."""

from __future__ import annotations

from eft.domain.actor import Actor
from eft.domain.attachment import Attachment
from eft.domain.downloads import NEVER_SHOWN, NotGiven, content_disposition, plan_download
from eft.http_resumable.problems import answer
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response
from eft.transfers import Transfers
from eft.transfers.archive import MEDIA_TYPE, Archive


async def content_response(request: Request, transfers: Transfers, attachment: Attachment, actor: Actor) -> Response:
    """The answer to GET or HEAD of an available attachment. What is given goes into the audit log.

    Reads the first piece, so that a file that cannot be read is refused, and not cut short.
    Raises Purged, Tampered, KeyUnavailable, StorageFailed.
    """
    try:
        plan = plan_download(request.method, lambda name: ", ".join(request.headers.get_all(name)) or None, attachment)
    except NotGiven as refused:
        return answer(Refusal(refused.status, refused.code, refused.detail, refused.remedy, headers=refused.headers))
    if plan.status == 304 or request.method == "HEAD":
        return Response(plan.status, plan.headers, b"", plan.stop - plan.start)
    how = {} if plan.span is None else {"range": plan.span}
    body = await transfers.give_out(attachment, plan.start, plan.stop, actor=actor, **how)
    return Response(plan.status, plan.headers, body, plan.stop - plan.start)


def archive_response(request: Request, archive: Archive, name: str) -> Response:
    """The answer to GET or HEAD of an archive that is saved as `name`."""
    headers = (("Content-Type", MEDIA_TYPE), ("Content-Disposition", content_disposition(name)), *NEVER_SHOWN)
    return Response(200, headers, b"" if request.method == "HEAD" else archive.pieces(), archive.length)

"""Files of a case, passed on as they come from the gateway: 64 KiB at a time, and nothing of them is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from eft.portal.case_page import Shown, case_of, case_page
from eft.portal.content import Content
from eft.portal.door import not_found
from eft.portal.gateways import GatewayRefused
from eft.portal.pages import Notice
from eft.portal.site import Site, Visit

_GONE = "This file has been deleted, as the files of a closed case are after 30 days. If it is still needed, send it again."


async def download(site: Site, visit: Visit) -> Response:
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    gateway = site.gateways[case.region]
    wanted = visit.part("attachment_id")
    stack = AsyncExitStack()
    try:
        attachment = await gateway.attachment(wanted)
        if attachment["case_id"] != case.id:
            return not_found(site, visit)
        content = await stack.enter_async_context(gateway.content(wanted, visit.request.headers.get("range"), person.email))
    except GatewayRefused as refusal:
        if refusal.status in (404, 422):
            return not_found(site, visit)
        if refusal.status == 416:
            return Response(status_code=416, headers=site.pages.headers)
        text = _GONE if refusal.status == 410 else f"{refusal.detail} {refusal.remedy}"
        return await case_page(site, visit, case, Shown(Notice("problem", text), refusal.status))
    await site.note(visit, "download", case.id, wanted)
    name = quote(str(attachment["name"]).rpartition("/")[2], safe="")
    headers = {
        **site.pages.headers,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        **content.headers,
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
    }
    return StreamingResponse(_pieces(content, stack), content.status, headers)


async def _pieces(content: Content, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Ends the gateway's answer with the browser's, however that ends."""
    async with stack:
        async for piece in content.pieces:
            yield piece

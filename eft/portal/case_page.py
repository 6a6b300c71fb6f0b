"""The page of one case: what its gateway tells, put together; shown, with a message, while the gateway is silent too."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from eft.domain.case import RETENTION
from eft.portal import case_rows, requests
from eft.portal.case_rows import KnownCase
from eft.portal.door import not_found, shared
from eft.portal.forms import AccountRequestForm, CloseForm, PublicKeyForm, ReopenForm
from eft.portal.gateways import GatewayDown, GatewayRefused, Json
from eft.portal.pages import Notice
from eft.portal.requests import Kind, Request
from eft.portal.shell_lines import for_account, for_token
from eft.portal.site import Site, Visit


@dataclass
class Shown:
    """What a page shows besides the case: a notice, what was just revealed, and forms that were not filled in right."""

    notice: Notice | None = None
    status: int = 200
    revealed: Json | None = None
    token: Json | None = None
    close_form: CloseForm = field(default_factory=CloseForm)
    reopen_form: ReopenForm = field(default_factory=ReopenForm)
    request_form: AccountRequestForm = field(default_factory=AccountRequestForm)
    key_form: PublicKeyForm = field(default_factory=PublicKeyForm)


async def case_of(site: Site, visit: Visit) -> KnownCase | None:
    """The case that the path names, where the visitor may see it."""
    case = await site.cases.find(visit.part("case_id"))
    return case if case is not None and case_rows.may_see(visit.signed_in, case) else None


async def case_page(site: Site, visit: Visit, case: KnownCase, shown: Shown | None = None) -> Response:
    shown = shown or Shown()
    gateway = site.gateways[case.region]
    told: Json | None = None
    attachments: list[Json] = []
    uploads: list[Json] = []
    account: Json | None = None
    keys: list[Json] = []
    down = False
    try:
        told, attachments, uploads, account, keys = await asyncio.gather(
            gateway.case(case.id),
            gateway.attachments(case.id),
            gateway.uploads(case.id),
            gateway.account(case.id),
            gateway.account_keys(case.id),
        )
    except GatewayDown:
        site.metrics.gateway_down(case.region)
        down = True
    except GatewayRefused as refusal:
        if refusal.status != 404:
            raise
    if told is not None:
        case = await site.cases.note(case.region, told) or case
        if not case_rows.may_see(visit.signed_in, case):
            return not_found(site, visit)
    account_request, reopenings = await site.database.run(
        lambda conn: (requests.waiting(conn, case.id, Kind.ACCOUNT), requests.reopenings(conn, case.id))
    )
    return site.pages.render(
        "case.html",
        shown.status,
        case=case,
        told=told,
        down=down,
        gateway=gateway.settings,
        reopening=reopening(site, visit, case, told),
        attachments=[each for each in attachments if each["state"] == "available"],
        gone=[each for each in attachments if each["state"] != "available"],
        uploads=uploads,
        shown=shown,
        **_account(site, case, account, account_request, shown),
        account_keys=keys,
        reopenings=reopenings,
        token_lines=for_token(gateway.settings) if shown.token else None,
        **shared(site, visit),
    )


def reopening(site: Site, visit: Visit, case: KnownCase, told: Json | None) -> str:
    """How a closed case can be opened again: `button`, `telephone` (K4), `late` (K5), `purging`, or `` for an open one."""
    if not case.is_closed:
        return ""
    purge = told["purge"] if told else "none"
    if purge == "purging":
        return "purging"
    if visit.signed_in.is_staff:
        return "button"
    if purge == "purged" or case.closed_at is None or site.clock.now() >= case.closed_at + RETENTION:
        return "late"
    return "telephone" if case.sub_status == "no_response" else "button"


def _account(site: Site, case: KnownCase, account: Json | None, request: Request | None, shown: Shown) -> dict[str, Any]:
    """What the section Temporary FTP Account shows. The password is there only right after it was revealed."""
    account = shown.revealed or account
    expires_at = case_rows.instant(account["expires_at"]) if account else None
    time_left = expires_at - site.clock.now() if expires_at else timedelta()
    if account is None or time_left <= timedelta():
        return {"account": None, "account_lines": [], "time_left": timedelta(), "account_request": request}
    return {
        "account": account,
        "account_lines": for_account(account),
        "time_left": time_left,
        "account_request": request,
    }

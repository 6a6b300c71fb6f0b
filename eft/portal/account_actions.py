"""The temporary account: asked for by customers, created and revoked by staff, shown to both, with its public keys. And upload
tokens."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from eft.portal import journal, requests
from eft.portal.case_page import Shown, case_of, case_page
from eft.portal.door import not_found
from eft.portal.forms import AccountRequestForm, PublicKeyForm
from eft.portal.gateways import GatewayRefused
from eft.portal.pages import Notice
from eft.portal.requests import Kind
from eft.portal.site import Site, Visit

_CLOSED = Shown(Notice("problem", "The case is closed, and a closed case has no temporary account. Reopen it first."), 403)


async def ask(site: Site, visit: Visit) -> Response:
    """K21: puts the wish for an account into the queue of staff."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    form = AccountRequestForm(visit.form)
    if not form.validate():
        return await case_page(site, visit, case, Shown(status=400, request_form=form))
    if case.is_closed:
        return await case_page(site, visit, case, _CLOSED)
    now = site.clock.now()

    def work(conn: Connection) -> None:
        requests.ask(conn, case.id, Kind.ACCOUNT, person, str(form.text.data or ""), now)
        journal.note(conn, at=now, email=person.email, address=visit.address, action="account-ask", case_id=case.id)

    await site.database.run(work)
    return _back(site, case.id, "asked")


async def reveal(site: Site, visit: Visit) -> Response:
    """Shows the password, once, on the page that answers. The gateway records who looked, and so does the portal."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    try:
        account = await site.gateways[case.region].reveal_account(case.id, person.email)
    except GatewayRefused as refusal:
        if refusal.status != 404:
            raise
        notice = Notice("problem", "There is no temporary account any more: it has expired, or was revoked. Ask for a new one.")
        return await case_page(site, visit, case, Shown(notice, 404))
    await site.note(visit, "account-reveal", case.id, str(account["username"]))
    return await case_page(site, visit, case, Shown(revealed=account))


async def create(site: Site, visit: Visit) -> Response:
    """A new account for 120 hours. One that is alive is replaced."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    try:
        account = await site.gateways[case.region].create_account(case.id, person.email)
    except GatewayRefused as refusal:
        return await case_page(site, visit, case, Shown(Notice("problem", f"{refusal.detail} {refusal.remedy}"), refusal.status))
    now = site.clock.now()

    def work(conn: Connection) -> None:
        requests.all_done(conn, case.id, Kind.ACCOUNT, person, now)
        journal.note(
            conn,
            at=now,
            email=person.email,
            address=visit.address,
            action="account-create",
            case_id=case.id,
            detail=str(account["username"]),
        )

    await site.database.run(work)
    return _back(site, case.id, "account")


async def revoke(site: Site, visit: Visit) -> Response:
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    await site.gateways[case.region].revoke_account(case.id, person.email)
    await site.note(visit, "account-revoke", case.id)
    return _back(site, case.id, "revoked")


async def register_key(site: Site, visit: Visit) -> Response:
    """Registers a public key with the account, for whoever may see the case. Nothing that is no public key reaches a gateway."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    form = PublicKeyForm(visit.form)
    if not form.validate():
        return await case_page(site, visit, case, Shown(status=400, key_form=form))
    try:
        key = await site.gateways[case.region].register_key(case.id, str(form.public_key.data), person.email)
    except GatewayRefused as refusal:
        return await case_page(site, visit, case, Shown(Notice("problem", f"{refusal.detail} {refusal.remedy}"), refusal.status))
    await site.note(visit, "account-key-add", case.id, str(key["fingerprint"]))
    return _back(site, case.id, "key-added", "keys")


async def remove_key(site: Site, visit: Visit) -> Response:
    """Removes a public key. One that is gone already is no mistake of whoever asks."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    key = str(visit.form.get("key", ""))
    try:
        await site.gateways[case.region].remove_key(case.id, key, person.email)
    except GatewayRefused as refusal:
        if refusal.status != 404:
            raise
    await site.note(visit, "account-key-remove", case.id, key)
    return _back(site, case.id, "key-removed", "keys")


async def issue_token(site: Site, visit: Visit) -> Response:
    """Shows a new upload token, once, with the lines that use it."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    source = "support" if person.is_staff else "https"
    try:
        token = await site.gateways[case.region].upload_token(case.id, source, person.email)
    except GatewayRefused as refusal:
        return await case_page(site, visit, case, Shown(Notice("problem", f"{refusal.detail} {refusal.remedy}"), refusal.status))
    await site.note(visit, "upload-token", case.id)
    return await case_page(site, visit, case, Shown(token=token))


def _back(site: Site, case_id: str, done: str, section: str = "account") -> Response:
    return RedirectResponse(f"/cases/{case_id}?done={done}#{section}", 303, site.pages.headers)

"""Lists and pages of cases, and what people do to a case: transfer files, close, ask to reopen."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from eft.portal import case_rows, journal, requests
from eft.portal.case_page import Shown, case_of, case_page, reopening
from eft.portal.case_rows import View
from eft.portal.door import not_found, shared
from eft.portal.forms import CloseForm, ReopenForm
from eft.portal.gateways import GatewayRefused
from eft.portal.pages import Notice
from eft.portal.requests import Kind
from eft.portal.site import Site, Visit

_DONE = {
    "closed": Notice("done", "The case is closed. Its files stay until the date shown below."),
    "reopened": Notice("done", "The case is open again. Support sees what you wrote. Send new files with Transfer Files."),
    "asked": Notice("done", "Support was asked for a temporary account. It appears on this page once it has been created."),
    "account": Notice("done", "A temporary account has been created. It works for 120 hours."),
    "key-added": Notice("done", "The public key is registered. Its owner signs in by it, until the temporary account ends."),
    "key-removed": Notice("done", "The public key has been removed. It opens nothing any more."),
    "revoked": Notice("done", "The temporary account has been revoked, and its connections were ended."),
    "created": Notice("done", "The case has been created."),
}


async def home(site: Site, _visit: Visit) -> Response:
    return RedirectResponse("/cases", 303, site.pages.headers)


async def show_cases(site: Site, visit: Visit) -> Response:
    try:
        view = View(visit.request.query_params.get("view", View.OPEN.value))
    except ValueError:
        return not_found(site, visit)
    found, silent = await site.cases.listed(visit.signed_in, view)
    return site.pages.render(
        "cases.html",
        view=view.value,
        cases=found,
        silent=[site.settings.gateways[region].title for region in silent],
        most=case_rows.LISTED,
        **shared(site, visit),
    )


async def show_case(site: Site, visit: Visit) -> Response:
    case = await case_of(site, visit)
    if case is None:
        return not_found(site, visit)
    return await case_page(site, visit, case, Shown(notice=_DONE.get(visit.request.query_params.get("done", ""))))


async def transfer(site: Site, visit: Visit) -> Response:
    """Sends the browser to the gateway's page, with a ticket that is good once."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    try:
        url = await site.gateways[case.region].launch(case.id, person.name, person.email, person.role.value)
    except GatewayRefused as refusal:
        return await case_page(site, visit, case, _refused(refusal))
    await site.note(visit, "transfer-files", case.id)
    return RedirectResponse(url, 303, site.pages.headers)


async def close(site: Site, visit: Visit) -> Response:
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    form = CloseForm(visit.form)
    if not form.validate():
        return await case_page(site, visit, case, Shown(status=400, close_form=form))
    sub_status, comment = str(form.sub_status.data), str(form.comment.data)
    told = await site.gateways[case.region].close_case(case.id, sub_status, comment, person.email)
    now = site.clock.now()

    def work(conn: Connection) -> None:
        case_rows.note_told(conn, case.region, told, now)
        if not person.is_staff:
            case_rows.set_contact(conn, case.id, person.id, keep=True)
        requests.all_done(conn, case.id, Kind.ACCOUNT, person, now)
        journal.note(conn, at=now, email=person.email, address=visit.address, action="close", case_id=case.id, detail=sub_status)

    await site.database.run(work)
    site.cases.look_again(case.region)
    return _back(site, case.id, "closed")


async def reopen(site: Site, visit: Visit) -> Response:
    """K19: what is new is required; the case opens at once, and staff are told."""
    case, person = await case_of(site, visit), visit.signed_in
    if case is None:
        return not_found(site, visit)
    form = ReopenForm(visit.form)
    if not form.validate():
        return await case_page(site, visit, case, Shown(status=400, reopen_form=form))
    case = await site.cases.refresh(case)
    if reopening(site, visit, case, None) in ("late", "telephone"):
        notice = Notice("problem", "This case cannot be reopened here. Below it says what you can do.")
        return await case_page(site, visit, case, Shown(notice, 403))
    reason = str(form.reason.data)
    try:
        told = await site.gateways[case.region].reopen_case(case.id, reason, person.role.value, person.email)
    except GatewayRefused as refusal:
        return await case_page(site, visit, case, _refused(refusal))
    now = site.clock.now()

    def work(conn: Connection) -> None:
        was_closed = case.is_closed
        case_rows.note_told(conn, case.region, told, now)
        if was_closed and not person.is_staff:
            requests.ask(conn, case.id, Kind.REOPEN, person, reason, now)
        journal.note(conn, at=now, email=person.email, address=visit.address, action="reopen", case_id=case.id)

    await site.database.run(work)
    site.cases.look_again(case.region)
    return _back(site, case.id, "reopened")


def _back(site: Site, case_id: str, done: str) -> Response:
    return RedirectResponse(f"/cases/{case_id}?done={done}", 303, site.pages.headers)


def _refused(refusal: GatewayRefused) -> Shown:
    return Shown(Notice("problem", f"{refusal.detail} {refusal.remedy}"), refusal.status)

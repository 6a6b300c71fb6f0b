"""What only staff have: the queue of what customers ask for, and new cases."""

from __future__ import annotations

from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response
from wtforms.fields.choices import SelectChoice

from eft.domain.errors import Invalid
from eft.portal import case_rows, journal, people, requests
from eft.portal.door import not_found, shared
from eft.portal.forms import NewCaseForm
from eft.portal.gateways import GatewayRefused
from eft.portal.pages import Notice
from eft.portal.site import Site, Visit


async def show_queue(site: Site, visit: Visit) -> Response:
    waiting = await site.database.run(requests.queue)
    return site.pages.render("queue.html", waiting=waiting, **shared(site, visit))


async def finish_request(site: Site, visit: Visit) -> Response:
    """Takes something off the queue without anything else being done."""
    request_id, person, now = visit.part("request_id"), visit.signed_in, site.clock.now()

    def work(conn: Connection) -> bool:
        found = requests.get(conn, request_id)
        if found is None:
            return False
        requests.done(conn, request_id, person, now)
        journal.note(
            conn,
            at=now,
            email=person.email,
            address=visit.address,
            action="request-done",
            case_id=found.case_id,
            detail=found.kind,
        )
        return True

    if not await site.database.run(work):
        return not_found(site, visit)
    return RedirectResponse("/queue", 303, site.pages.headers)


async def show_new_case(site: Site, visit: Visit) -> Response:
    return await _page(site, visit, _form(site, visit), None)


async def create_case(site: Site, visit: Visit) -> Response:
    form = _form(site, visit)
    if not form.validate():
        return await _page(site, visit, form, None)
    case_id, region, person = str(form.case_id.data), str(form.region.data), visit.signed_in
    organisation, subject = str(form.organisation.data).strip(), str(form.subject.data).strip()
    if await site.cases.find(case_id) is not None:
        return await _page(site, visit, form, Notice("problem", "There is a case of this number already. Choose another number."))
    try:
        contact_id = await site.database.run(lambda conn: _contact(conn, str(form.contact.data or ""), organisation))
        told = await site.gateways[region].put_case(case_id, organisation, subject, person.email)
    except (Invalid, GatewayRefused) as error:
        return await _page(site, visit, form, Notice("problem", f"{error.detail} {error.remedy}"))
    now = site.clock.now()

    def work(conn: Connection) -> None:
        case_rows.note_told(conn, region, told, now)
        if contact_id is not None:
            case_rows.set_contact(conn, case_id, contact_id)
        journal.note(conn, at=now, email=person.email, address=visit.address, action="case-create", case_id=case_id)

    await site.database.run(work)
    return RedirectResponse(f"/cases/{case_id}?done=created", 303, site.pages.headers)


def _form(site: Site, visit: Visit) -> NewCaseForm:
    form = NewCaseForm(visit.form)
    form.region.choices = [SelectChoice(region, gateway.title) for region, gateway in site.settings.gateways.items()]
    return form


def _contact(conn: Connection, email: str, organisation: str) -> str | None:
    """Raises Invalid for somebody who may not see the case."""
    if not email.strip():
        return None
    person = people.by_email(conn, email)
    if person is None or person.organisation != organisation:
        raise Invalid("The contact is not somebody of that organisation.", "Correct the address, or leave it out.")
    return person.id


async def _page(site: Site, visit: Visit, form: NewCaseForm, notice: Notice | None) -> Response:
    names = await site.database.run(people.organisation_names)
    status = 400 if notice or form.errors else 200
    return site.pages.render("new_case.html", status, form=form, notice=notice, organisations=names, **shared(site, visit))

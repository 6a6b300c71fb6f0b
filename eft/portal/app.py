"""The portal put together: every address, who may ask for it, and what answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from eft.domain.clock import Clock
from eft.portal import account_actions, case_actions, downloads, sign_in, staff
from eft.portal.case_system import case_system
from eft.portal.cases import Cases
from eft.portal.database import Database
from eft.portal.door import Access, Handler, guarded, not_found
from eft.portal.gateways import Gateway
from eft.portal.mail import Mailer, mailer_for
from eft.portal.operations import Metrics
from eft.portal.pages import Pages
from eft.portal.passwords import PasswordCheck
from eft.portal.settings import PortalSettings
from eft.portal.site import FormKey, Site, Visit

_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Address:
    """One address of the portal."""

    method: str
    path: str
    handler: Handler
    access: Access


ADDRESSES = (
    Address("GET", "/sign-in", sign_in.show_sign_in, Access.ANYBODY),
    Address("POST", "/sign-in", sign_in.sign_in, Access.ANYBODY),
    Address("POST", "/sign-out", sign_in.sign_out, Access.ANYBODY),
    Address("GET", "/forgotten", sign_in.show_forgotten, Access.ANYBODY),
    Address("POST", "/forgotten", sign_in.forgotten, Access.ANYBODY),
    Address("GET", "/reset/{secret}", sign_in.show_reset, Access.ANYBODY),
    Address("POST", "/reset/{secret}", sign_in.reset, Access.ANYBODY),
    Address("GET", "/", case_actions.home, Access.SIGNED_IN),
    Address("GET", "/cases", case_actions.show_cases, Access.SIGNED_IN),
    Address("GET", "/cases/{case_id}", case_actions.show_case, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/transfer", case_actions.transfer, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/close", case_actions.close, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/reopen", case_actions.reopen, Access.SIGNED_IN),
    Address("GET", "/cases/{case_id}/attachments/{attachment_id}", downloads.download, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/token", account_actions.issue_token, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/account/request", account_actions.ask, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/account/reveal", account_actions.reveal, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/account/keys", account_actions.register_key, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/account/keys/remove", account_actions.remove_key, Access.SIGNED_IN),
    Address("POST", "/cases/{case_id}/account/create", account_actions.create, Access.STAFF),
    Address("POST", "/cases/{case_id}/account/revoke", account_actions.revoke, Access.STAFF),
    Address("GET", "/queue", staff.show_queue, Access.STAFF),
    Address("POST", "/queue/{request_id}/done", staff.finish_request, Access.STAFF),
    Address("GET", "/new-case", staff.show_new_case, Access.STAFF),
    Address("POST", "/new-case", staff.create_case, Access.STAFF),
)


def make_site(
    settings: PortalSettings,
    database: Database,
    clock: Clock,
    *,
    gateways: Mapping[str, Gateway] | None = None,
    mailer: Mailer | None = None,
) -> Site:
    """The portal's parts. The database has its schema already."""
    known = dict(gateways or {region: Gateway(region, each) for region, each in settings.gateways.items()})
    return Site(
        settings=settings,
        database=database,
        gateways=known,
        cases=Cases(database, known, clock),
        pages=Pages(settings),
        passwords=PasswordCheck(),
        form_key=FormKey(settings.key_file.read_bytes()),
        mailer=mailer or mailer_for(settings.mail, clock),
        metrics=Metrics(),
        clock=clock,
    )


def portal_app(site: Site) -> Starlette:
    """What answers on the portal's HTTPS port."""

    async def authorities(_: Request) -> Response:
        """The certificates of a private installation, for programs that customers run."""
        private = next((each.ca_file for each in site.settings.gateways.values() if each.ca_file), None)
        if private is None:
            return Response(status_code=404)
        return FileResponse(private, media_type="application/x-pem-file", filename="eft-ca.pem", headers=site.pages.headers)

    async def elsewhere(site: Site, visit: Visit) -> Response:
        return not_found(site, visit)

    routes: list[Route | Mount] = [
        Route(each.path, guarded(site, each.handler, each.access), methods=[each.method]) for each in ADDRESSES
    ]
    routes += [
        Route("/case-system/cases/{case_id}", case_system(site), methods=["GET"]),
        Route("/ca.pem", authorities, methods=["GET"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
        Route("/{rest:path}", guarded(site, elsewhere, Access.ANYBODY), methods=["GET"]),
    ]
    return Starlette(routes=routes)

"""What every request passes before a page sees it: the host, the session, who may, and the token of its form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
import logging
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from eft.domain.errors import Invalid, TooLarge
from eft.portal import sessions
from eft.portal.gateways import GatewayDown, GatewayRefused
from eft.portal.sessions import COOKIE
from eft.portal.site import Site, Visit

LARGEST_FORM = 128 * 1024
"""Bytes. Files go to gateways, never through a form of the portal."""

log = logging.getLogger(__name__)


class Access(Enum):
    """Who may ask for a page. For everybody else it does not exist, except that who is not signed in is asked to."""

    ANYBODY = "anybody"
    SIGNED_IN = "signed in"
    STAFF = "staff"


Handler = Callable[[Site, Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(site: Site, handler: Handler, access: Access) -> Endpoint:
    """The endpoint that lets in who may, and carries `handler` out."""

    async def endpoint(request: Request) -> Response:
        try:
            response = await _answer(site, handler, access, request)
        except ClientDisconnect:
            return Response(status_code=400)
        except GatewayDown as down:
            site.metrics.gateway_down(down.region)
            response = message(
                site,
                503,
                "A gateway does not answer",
                f"The gateway of {site.settings.gateways[down.region].title} does not answer: this could not be done.",
                "Go back and try again in a minute. If it happens again, telephone us.",
            )
        except GatewayRefused as refusal:
            response = message(site, refusal.status, "That did not work", refusal.detail, refusal.remedy)
        except (Invalid, TooLarge) as error:
            response = message(site, 400, "That did not work", error.detail, error.remedy)
        except Exception:
            log.exception("portal.failed")
            response = message(
                site,
                500,
                "Something went wrong",
                "The portal could not carry this out.",
                "Try again; if it happens again, telephone us.",
            )
        site.metrics.answered(response.status_code)
        return response

    return endpoint


def message(site: Site, status: int, title: str, what: str, to_do: str, visit: Visit | None = None) -> Response:
    """A page that says what happened and what to do."""
    context = shared(site, visit) if visit else {"person": None, "csrf": "", "here": ""}
    return site.pages.render("message.html", status, title=title, what=what, to_do=to_do, **context)


def not_found(site: Site, visit: Visit) -> Response:
    """The same for what does not exist and for what is somebody else's."""
    return message(
        site,
        404,
        "There is nothing here",
        "There is no such page, or it belongs to another organisation.",
        "Check the address, or look the case up in your list.",
        visit,
    )


def shared(site: Site, visit: Visit) -> dict[str, Any]:
    """What every page's template needs."""
    return {"person": visit.person, "csrf": site.form_key.token(visit.secret), "here": visit.request.url.path}


def set_session(response: Response, secret: str) -> Response:
    response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="lax")
    return response


async def _answer(site: Site, handler: Handler, access: Access, request: Request) -> Response:
    if _host(request) not in site.settings.hosts:
        return message(site, 421, "Wrong address", "This portal has another name.", f"Open {site.settings.url} instead.")
    given = request.cookies.get(COOKIE, "")
    now = site.clock.now()
    person = await site.database.run(lambda conn: sessions.person_of(conn, given, now)) if given else None
    secret = given or sessions.new_secret()
    visit = Visit(request, person, secret, FormData())
    if access is not Access.ANYBODY and person is None:
        back = request.url.path if request.method == "GET" else ""
        return RedirectResponse("/sign-in" + (f"?next={quote(back)}" if back not in ("", "/") else ""), 303, site.pages.headers)
    if access is Access.STAFF and not visit.signed_in.is_staff:
        return not_found(site, visit)
    if request.method == "POST":
        visit = Visit(request, person, secret, await _form(request))
        refusal = _forged(site, visit, given)
        if refusal is not None:
            return refusal
    response = await handler(site, visit)
    if not given and "set-cookie" not in response.headers:
        set_session(response, secret)
    return response


def _host(request: Request) -> str:
    return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""


def _forged(site: Site, visit: Visit, given: str) -> Response | None:
    """The refusal of a form that another site sent, or that is too old; None for a good one."""
    if not given:
        return message(
            site,
            400,
            "Cookies are switched off",
            "Your browser sent no cookie, and without one nobody can sign in here.",
            "Allow cookies for this site in your browser's settings, go back, reload the page and try again.",
        )
    same_site = visit.request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    if same_site and site.form_key.is_good(str(visit.form.get("csrf", "")), given):
        return None
    return message(
        site,
        403,
        "This form is out of date",
        "It was open for a long time, or you have signed in or out since. Nothing was changed.",
        "Go back, reload the page and send it again.",
        visit,
    )


async def _form(request: Request) -> FormData:
    """The fields of a form. Raises TooLarge, Invalid."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Invalid("This is not a form of the portal.", "Use the forms on its pages.")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_FORM:
            raise TooLarge(LARGEST_FORM, "form")
    try:
        fields: list[tuple[str, str | UploadFile]] = list(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
        )
    except ValueError:
        raise Invalid("The form cannot be read.", "Go back, reload the page and send it again.") from None
    if any("\0" in str(value) for _, value in fields):
        raise Invalid("The form has a character that no text can have.", "Go back, correct it and send it again.")
    return FormData(fields)

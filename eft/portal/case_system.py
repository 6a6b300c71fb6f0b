"""What gateways ask before a purge: `GET /case-system/cases/ID` → `{"status", "closed_at"}` (P6)."""

from __future__ import annotations

from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from eft.domain.case import CASE_ID
from eft.portal import case_rows
from eft.portal.door import Endpoint
from eft.portal.gateways import GatewayDown, GatewayRefused
from eft.portal.site import Site
from eft.settings_file import text_at


def case_system(site: Site) -> Endpoint:
    """Each gateway has a token of its own, and is told of the cases of its region alone.

    `closed_at` is the instant at which the gateway closed the case, to the microsecond. The answer is the portal's own
    record: where a case was reopened, a gateway that has forgotten that is told that the case is open, and purges nothing.
    """
    tokens = {
        region: text_at(f"gateways.{region}.case_system_token_file", gateway.case_system_token_file)
        for region, gateway in site.settings.gateways.items()
    }

    async def ask(request: Request) -> Response:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        region = _region_of(tokens, token.strip()) if kind.lower() == "bearer" else None
        if region is None:
            return _problem(401, "unauthenticated", {"WWW-Authenticate": 'Bearer realm="eft portal"'})
        case_id = request.path_params["case_id"]
        if not CASE_ID.fullmatch(case_id):
            return _problem(404, "not-found")
        try:
            told = await site.gateways[region].case(case_id)
            known = await site.cases.note(region, told) if told else None
        except (GatewayDown, GatewayRefused):
            known = await site.database.run(lambda conn: case_rows.get(conn, case_id))
        if known is None or known.region != region:
            return _problem(404, "not-found")
        closed_at = known.closed_at.isoformat().replace("+00:00", "Z") if known.closed_at else None
        return JSONResponse({"status": known.status, "closed_at": closed_at}, headers={"Cache-Control": "no-store"})

    return ask


def _region_of(tokens: dict[str, str], given: str) -> str | None:
    """Compares with every token, whichever fits, so that the time tells nothing."""
    fits = [region for region, token in tokens.items() if compare_digest(token.encode(), given.encode())]
    return fits[0] if fits else None


def _problem(status: int, code: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"status": status, "code": code}, status, headers, "application/problem+json")

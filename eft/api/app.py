"""The control API as one ASGI application."""

from __future__ import annotations

import re

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from eft.api.access_routes import access_routes
from eft.api.attachment_routes import attachment_routes
from eft.api.case_routes import case_routes
from eft.api.description import PROBLEM, describe
from eft.api.download import answer
from eft.api.guard import OPENAPI, PREFIX, AsgiApp, Guard
from eft.api.launch_routes import launch_routes
from eft.api.problems import Problem, of_status, translate, unexpected
from eft.api.services import ApiServices, ApiSettings
from eft.domain.errors import EftError, Invalid

_DESCRIPTION = """Cases, and the files that belong to them, for a portal or a CRM.

Every answer that is not a success is problem+json (RFC 9457) with a stable `code`. Times are UTC. Lists are pages:
`{"items": […], "next": cursor | null}`, newest first."""


def create_api(services: ApiServices, settings: ApiSettings) -> AsgiApp:
    """The application. Its paths begin with `/api/v1`: hand it requests with their path unchanged."""
    api = FastAPI(
        title="eft control API",
        version="1",
        description=_DESCRIPTION,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"description": "A problem", "content": PROBLEM}},
    )
    documented = [Depends(HTTPBearer(auto_error=False, description="An API token with the scope that the call needs"))]
    for routes in (
        case_routes(services),
        access_routes(services, settings),
        launch_routes(services, settings),
        attachment_routes(services),
    ):
        api.include_router(routes, prefix=PREFIX, dependencies=documented)

    describe(api)

    @api.exception_handler(EftError)
    async def refused(_: Request, error: EftError) -> Response:
        return answer(translate(error))

    @api.exception_handler(RequestValidationError)
    async def not_valid(_: Request, error: RequestValidationError) -> Response:
        return answer(_first_fault(error))

    @api.exception_handler(HTTPException)
    async def not_routed(request: Request, error: HTTPException) -> Response:
        headers = {"allow": _allowed(api, request.scope["path"])} if error.status_code == 405 else error.headers
        return answer(of_status(error.status_code, headers))

    @api.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        return answer(unexpected())

    return Guard(api, services.tokens)


def _allowed(api: FastAPI, path: str) -> str:
    """Every documented method that this address takes; the router itself names those of one route alone."""
    for template, calls in api.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(template)), path):
            methods = {call.upper() for call in calls}
            return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
    return "GET, HEAD"


def _first_fault(error: RequestValidationError) -> Problem:
    """The first thing that is wrong, by the name of its field. What was sent is not repeated."""
    fault = error.errors()[0]
    place = [str(part) for part in fault["loc"] if part not in ("body", "query", "path")]
    if fault["type"] == "json_invalid":
        return Problem(422, Invalid.code, "The body is not JSON.", Invalid.remedy)
    field = str(fault.get("ctx", {}).get("field", "")) or ".".join(place)
    if not field:
        return Problem(422, Invalid.code, "The body is missing, or is not an object.", Invalid.remedy)
    wrong = str(fault["msg"])
    return Problem(422, Invalid.code, f"{field}: {wrong[:1].lower()}{wrong[1:]}.", Invalid.remedy, field=field)

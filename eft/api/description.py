"""What `openapi.json` says of answers that are no success: for each call, the statuses that it may have."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from eft.api.problems import MEDIA_TYPE, SCHEMA, TITLES

PROBLEM: Final[dict[str, Any]] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

_ALWAYS: Final = (400, 401, 403, 413, 415, 421, 422, 429, 500, 503)
"""Also where a call itself has no such refusal: what stands before it does."""
_BY_PLACE: Final = {
    "{case_id}": (404,),
    "{attachment_id}": (404, 410),
    "/attachments.zip": (410,),
    "/content": (412, 416),
}
_BY_METHOD: Final = {"post": (404, 409, 507), "put": (404, 409, 507), "delete": (404, 409, 507)}


def describe(api: FastAPI) -> None:
    """Makes the description complete. It is worked out once, when it is first asked for."""
    generate = api.openapi

    def described() -> dict[str, Any]:
        if api.openapi_schema is None:
            whole = generate()
            whole["components"]["schemas"]["Problem"] = SCHEMA
            for path, calls in whole["paths"].items():
                for method, call in calls.items():
                    for status in _statuses(path, method):
                        call["responses"][str(status)] = {"description": TITLES[status], "content": PROBLEM}
        return api.openapi_schema or {}

    api.openapi = described  # type: ignore[method-assign]


def _statuses(path: str, method: str) -> list[int]:
    by_place = (status for place, statuses in _BY_PLACE.items() if place in path for status in statuses)
    return sorted({*_ALWAYS, *by_place, *_BY_METHOD.get(method, ())})

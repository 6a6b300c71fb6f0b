"""The one place where this door translates what eft refuses to HTTP: a status, and a problem document (RFC 9457)."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from eft.domain import errors
from eft.domain.errors import EftError
from eft.domain.http_statuses import status_of
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.response import Response, json_response

CONTENT_TYPE: Final = "application/problem+json"

_TITLES: Final = {460: "Checksum Mismatch"}
_COMMON: Final = frozenset({"detail", "remedy"})


def problem(error: EftError) -> dict[str, Any]:
    """The problem document: the common members, and the typed fields of this error."""
    fields = {name: _plain(value) for name, value in vars(error).items() if name not in _COMMON and not name.startswith("_")}
    return _document(status_of(error), error.code, error.detail, error.remedy) | fields


def answer(error: EftError | Refusal) -> Response:
    """The whole answer to what was refused."""
    if isinstance(error, Refusal):
        document = _document(error.status, error.code, error.detail, error.remedy)
        response = json_response(error.status, document, error.headers.items())
        response.close = error.close
    else:
        response = json_response(status_of(error), problem(error))
        if isinstance(error, errors.Unauthenticated):
            response.headers.add("WWW-Authenticate", "Bearer")
        elif isinstance(error, errors.Busy | errors.RateLimited):
            response.headers.add("Retry-After", str(error.retry_after_s))
        elif isinstance(error, errors.OffsetMismatch):
            response.headers.add("Upload-Offset", str(error.durable))
    response.headers.set("Content-Type", CONTENT_TYPE)
    return response


def internal_error() -> Response:
    """The answer when the server is at fault. It tells nothing of the inside."""
    remedy = "Try again; if it happens again, contact support."
    document = _document(500, "internal-error", "Something went wrong on the server.", remedy)
    return json_response(500, document, Headers((("Content-Type", CONTENT_TYPE),)))


def _document(status: int, code: str, detail: str, remedy: str) -> dict[str, Any]:
    try:
        title = _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    return {"type": f"urn:eft:problem:{code}", "title": title, "status": status, "code": code, "detail": detail, "remedy": remedy}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value

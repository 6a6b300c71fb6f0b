"""How the control API says no: every error of the tree as problem+json (RFC 9457). The API's one translation file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
import json

from eft.domain.downloads import NotGiven
from eft.domain.errors import Busy, EftError, Invalid, NotFound, RateLimited, Unauthenticated
from eft.domain.http_statuses import status_of

MEDIA_TYPE = "application/problem+json"

_NOT_VALID = 422
"""Of a request that is well formed and not valid, as JSON is most often. At `/files` the same code is 400, as tus has it."""

TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    421: "Wrong gateway",
    422: "Not valid",
    429: "Too many requests",
    500: "Server failure",
    503: "Busy",
    507: "Storage full",
}

SCHEMA = {
    "title": "Problem",
    "description": "RFC 9457. `code` never changes; `detail` says what was wrong, `remedy` what to do next.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "remedy"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "field": {"type": "string", "description": "invalid-request: the field that it is about."},
        "region": {"type": "string", "description": "wrong-region: where this belongs."},
        "url": {"type": "string", "description": "wrong-region: the gateway to go to."},
    },
}


class Problem:
    """One refusal, ready to be sent: status, headers, body."""

    def __init__(
        self, status: int, code: str, detail: str, remedy: str, *, headers: Mapping[str, str] | None = None, **fields: object
    ) -> None:
        self.status = status
        self.headers = {"content-type": MEDIA_TYPE, **(headers or {})}
        self.content = {
            "type": f"urn:eft:problem:{code}",
            "title": TITLES.get(status, "Refused"),
            "status": status,
            "code": code,
            "detail": detail,
            "remedy": remedy,
            **fields,
        }

    @property
    def body(self) -> bytes:
        return json.dumps(self.content).encode()


def translate(error: EftError) -> Problem:
    """The problem that an error of the tree is to a caller of the API; its typed fields are members of the problem."""
    status = _NOT_VALID if type(error) is Invalid else status_of(error)
    fields = {name: _plain(value) for name, value in vars(error).items() if name not in ("detail", "remedy")}
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = 'Bearer realm="eft"'
    elif isinstance(error, Busy | RateLimited):
        headers["retry-after"] = str(error.retry_after_s)
    return Problem(status, error.code, error.detail, error.remedy, headers=headers, **fields)


def of_condition(refused: NotGiven) -> Problem:
    """For a download that the request's own conditions forbid."""
    return Problem(refused.status, refused.code, refused.detail, refused.remedy, headers=refused.headers)


def _plain(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def unexpected() -> Problem:
    """What a caller is told of a failure that nobody foresaw."""
    return Problem(
        500, "internal-error", "The server failed to carry this out.", "Try again; if it happens again, contact support."
    )


def of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """For what the router refuses by itself: no such route, no such method."""
    if status == 404:
        return Problem(404, NotFound.code, "There is nothing at this address.", "Look up the address in openapi.json.")
    if status == 405:
        return Problem(
            405,
            "method-not-allowed",
            "This address does not take that method.",
            "Use one that the Allow header lists.",
            headers=headers,
        )
    if status == 400:
        return Problem(_NOT_VALID, Invalid.code, Invalid.detail, Invalid.remedy, headers=headers)
    return Problem(status, "refused", "The request was refused.", "Correct it and send it again.", headers=headers)

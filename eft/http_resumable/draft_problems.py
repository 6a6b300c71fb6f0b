"""How the draft words what is refused: the fields that its clients look at, and its problem types."""

from __future__ import annotations

import json
from typing import Any, Final

from eft.domain.errors import AlreadyFinished, EftError, Gone, LengthInvalid, OffsetMismatch, TooLarge, WriterDisplaced
from eft.http_resumable import problems
from eft.http_resumable.draft_versions import integer, version_of
from eft.http_resumable.headers import Headers
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.response import Response

_TYPES: Final = "https://iana.org/assignments/http-problem-types#"


def draft_problem(error: EftError | Refusal, asked: Headers) -> Response:
    """The whole answer. `asked`: the header fields of the request that was refused."""
    response = problems.answer(error)
    version = version_of(asked)
    if isinstance(error, OffsetMismatch):
        provided = integer(asked, "Upload-Offset")
        _word(response, "mismatching-upload-offset", {"expected-offset": error.durable, "provided-offset": provided})
    elif isinstance(error, LengthInvalid):
        _word(response, "inconsistent-upload-length", {})
    elif isinstance(error, AlreadyFinished):
        response.status = 400
        _word(response, "completed-upload", {"status": 400, "title": "Bad Request"})
        response.headers.add(*version.completeness(True))
    elif isinstance(error, TooLarge):
        for name, value in version.limits(error.limit):
            response.headers.add(name, value)
    elif isinstance(error, Gone):
        response.status = version.gone_status
        _word(response, None, {"status": response.status})
    if isinstance(error, OffsetMismatch | WriterDisplaced):
        response.headers.add(*version.completeness(False))
    return response


def _word(response: Response, kind: str | None, members: dict[str, Any]) -> None:
    assert isinstance(response.body, bytes)
    document = json.loads(response.body) | members
    if kind is not None:
        document["type"] = _TYPES + kind
    response.body = json.dumps(document, ensure_ascii=False).encode()
    response.length = len(response.body)

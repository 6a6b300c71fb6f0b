"""How the draft words what is refused: the fields that its clients look at, and its problem types."""

from __future__ import annotations

import json
from typing import Any, Final

from eft.domain.errors import (
    AlreadyFinished,
    ChecksumMismatch,
    DigestMismatch,
    EftError,
    Gone,
    LengthInvalid,
    OffsetMismatch,
    TooLarge,
)
from eft.http_resumable import problems
from eft.http_resumable.draft_versions import DraftVersion, integer, version_of
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
    elif isinstance(error, ChecksumMismatch):
        # 460 is tus's own: no client of the draft knows it.
        response.status = 400
        _word(response, None, {"status": 400, "title": "Bad Request"})
    elif isinstance(error, LengthInvalid):
        response.status = 400
        _word(response, "inconsistent-upload-length", {"status": 400, "title": "Bad Request"})
    elif isinstance(error, AlreadyFinished):
        response.status = 400
        kind = "completed-upload" if version.number <= 8 else None
        _word(response, kind, {"status": 400, "title": "Bad Request"})
    elif isinstance(error, TooLarge):
        for name, value in version.limits(error.limit):
            response.headers.add(name, value)
    elif isinstance(error, Gone):
        response.status = version.gone_status
        _word(response, None, {"status": response.status})
    response.headers.add(*version.completeness(_is_of_the_file(error, version)))
    return response


def _is_of_the_file(error: EftError | Refusal, version: DraftVersion) -> bool:
    """Whether nothing is left to send, as it was the file that was refused. Up to 8 also where a finished one was added to."""
    return isinstance(error, DigestMismatch) or (isinstance(error, AlreadyFinished) and version.number <= 8)


def _word(response: Response, kind: str | None, members: dict[str, Any]) -> None:
    assert isinstance(response.body, bytes)
    document = json.loads(response.body) | members
    if kind is not None:
        document["type"] = _TYPES + kind
    response.body = json.dumps(document, ensure_ascii=False).encode()
    response.length = len(response.body)

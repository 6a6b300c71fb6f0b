"""How the gate words what it refuses itself, before a handler sees it: in the protocol that the request speaks, or as a page."""

from __future__ import annotations

from eft.domain.errors import EftError
from eft.http_resumable import page_messages as messages
from eft.http_resumable import problems
from eft.http_resumable import tus_headers as tus
from eft.http_resumable.draft import speaks_draft
from eft.http_resumable.draft_problems import draft_problem
from eft.http_resumable.locations import PREFIX
from eft.http_resumable.page_html import Pages, reads_pages
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response


class Wording:
    """Tus wants its version in every answer, the draft its completeness; who reads pages is given one."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def __call__(self, request: Request, refused: EftError | Refusal) -> Response:
        is_of_files = request.path == PREFIX or request.path.startswith(PREFIX + "/")
        if is_of_files and speaks_draft(request.headers):
            return draft_problem(refused, request.headers)
        if reads_pages(request) and "Tus-Resumable" not in request.headers:
            return self._pages.refusal(messages.of_error(refused), refused)
        response = problems.answer(refused)
        if is_of_files:
            response.headers.add("Tus-Resumable", tus.VERSION)
        return response

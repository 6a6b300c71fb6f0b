"""Who sends files to `/files`: the holder of an upload token, or a browser with the cookie of the Transfer Files page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from eft.accounts.sessions import Visitor
from eft.accounts.tokens import UploadPrincipal
from eft.domain.errors import NotFound, Unauthenticated
from eft.http_resumable.page_cookies import Origin, PageCookie, is_safe, origin_of
from eft.http_resumable.refusals import Refusal
from eft.http_resumable.request import Request
from eft.transfers import Transfers

Authenticate = Callable[[str], Awaitable[object]]
"""Whom a bearer token stands for. Raises Unauthenticated, WrongRegion."""

CASE_HEADER: Final = "Eft-Case"
"""Which of the cases that its person has open in this browser a page means."""

_ID_LENGTH: Final = 32


class Callers:
    """The one authenticator of `/files`. Without a `cookie` only tokens are let in."""

    def __init__(
        self, authenticate: Authenticate, *, cookie: PageCookie | None = None, transfers: Transfers | None = None
    ) -> None:
        self._authenticate = authenticate
        self._cookie = cookie
        self._transfers = transfers

    async def uploader(self, request: Request) -> UploadPrincipal:
        """Whom the request is from, before any byte of its body is read.

        Raises Unauthenticated, WrongRegion; NotFound for a case that the page's person has not opened; Refusal where another
        site may have made the browser ask.
        """
        said = request.headers.get_all("Authorization")
        if not said and self._cookie is not None and self._cookie.value_in(request) is not None:
            return await self._visitor(request, self._cookie)
        kind, _, token = said[0].partition(" ") if len(said) == 1 else ("", "", "")
        if kind.lower() != "bearer":
            raise Unauthenticated
        principal = await self._authenticate(token.strip())
        if not isinstance(principal, UploadPrincipal):
            raise Unauthenticated(
                "This is no upload token.", "Ask the control API for an upload token of the case, and send that."
            )
        return principal

    async def _visitor(self, request: Request, cookie: PageCookie) -> UploadPrincipal:
        check_origin(request)
        visitor = await cookie.visitor(request)
        if visitor is None or not visitor.case_ids:
            raise session_ended()
        case_id = await self._case_meant(request, visitor)
        return UploadPrincipal(visitor.person.actor_name, case_id, visitor.person.source)

    async def _case_meant(self, request: Request, visitor: Visitor) -> str:
        named = request.headers.get_all(CASE_HEADER)
        if named:
            if len(named) > 1 or named[0] not in visitor.case_ids:
                raise NotFound
            return named[0]
        if len(visitor.case_ids) == 1:
            return next(iter(visitor.case_ids))
        case_id = await self._case_of(request.path.rpartition("/")[2], visitor)
        if case_id is not None:
            return case_id
        if request.method != "POST":
            raise NotFound
        raise Refusal(
            400,
            "case-missing",
            "Several cases are open in this browser.",
            f"Name the one that is meant in the header {CASE_HEADER}.",
        )

    async def _case_of(self, upload_id: str, visitor: Visitor) -> str | None:
        """Which of the visitor's cases has this upload."""
        if self._transfers is None or len(upload_id) != _ID_LENGTH:
            return None
        for case_id in sorted(visitor.case_ids):
            try:
                await self._transfers.upload(upload_id, case_id=case_id)
            except NotFound:
                continue
            return case_id
        return None


def check_origin(request: Request) -> None:
    """A cookie counts where the page itself asks, and not where another site makes the browser ask.

    Raises Refusal; Unauthenticated for what another site would only like to read.
    """
    origin = origin_of(request)
    if is_safe(request):
        if origin is Origin.FOREIGN:
            raise Unauthenticated
    elif origin is not Origin.OWN:
        raise cross_origin()


def cross_origin() -> Refusal:
    return Refusal(
        403,
        "cross-origin",
        "The request did not come from the Transfer Files page itself.",
        "Send it from the page, or use an upload token.",
        close=True,
    )


def session_ended() -> Unauthenticated:
    return Unauthenticated("The session of this page has ended.", "Open Transfer Files again from the case page.")

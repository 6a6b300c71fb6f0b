"""Who sends files to `/files`: the holder of an upload token, or a browser with the cookie of the Transfer Files page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from eft.accounts.tokens import UploadPrincipal
from eft.domain.errors import Unauthenticated
from eft.http_resumable.request import Request

Authenticate = Callable[[str], Awaitable[object]]
"""Whom a bearer token stands for. Raises Unauthenticated, WrongRegion."""

BEARER: Final = "bearer"


class Callers:
    """The one authenticator of `/files`."""

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate

    async def uploader(self, request: Request) -> UploadPrincipal:
        """Whom the request is from, before any byte of its body is read. Raises Unauthenticated, WrongRegion."""
        said = request.headers.get_all("Authorization")
        kind, _, token = said[0].partition(" ") if len(said) == 1 else ("", "", "")
        if kind.lower() != BEARER:
            raise Unauthenticated
        principal = await self._authenticate(token.strip())
        if not isinstance(principal, UploadPrincipal):
            raise Unauthenticated(
                "This is no upload token.", "Ask the control API for an upload token of the case, and send that."
            )
        return principal

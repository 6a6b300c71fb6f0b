"""Who calls: the scopes of the token, and the name under which the audit log knows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
import re

from fastapi import Request

from eft.accounts.tokens import ApiPrincipal, Scope
from eft.api.guard import name_of, principal_of
from eft.domain.actor import Actor
from eft.domain.errors import Invalid, ScopeMissing
from eft.domain.person import EMAIL

ACTOR_HEADER = "Eft-Actor"
"""The e-mail address of the person a case system acts for. The audit log names both; the token alone is what counts."""

_EMAIL = re.compile(EMAIL)


def needs(scope: Scope) -> Callable[[Request], Awaitable[Actor]]:
    """A dependency: the caller, where its token has `scope`. An upload token has none. Raises ScopeMissing."""

    async def caller(request: Request) -> Actor:
        principal = principal_of(request.scope)
        if not isinstance(principal, ApiPrincipal) or scope.value not in principal.scopes:
            raise ScopeMissing(scope.value)
        return Actor(_name(request, principal), request.client.host if request.client else "")

    return caller


def _name(request: Request, principal: ApiPrincipal) -> str:
    """Raises Invalid."""
    told = request.headers.getlist(ACTOR_HEADER)
    if not told:
        return name_of(principal)
    if len(told) > 1 or not _EMAIL.fullmatch(told[0]):
        raise Invalid(f"{ACTOR_HEADER} is not an e-mail address.", "Send one address in ASCII, or leave the header out.")
    return f"{told[0]} (via {name_of(principal)})"

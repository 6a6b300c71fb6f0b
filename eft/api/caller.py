"""Who calls: the scopes of the token, and the name under which the audit log knows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from eft.accounts.tokens import ApiPrincipal, Scope
from eft.api.guard import name_of, principal_of
from eft.domain.actor import Actor
from eft.domain.errors import ScopeMissing


def needs(scope: Scope) -> Callable[[Request], Awaitable[Actor]]:
    """A dependency: the caller, where its token has `scope`. An upload token has none. Raises ScopeMissing."""

    async def caller(request: Request) -> Actor:
        principal = principal_of(request.scope)
        if not isinstance(principal, ApiPrincipal) or scope.value not in principal.scopes:
            raise ScopeMissing(scope.value)
        return Actor(name_of(principal), request.client.host if request.client else "")

    return caller

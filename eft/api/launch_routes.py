"""Opening the Transfer Files page for somebody who has signed in elsewhere."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from eft.accounts.tokens import Scope
from eft.api.bodies import LaunchBody, LaunchView
from eft.api.caller import needs
from eft.api.services import ApiServices, ApiSettings
from eft.domain.actor import Actor
from eft.domain.case import check_case_id
from eft.domain.person import Person

Issues = Annotated[Actor, Depends(needs(Scope.TOKENS_WRITE))]


def launch_routes(services: ApiServices, settings: ApiSettings) -> APIRouter:
    """The route behind a portal's Transfer Files button."""
    routes = APIRouter(tags=["access"])

    @routes.post("/cases/{case_id}/launch", status_code=201)
    async def launch(case_id: str, actor: Issues, body: LaunchBody) -> LaunchView:
        """An address that opens the Transfer Files page of this case for one person, once, within 60 seconds."""
        person = Person(body.actor.name, body.actor.email, body.actor.role)
        ticket, expires_at = await services.launches.issue(check_case_id(case_id), person, actor)
        return LaunchView(url=f"{settings.page_url}/launch/{ticket}", expires_at=expires_at)

    return routes

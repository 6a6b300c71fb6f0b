"""Cases: put, list, close, reopen, hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from eft.accounts.tokens import Scope
from eft.api.bodies import CaseBody, CaseView, CloseBody, HoldBody, Page, ReopenBody, Reopener
from eft.api.caller import needs
from eft.api.services import ApiServices
from eft.domain.actor import Actor
from eft.domain.case import check_case_id

Limit = Annotated[int, Query(ge=1, le=1000, description="Items on a page")]
Cursor = Annotated[str | None, Query(max_length=200, description="The `next` of the page before")]

Reads = Annotated[Actor, Depends(needs(Scope.CASES_READ))]
Writes = Annotated[Actor, Depends(needs(Scope.CASES_WRITE))]
Retains = Annotated[Actor, Depends(needs(Scope.RETENTION_WRITE))]


def case_routes(services: ApiServices) -> APIRouter:
    """The routes under `/cases` that are about a case itself."""
    routes = APIRouter(tags=["cases"])
    cases = services.cases

    @routes.get("/cases")
    async def list_cases(_: Reads, limit: Limit = 100, cursor: Cursor = None) -> Page[CaseView]:
        """Cases, newest first."""
        items, following = await cases.page(cursor, limit)
        return Page[CaseView](items=[CaseView.of(case) for case in items], next=following)

    @routes.put("/cases/{case_id}", responses={201: {"model": CaseView, "description": "The case is new"}})
    async def put_case(case_id: str, body: CaseBody, actor: Writes, response: Response) -> CaseView:
        """Describes a case. Idempotent. `closed` is the same as closing it, leaving `closed` the same as reopening it."""
        case, created = await cases.put(
            check_case_id(case_id),
            organisation=body.organisation,
            subject=body.subject,
            status=body.status,
            closed_at=body.closed_at,
            actor=actor,
        )
        response.status_code = 201 if created else 200
        return CaseView.of(case)

    @routes.get("/cases/{case_id}")
    async def get_case(case_id: str, _: Reads) -> CaseView:
        """One case."""
        return CaseView.of(await cases.get(check_case_id(case_id)))

    @routes.post("/cases/{case_id}/close")
    async def close_case(case_id: str, body: CloseBody, actor: Writes) -> CaseView:
        """Closes a case: its account ends, its unfinished uploads freeze, its data goes in 30 days. Repeatable."""
        return CaseView.of(
            await cases.close(check_case_id(case_id), sub_status=body.sub_status, comment=body.comment, actor=actor)
        )

    @routes.post("/cases/{case_id}/reopen")
    async def reopen_case(case_id: str, body: ReopenBody, actor: Writes) -> CaseView:
        """Reopens a case; frozen uploads go on. A customer may for 30 days, staff always."""
        by_customer = body.actor is Reopener.CUSTOMER
        return CaseView.of(await cases.reopen(check_case_id(case_id), reason=body.reason, by_customer=by_customer, actor=actor))

    @routes.put("/cases/{case_id}/hold")
    async def hold_case(case_id: str, body: HoldBody, actor: Retains) -> CaseView:
        """Puts a case under a legal hold: nothing of it is purged until it is released."""
        return CaseView.of(await cases.hold(check_case_id(case_id), reason=body.reason, actor=actor))

    @routes.delete("/cases/{case_id}/hold", status_code=204)
    async def release_hold(case_id: str, actor: Retains) -> None:
        """Releases the hold. Repeatable."""
        await cases.release_hold(check_case_id(case_id), actor)

    return routes

"""Cases, as the portal shows them: its own copy of whose they are, and the gateways' word on everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from eft.domain.case import CASE_ID
from eft.domain.clock import Clock
from eft.portal import case_rows
from eft.portal.case_rows import KnownCase, View
from eft.portal.database import Database
from eft.portal.gateways import Gateway, GatewayDown, GatewayRefused
from eft.portal.people import Person

LOOK_AGAIN_S = 2.0
"""A list of cases is at most this old."""


class Cases:
    """The front of the case rows: looks at gateways where that is needed, and keeps the copy in step with them."""

    def __init__(self, database: Database, gateways: Mapping[str, Gateway], clock: Clock) -> None:
        self._database = database
        self._gateways = gateways
        self._clock = clock
        self._looked: dict[str, float] = {}
        self._turns = {region: asyncio.Lock() for region in gateways}

    async def listed(self, person: Person, view: View) -> tuple[list[KnownCase], list[str]]:
        """What `person` may see, newest first, and the regions that did not answer: of those it is what was last known."""
        answers = await asyncio.gather(*(self._look_at(gateway) for gateway in self._gateways.values()))
        found = await self._database.run(lambda conn: case_rows.listed(conn, person, view))
        return found, [region for region, answered in zip(self._gateways, answers, strict=True) if not answered]

    async def find(self, case_id: str) -> KnownCase | None:
        """The case, whoever asks; None where no gateway has it. Gateways are asked only for one that is not known yet."""
        if not CASE_ID.fullmatch(case_id):
            return None
        known = await self._database.run(lambda conn: case_rows.get(conn, case_id))
        if known is not None:
            return known
        for gateway in self._gateways.values():
            try:
                told = await gateway.case(case_id)
            except (GatewayDown, GatewayRefused):
                continue
            if told is not None:
                return await self.note(gateway.region, told)
        return None

    async def note(self, region: str, told: dict[str, Any]) -> KnownCase | None:
        """Takes over what a gateway told; the case as it is known from then on."""

        def work(conn: Connection) -> KnownCase | None:
            case_rows.note_told(conn, region, told, self._clock.now())
            return case_rows.get(conn, told["id"])

        return await self._database.run(work)

    async def refresh(self, known: KnownCase) -> KnownCase:
        """The case after its gateway was asked. Raises GatewayDown, and GatewayRefused."""
        told = await self._gateways[known.region].case(known.id)
        return known if told is None else (await self.note(known.region, told) or known)

    async def _look_at(self, gateway: Gateway) -> bool:
        """Brings all cases of a region up to date, unless that was done a moment ago. Whether the gateway answered."""
        async with self._turns[gateway.region]:
            if self._clock.monotonic() - self._looked.get(gateway.region, -LOOK_AGAIN_S) < LOOK_AGAIN_S:
                return True
            try:
                told = await gateway.cases()
            except (GatewayDown, GatewayRefused):
                return False

            def work(conn: Connection) -> None:
                now = self._clock.now()
                known = case_rows.of_region(conn, gateway.region)
                for case in told:
                    if case_rows.is_news(known.get(case["id"]), case):
                        case_rows.note_told(conn, gateway.region, case, now)
                case_rows.note_seen(conn, gateway.region, now)

            await self._database.run(work)
            self._looked[gateway.region] = self._clock.monotonic()
            return True

    def look_again(self, region: str) -> None:
        """The next list asks that region, however short a time ago it was asked."""
        self._looked.pop(region, None)

"""Launches: a ticket that a portal asks for, and that opens the Transfer Files page of one case once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
import re
import secrets

from eft.accounts.prefixes import foreign_region
from eft.accounts.sessions import hash_of, open_session
from eft.db import audit, cases
from eft.db import launches as rows
from eft.db.engine import Connection, Database
from eft.db.launches import LaunchTicket
from eft.domain.actor import Actor
from eft.domain.case import PurgeState
from eft.domain.clock import Clock
from eft.domain.errors import CaseClosed, CasePurging, NotFound, WrongRegion
from eft.domain.person import Person
from eft.domain.region import Region

TICKET_LIFETIME = timedelta(seconds=60)

KEEP = timedelta(days=1)
"""An expired ticket is known for so long, so that whoever follows it late is told what happened."""

_TICKET = re.compile(r"eft_([a-z0-9-]{1,32})_launch_[A-Za-z0-9_-]{43}")


class Over(StrEnum):
    """Why a ticket opens nothing."""

    USED = "used"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Admission:
    """Which page a ticket opened, and the cookie that goes with it."""

    case_id: str
    cookie: str


class Launches:
    """Issues tickets, and takes each of them once."""

    def __init__(self, *, database: Database, clock: Clock, region: str, regions: Mapping[str, Region]) -> None:
        self._database = database
        self._clock = clock
        self._region = region
        self._regions = regions

    async def issue(self, case_id: str, person: Person, actor: Actor) -> tuple[str, datetime]:
        """A ticket for an open case, good once and for 60 seconds, and when it expires.

        Raises NotFound, CaseClosed, CasePurging.
        """
        ticket = f"eft_{self._region}_launch_{secrets.token_urlsafe(32)}"

        def work(conn: Connection) -> datetime:
            case = cases.get(conn, case_id)
            if case is None:
                raise NotFound
            if not case.takes_data:
                raise CaseClosed
            if case.purge is PurgeState.PURGING:
                raise CasePurging
            now = self._clock.now()
            expires_at = now + TICKET_LIFETIME
            rows.insert_ticket(
                conn,
                LaunchTicket(hash=hash_of(ticket), case_id=case_id, person=person, created_at=now, expires_at=expires_at),
            )
            audit.record(
                conn,
                at=now,
                actor=actor,
                action="launch.issue",
                case_id=case_id,
                subject=person.actor_name,
                outcome="done",
                detail={"expires_at": expires_at.isoformat()},
            )
            return expires_at

        return ticket, await self._database.write(work)

    async def redeem(self, ticket: str, cookie: str | None, address: str) -> Admission | Over:
        """Uses the ticket up: of any number of requests at once, in any worker, one is admitted. `cookie`: what the browser sent.

        Raises NotFound for what is no ticket, WrongRegion by its prefix alone.
        """
        if _TICKET.fullmatch(ticket) is None:
            raise NotFound
        other = foreign_region(ticket, self._region, self._regions)
        if other is not None:
            raise WrongRegion(other.name, other.url)
        digest = hash_of(ticket)

        def work(conn: Connection) -> Admission | Over:
            now = self._clock.now()
            admitted = rows.use_ticket(conn, digest, now)
            found = rows.ticket_by_hash(conn, digest)
            if found is None:
                return Over.UNKNOWN
            over = None if admitted else (Over.USED if found.used_at is not None else Over.EXPIRED)
            audit.record(
                conn,
                at=now,
                actor=Actor(found.person.actor_name, address),
                action="launch.redeem",
                case_id=found.case_id,
                subject=found.case_id,
                outcome="done" if over is None else "refused",
                detail={} if over is None else {"why": over.value},
            )
            if over is not None:
                return over
            return Admission(found.case_id, open_session(conn, cookie, found.person, found.case_id, now, self._region))

        return await self._database.write(work)

    async def forget_expired(self) -> int:
        """Removes tickets that are long over. Returns how many."""
        return await self._database.write(lambda conn: rows.forget_tickets(conn, self._clock.now() - KEEP))

"""What every page works with: the portal's parts, and the visit that it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.datastructures import FormData
from starlette.requests import Request

from eft.domain.clock import Clock
from eft.portal import journal
from eft.portal.cases import Cases
from eft.portal.database import Database
from eft.portal.gateways import Gateway
from eft.portal.mail import Mailer
from eft.portal.operations import Metrics
from eft.portal.pages import Pages
from eft.portal.passwords import PasswordCheck
from eft.portal.people import Person
from eft.portal.sessions import LONGEST, digest
from eft.portal.settings import PortalSettings


@dataclass(frozen=True, slots=True)
class Visit:
    """One request: who asks (None: nobody signed in), the secret in their cookie, and the form they sent."""

    request: Request
    person: Person | None
    secret: str
    form: FormData

    @property
    def signed_in(self) -> Person:
        assert self.person is not None, "the route lets nobody else in"
        return self.person

    @property
    def address(self) -> str:
        return self.request.client.host if self.request.client else "-"

    def part(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


class FormKey:
    """Signs the token of every form: it is good for one browser's cookie, and as long as a session at most."""

    def __init__(self, key: bytes) -> None:
        self._signer = URLSafeTimedSerializer(key, salt="eft-portal-form")

    def token(self, secret: str) -> str:
        return str(self._signer.dumps(digest(secret)))

    def is_good(self, token: str, secret: str) -> bool:
        try:
            return bool(self._signer.loads(token, max_age=int(LONGEST.total_seconds())) == digest(secret))
        except BadData:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The portal's parts, put together."""

    settings: PortalSettings
    database: Database
    gateways: Mapping[str, Gateway]
    cases: Cases
    pages: Pages
    passwords: PasswordCheck
    form_key: FormKey
    mailer: Mailer
    metrics: Metrics
    clock: Clock
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def in_background(self, work: Coroutine[None, None, None]) -> None:
        """Carries `work` out after the answer, so that the answer's time tells nothing of it."""
        task = asyncio.get_running_loop().create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def note(self, visit: Visit, action: str, case_id: str | None = None, detail: str = "") -> None:
        """Puts what somebody did into the journal."""
        email = visit.person.email if visit.person else "-"
        now, address = self.clock.now(), visit.address
        await self.database.run(
            lambda conn: journal.note(conn, at=now, email=email, address=address, action=action, case_id=case_id, detail=detail)
        )

"""A portal on a real database, before gateways in memory, and people who visit it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
import re

from argon2 import PasswordHasher
import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from eft.domain.person import Role
from eft.portal import passwords, people
from eft.portal.app import make_site, portal_app
from eft.portal.database import Database
from eft.portal.settings import (
    GatewaySettings,
    HttpsSettings,
    MailSettings,
    OperationsSettings,
    PortalSettings,
    SupportSettings,
)
from eft.portal.site import Site
from tests.unit.portal.fake_gateway import FakeGateway, secret

PASSWORD = "four words for everybody"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""A thousandth of the work: what is tested is not how slow a guess is."""

HASH, NOBODY = CHEAP.hash(PASSWORD), CHEAP.hash("nobody")
STAFF, CUSTOMER, STRANGER = "sam@support.example", "ann@example.com", "bob@other.example"


@dataclass
class Clock:
    """Stands still until it is moved."""

    instant: datetime = datetime(2026, 11, 23, 9, 0, 0, 123456, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()

    def go_on(self, **span: float) -> None:
        self.instant += timedelta(**span)


@dataclass
class Mails:
    """Keeps mail instead of sending it."""

    sent: list[tuple[str, str]] = field(default_factory=list)

    async def send(self, to: str, subject: str, text: str) -> None:
        self.sent.append((to, text))


class Visitor:
    """A browser: keeps cookies, follows nothing by itself, and sends forms with the token of the page they are on."""

    def __init__(self, app: Starlette, address: str) -> None:
        transport = httpx.ASGITransport(app, client=(address, 1234))
        self.client = httpx.AsyncClient(transport=transport, base_url="https://portal.test")

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def token(self) -> str:
        """The token of any form: it goes with the browser's cookie."""
        page = await self.get("/forgotten")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        return found.group(1)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        return await self.client.post(path, data={"csrf": await self.token(), **fields})

    async def sign_in(self, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        return await self.post("/sign-in", email=email, password=password, **fields)


class House:
    """Everything that a test of the portal needs."""

    def __init__(self, site: Site, us: FakeGateway, emea: FakeGateway, clock: Clock, mails: Mails) -> None:
        self.site, self.us, self.emea, self.clock, self.mails = site, us, emea, clock, mails
        self.app = portal_app(site)
        self._visitors: list[Visitor] = []

    def visitor(self, address: str = "192.0.2.1") -> Visitor:
        self._visitors.append(Visitor(self.app, address))
        return self._visitors[-1]

    async def signed_in(self, email: str) -> Visitor:
        visitor = self.visitor()
        assert (await visitor.sign_in(email)).status_code == 303
        return visitor

    async def settle(self) -> None:
        """Waits for what the portal does after it has answered."""
        while self.site.under_way:
            await asyncio.wait(self.site.under_way)

    async def leave(self) -> None:
        await self.settle()
        for visitor in self._visitors:
            await visitor.client.aclose()
        for gateway in self.site.gateways.values():
            await gateway.close()
        self.site.database.close()


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", CHEAP)
    monkeypatch.setattr(passwords, "_NOBODY", NOBODY)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> PortalSettings:
    return PortalSettings.model_construct(
        url="https://portal.test",
        key_file=secret(tmp_path / "portal.key", "k" * 32),
        https=HttpsSettings.model_construct(extra_hosts=()),
        operations=OperationsSettings.model_construct(port=1),
        mail=MailSettings.model_construct(sender="support@support.example"),
        support=SupportSettings(name="Customer Care", telephone="+1 555 0100"),
        gateways={
            region: GatewaySettings.model_construct(
                title=f"Region {region}",
                url=f"https://{region}.test",
                public_url=None,
                page_url=f"https://page-{region}.test",
                token_file=secret(tmp_path / f"{region}-token", f"token-{region}"),
                case_system_token_file=secret(tmp_path / f"{region}-case", f"asks-{region}"),
                ca_file=None,
            )
            for region in ("us", "emea")
        },
    )


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path / 'portal.db'}")
    made.upgrade()
    return made


@pytest_asyncio.fixture
async def house(settings: PortalSettings, database: Database, clock: Clock) -> AsyncIterator[House]:
    us, emea = FakeGateway("us", clock), FakeGateway("emea", clock)
    gateways = {each.region: each.gateway(settings.gateways[each.region]) for each in (us, emea)}
    mails = Mails()
    site = make_site(settings, database, clock, gateways=gateways, mailer=mails)
    for email, role, organisation in (
        (STAFF, Role.STAFF, None),
        (CUSTOMER, Role.CUSTOMER, "Example"),
        (STRANGER, Role.CUSTOMER, "Other"),
    ):
        database.run_here(
            lambda conn, e=email, r=role, o=organisation: people.create(  # type: ignore[misc]
                conn, email=e, name=e.split("@")[0].title(), role=r, organisation=o, password_hash=HASH, now=clock.now()
            )
        )
    made = House(site, us, emea, clock, mails)
    yield made
    await made.leave()

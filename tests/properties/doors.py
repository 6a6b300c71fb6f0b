"""Where the customer sends: a gateway in processes of its own that can be killed, or one in this process whose time can pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
import secrets
import ssl
from typing import Protocol

from tests.fixtures.gateway import Gateway
from tests.fixtures.tls import Certificates, Peer
from tests.unit.http.tus_site import TusSite

PATIENCE_S = 90.0


class _Trust(Certificates):
    """The client's side alone, made once."""

    context: ssl.SSLContext

    @classmethod
    def of(cls, ca: Path) -> _Trust:
        made = cls(ca, ca, ca)
        object.__setattr__(made, "context", ssl.create_default_context(cafile=str(ca)))
        return made

    def client_context(self) -> ssl.SSLContext:
        return self.context


class Door(Protocol):
    """One gateway, with one case after another."""

    can_be_killed: bool
    has_clock: bool

    def new_case(self) -> None: ...

    def renew_token(self) -> None: ...

    @property
    def token(self) -> str: ...

    @property
    def stranger(self) -> str:
        """A token of another case."""

    def peer(self) -> Peer: ...

    def kill(self) -> None:
        """Kills all of it at once, and starts it again."""

    def pass_time(self, days: float, upload_ids: list[str]) -> None:
        """So much later nobody has any of these uploads open, and what time brings has been done."""

    def now(self) -> datetime:
        """What the gateway's clock shows, where it has one of its own."""

    def tick(self) -> None:
        """What time brings is done now, where somebody has to see to that."""


class RealDoor:
    """`eft serve` with two workers."""

    can_be_killed = True
    has_clock = False

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._trust = _Trust.of(gateway.ca)
        self._case = self.token = ""
        self.stranger = gateway.upload_token(gateway.open_case("P-other"))

    def new_case(self) -> None:
        self._case = self._gateway.open_case(f"P-{secrets.token_hex(6)}")
        self.renew_token()

    def renew_token(self) -> None:
        self.token = self._gateway.upload_token(self._case)

    def peer(self) -> Peer:
        return Peer(self._gateway.https_port, self._trust, timeout=PATIENCE_S)

    def kill(self) -> None:
        self._gateway.kill()
        self._gateway.start()

    def pass_time(self, days: float, upload_ids: list[str]) -> None:
        raise AssertionError("a real gateway's clock is the machine's")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def tick(self) -> None:
        """It does so by itself."""


class ClockedDoor:
    """`/files` in this process."""

    can_be_killed = False
    has_clock = True

    def __init__(self, site: TusSite) -> None:
        self._site = site
        self._trust = _Trust.of(site.server.certificates.ca)
        self._case = self.token = self.stranger = ""

    def new_case(self) -> None:
        self._case = f"P-{secrets.token_hex(6)}"
        for case in (self._case, "P-other"):
            self._site.run(self._site.services.open_case(case))
        self.renew_token()

    def renew_token(self) -> None:
        self.token, self.stranger = (self._site.new_token(case) for case in (self._case, "P-other"))

    def peer(self) -> Peer:
        return Peer(self._site.server.port, self._trust, timeout=PATIENCE_S)

    def kill(self) -> None:
        raise AssertionError("nobody kills the process that tests")

    def pass_time(self, days: float, upload_ids: list[str]) -> None:
        for upload_id in upload_ids:
            self._site.run(self._site.services.transfers.holders.let_go(upload_id))
        self._site.services.clock.advance(timedelta(days=days))
        self.tick()
        self.renew_token()

    def now(self) -> datetime:
        return self._site.services.clock.now()

    def tick(self) -> None:
        self._site.run(self._site.services.transfers.tick())

"""Whether a temporary account may be used: one decision, however its holder shows who they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import re

from eft.accounts.prefixes import foreign_region
from eft.db import accounts as rows
from eft.db import audit, cases
from eft.db.engine import Connection, Database
from eft.domain.account import TELEPHONE_SAFE, TemporaryAccount
from eft.domain.actor import Actor
from eft.domain.case import PurgeState
from eft.domain.clock import Clock
from eft.domain.errors import SignInRefused, WrongRegion
from eft.domain.region import Region

_USERNAME = re.compile(rf"eft_[a-z0-9-]{{1,32}}_[{TELEPHONE_SAFE}]{{12}}")
_NOBODY = "-"
"""No account has this name or id. It is looked for all the same, so that an unknown user takes no other way than a known one."""

Proof = Callable[[Connection, str], str]
"""Why the holder of an account, by its id, is not taken for who they say; nothing where they are."""


class SignIns:
    """Decides at the instant of the question, and writes down how it ended."""

    def __init__(self, *, database: Database, clock: Clock, region: str, regions: Mapping[str, Region]) -> None:
        self._database = database
        self._clock = clock
        self._region = region
        self._regions = regions

    def name_of(self, username: str) -> str:
        """The user name as it is looked for; one that is not of our form may be a password typed into the wrong field, and goes
        no further than here. Raises WrongRegion, by the name alone."""
        other = foreign_region(username, self._region, self._regions)
        if other is not None:
            raise WrongRegion(other.name, f"sftp://{other.sftp_host}:{other.sftp_port}")
        return username if _USERNAME.fullmatch(username) else _NOBODY

    async def password_hash(self, name: str) -> str | None:
        """Of the account of that name, alive or not."""
        known = await self._database.read(lambda conn: rows.by_username(conn, name))
        return known.password_hash if known else None

    async def look(self, name: str, proof: Proof) -> TemporaryAccount:
        """The account, if it may be used. Nothing is written down: nobody is signed in by this. Raises SignInRefused."""
        account, why = await self._database.read(lambda conn: self._judge(conn, name, proof))
        if account is None or why:
            raise SignInRefused
        return account

    async def sign_in(self, name: str, proof: Proof, address: str, **how: str) -> TemporaryAccount:
        """The account, if it may be used at this instant. Success and failure are in the audit log, with `how`.

        Raises SignInRefused.
        """

        def decide(conn: Connection) -> tuple[TemporaryAccount | None, str]:
            account, why = self._judge(conn, name, proof)
            audit.record(
                conn,
                at=self._clock.now(),
                actor=Actor(f"sftp:{name}", address),
                action="account.sign-in",
                case_id=account.case_id if account else None,
                subject=account.id if account else "",
                outcome="refused" if why else "done",
                detail=({"why": why} if why else {}) | how,
            )
            return account, why

        account, why = await self._database.write(decide)
        if account is None or why:
            raise SignInRefused
        return account

    def _judge(self, conn: Connection, name: str, proof: Proof) -> tuple[TemporaryAccount | None, str]:
        account = rows.by_username(conn, name)
        case = cases.get(conn, account.case_id if account else _NOBODY)
        not_proved = proof(conn, account.id if account else _NOBODY)
        if account is None or case is None:
            return account, "unknown"
        if not_proved:
            return account, not_proved
        if not account.is_alive(self._clock.now()):
            return account, "over"
        if not case.takes_data or case.purge is not PurgeState.NONE:
            return account, "case-closed"
        return account, ""

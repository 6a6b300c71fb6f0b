"""Temporary SFTP accounts (R12-R18, K11, K13): one alive for a case, for 120 hours."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
import re
import secrets

from eft.accounts.passwords import Passwords
from eft.accounts.prefixes import foreign_region
from eft.db import accounts as rows
from eft.db import audit, cases
from eft.db.engine import Connection, Database
from eft.domain.account import LIFETIME, TELEPHONE_SAFE, TemporaryAccount, new_password, new_username
from eft.domain.actor import SYSTEM, Actor
from eft.domain.case import Case, PurgeState
from eft.domain.clock import Clock
from eft.domain.errors import CaseClosed, EftError, NotFound, SignInRefused, WrongRegion
from eft.domain.region import Region
from eft.storage.ports import KeyStore

_USERNAME = re.compile(rf"eft_[a-z0-9-]{{1,32}}_[{TELEPHONE_SAFE}]{{12}}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account with its password, to be shown and then forgotten."""

    account: TemporaryAccount
    password: str = field(repr=False)


class TemporaryAccounts:
    """Issues, shows, checks and ends temporary accounts.

    The database holds an argon2id hash for signing in; the password that can be shown is in a slot of the key store. Both are
    erased when the account is over.
    """

    def __init__(
        self,
        *,
        database: Database,
        keys: KeyStore,
        clock: Clock,
        region: str,
        regions: Mapping[str, Region],
        passwords: Passwords | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._region = region
        self._regions = regions
        self._passwords = passwords or Passwords()
        self._issuing: set[asyncio.Task[Credentials]] = set()

    def close(self) -> None:
        """Lets go of the hashing threads."""
        self._passwords.close()

    async def issue(self, case_id: str, actor: Actor) -> Credentials:
        """A new account for an open case; the one that was alive is revoked in the same transaction.

        Its 120 hours begin with the commit. The password's slot is durable before the row is; it is erased when the row cannot
        be written. A caller that goes away changes nothing of that: the work is done to its end.

        Raises NotFound, CaseClosed, Busy.
        """
        work = asyncio.create_task(self._issue(case_id, actor))
        self._issuing.add(work)
        work.add_done_callback(self._issuing.discard)
        return await asyncio.shield(work)

    async def show(self, case_id: str, actor: Actor) -> Credentials:
        """The living account of the case and its password. Every reveal is in the audit log before it is given out (K11).

        Raises NotFound where no account is alive, or the case is unknown.
        """
        account = await self.alive_of(case_id)
        if account.secret_slot is None:
            raise _no_account()
        unreadable: EftError | None = None
        password = b""
        try:
            password = await asyncio.to_thread(self._keys.secret, account.secret_slot, account.id)
        except EftError as error:
            unreadable = error  # It may have ended just now: then it is simply not there.

        def reveal(conn: Connection) -> bool:
            now = self._clock.now()
            again = rows.alive_of_case(conn, case_id, now)
            if again is None or again.id != account.id:
                return False
            audit.record(
                conn,
                at=now,
                actor=actor,
                action="account.reveal",
                case_id=case_id,
                subject=account.id,
                outcome="done" if unreadable is None else unreadable.code,
                detail={"username": account.username},
            )
            return True

        if not await self._database.write(reveal):
            raise _no_account()
        if unreadable is not None:
            raise unreadable
        return Credentials(account, password.decode())

    async def alive_of(self, case_id: str) -> TemporaryAccount:
        """The living account of the case; no password is looked at. Raises NotFound."""
        account = await self._database.read(lambda conn: rows.alive_of_case(conn, case_id, self._clock.now()))
        if account is None:
            raise _no_account()
        return account

    async def revoke(self, case_id: str, actor: Actor) -> None:
        """No account of the case is alive on return, and its password is gone. Repeatable. Raises NotFound."""

        def work(conn: Connection) -> None:
            if cases.lock(conn, case_id) is None:
                raise _no_case()
            self._end_living(conn, case_id, actor, why="revoked")

        await self._database.write(work)
        await self.erase_due()

    async def authenticate(self, username: str, password: str, address: str) -> TemporaryAccount:
        """The account that user name and password belong to.

        An unknown user costs the same time as a wrong password. Whether the account is alive and its case open is decided at the
        instant after the hash. Success and failure are in the audit log.

        Raises SignInRefused, WrongRegion (by the user name alone), Busy.
        """
        other = foreign_region(username, self._region, self._regions)
        if other is not None:
            raise WrongRegion(other.name, f"sftp://{other.sftp_host}:{other.sftp_port}")
        ours = _USERNAME.fullmatch(username) is not None
        known = await self._database.read(lambda conn: rows.by_username(conn, username if ours else "-"))
        matches = await self._passwords.matches(password, known.password_hash if known else None)

        def decide(conn: Connection) -> TemporaryAccount | None:
            now = self._clock.now()
            account = rows.by_username(conn, username if ours else "-")
            case = cases.get(conn, account.case_id) if account else None
            why = ""
            if account is None or case is None:
                why = "unknown"
            elif not matches:
                why = "password"
            elif not account.is_alive(now):
                why = "over"
            elif not case.takes_data or case.purge is not PurgeState.NONE:
                why = "case-closed"
            audit.record(
                conn,
                at=now,
                # A name that is not one of ours may be a password typed into the wrong field.
                actor=Actor(f"sftp:{username if ours else '-'}", address),
                action="account.sign-in",
                case_id=account.case_id if account else None,
                subject=account.id if account else "",
                outcome="refused" if why else "done",
                detail={"why": why} if why else {},
            )
            return None if why else account

        account = await self._database.write(decide)
        if account is None:
            raise SignInRefused
        return account

    async def alive(self, ids: Collection[str]) -> set[str]:
        """Those of `ids` that are alive at this instant."""
        if not ids:
            return set()
        return await self._database.read(lambda conn: rows.alive(conn, list(ids), self._clock.now()))

    async def erase_due(self) -> int:
        """Erases password and hash of every account that is over. Idempotent; returns how many were erased.

        The slot goes first: after a crash between the two the row still says which one it was.
        """
        due = await self._database.read(lambda conn: rows.secrets_due(conn, self._clock.now()))
        for account in due:
            await self._erase(account)
        return len(due)

    async def _erase(self, account: TemporaryAccount) -> None:
        if account.secret_slot is not None:
            await asyncio.to_thread(self._keys.erase_secret, account.secret_slot, account.id)

        def clear(conn: Connection) -> None:
            rows.clear_secret(conn, account.id)
            audit.record(
                conn,
                at=self._clock.now(),
                actor=SYSTEM,
                action="account.erase",
                case_id=account.case_id,
                subject=account.id,
                outcome="done",
                detail={"why": "expired" if account.revoked_at is None else "revoked"},
            )

        await self._database.write(clear)

    async def _issue(self, case_id: str, actor: Actor) -> Credentials:
        await self._database.read(lambda conn: _check_open(cases.get(conn, case_id)))
        password = new_password()
        password_hash = await self._passwords.hash(password)
        account_id = secrets.token_hex(16)
        slot = await asyncio.to_thread(self._keys.put_secret, account_id, password.encode())

        def work(conn: Connection) -> TemporaryAccount:
            _check_open(cases.lock(conn, case_id))
            now = self._clock.now()
            self._end_living(conn, case_id, actor, why="replaced")
            account = TemporaryAccount(
                id=account_id,
                case_id=case_id,
                username=new_username(self._region),
                password_hash=password_hash,
                created_at=now,
                expires_at=now + LIFETIME,
                secret_slot=slot,
            )
            rows.insert(conn, account)
            audit.record(
                conn,
                at=now,
                actor=actor,
                action="account.issue",
                case_id=case_id,
                subject=account.id,
                outcome="done",
                detail={"username": account.username, "expires_at": account.expires_at.isoformat()},
            )
            return account

        try:
            account = await self._database.write(work)
        except BaseException:
            await asyncio.to_thread(self._keys.erase_secret, slot, account_id)
            raise
        await self.erase_due()
        return Credentials(account, password)

    def _end_living(self, conn: Connection, case_id: str, actor: Actor, *, why: str) -> None:
        now = self._clock.now()
        for account in rows.revoke_case(conn, case_id, now):
            audit.record(
                conn,
                at=now,
                actor=actor,
                action="account.revoke",
                case_id=case_id,
                subject=account.id,
                outcome="done",
                detail={"username": account.username, "why": why},
            )


def _check_open(case: Case | None) -> None:
    if case is None:
        raise _no_case()
    if not case.takes_data:
        raise CaseClosed


def _no_account() -> NotFound:
    return NotFound("The case has no temporary account that is alive.", "Ask support to create one.")


def _no_case() -> NotFound:
    return NotFound("This gateway knows no case of that id.", "Check the id; the case system has to put the case first.")

"""Temporary SFTP accounts (R12-R18, K11, K13): one alive for a case, for 120 hours."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
import secrets

from eft.accounts.keys import AccountKeys, no_account
from eft.accounts.passwords import Passwords
from eft.accounts.sign_in import SignIns
from eft.db import account_keys, audit, cases
from eft.db import accounts as rows
from eft.db.engine import Connection, Database
from eft.domain.account import LIFETIME, TemporaryAccount, new_password, new_username
from eft.domain.actor import SYSTEM, Actor
from eft.domain.case import Case
from eft.domain.clock import Clock
from eft.domain.errors import CaseClosed, EftError, NotFound
from eft.domain.region import Region
from eft.storage.ports import KeyStore


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account with its password, to be shown and then forgotten."""

    account: TemporaryAccount
    password: str = field(repr=False)


class TemporaryAccounts:
    """Issues, shows, checks and ends temporary accounts.

    The database holds an argon2id hash for signing in; the password that can be shown is in a slot of the key store. Both are
    erased when the account is over, and the public keys that were registered with it.
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
        self._passwords = passwords or Passwords()
        self._sign_ins = SignIns(database=database, clock=clock, region=region, regions=regions)
        self.public_keys = AccountKeys(database=database, clock=clock, sign_ins=self._sign_ins)
        """The public keys of the people who have the accounts."""
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
            raise no_account()
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
            raise no_account()
        if unreadable is not None:
            raise unreadable
        return Credentials(account, password.decode())

    async def alive_of(self, case_id: str) -> TemporaryAccount:
        """The living account of the case; no password is looked at. Raises NotFound."""
        account = await self._database.read(lambda conn: rows.alive_of_case(conn, case_id, self._clock.now()))
        if account is None:
            raise no_account()
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
        name = self._sign_ins.name_of(username)
        matches = await self._passwords.matches(password, await self._sign_ins.password_hash(name))
        return await self._sign_ins.sign_in(name, lambda _conn, _account_id: "" if matches else "password", address)

    async def alive(self, ids: Collection[str]) -> set[str]:
        """Those of `ids` that are alive at this instant."""
        if not ids:
            return set()
        return await self._database.read(lambda conn: rows.alive(conn, list(ids), self._clock.now()))

    async def erase_due(self) -> int:
        """Erases password, hash and public keys of every account that is over. Idempotent; returns how many were erased.

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
            account_keys.clear(conn, account.id)
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


def _no_case() -> NotFound:
    return NotFound("This gateway knows no case of that id.", "Check the id; the case system has to put the case first.")

"""Public keys registered with a temporary account: another way to show that one holds it, for as long as it lives.

A key is no account: it changes nothing of when the account ends, and is forgotten with it. It is not carried over to the account
that replaces it (docs/decisions/0053).
"""

from __future__ import annotations

import secrets

from eft.accounts.sign_in import Proof, SignIns
from eft.db import account_keys as rows
from eft.db import accounts, audit, cases
from eft.db.account_keys import AccountKey
from eft.db.engine import Connection, Database
from eft.domain.account import TemporaryAccount
from eft.domain.actor import Actor
from eft.domain.clock import Clock
from eft.domain.errors import NotFound, TooManyKeys
from eft.domain.public_key import MOST_KEYS, fingerprint_of, parse_public_key


class AccountKeys:
    """Registers, lists, removes and checks the keys of whatever account of a case is alive."""

    def __init__(self, *, database: Database, clock: Clock, sign_ins: SignIns) -> None:
        self._database = database
        self._clock = clock
        self._sign_ins = sign_ins

    async def register(self, case_id: str, text: str, actor: Actor) -> tuple[AccountKey, bool]:
        """The key in `text`, registered with the case's account, and whether it is new there. Repeatable.

        Raises PublicKeyInvalid, TooManyKeys, NotFound where no account is alive.
        """
        key = parse_public_key(text)

        def work(conn: Connection) -> tuple[AccountKey, bool]:
            account = self._alive(conn, case_id)
            known = rows.of_account(conn, account.id)
            for each in known:
                if each.fingerprint == key.fingerprint:
                    return each, False
            if len(known) >= MOST_KEYS:
                raise TooManyKeys(MOST_KEYS)
            added = AccountKey(
                id=secrets.token_hex(16),
                account_id=account.id,
                fingerprint=key.fingerprint,
                kind=key.kind,
                bits=key.bits,
                comment=key.comment,
                blob=key.blob,
                added_at=self._clock.now(),
                added_by=actor.name,
            )
            rows.insert(conn, added)
            self._note(conn, actor, account, "account.key-add", added)
            return added, True

        return await self._database.write(work)

    async def of_case(self, case_id: str) -> list[AccountKey]:
        """The keys of the account that is alive, newest first. Raises NotFound."""

        def work(conn: Connection) -> list[AccountKey] | None:
            account = accounts.alive_of_case(conn, case_id, self._clock.now())
            return None if account is None else rows.of_account(conn, account.id)

        found = await self._database.read(work)
        if found is None:
            raise no_account()
        return found

    async def remove(self, case_id: str, key_id: str, actor: Actor) -> None:
        """The key opens nothing any more on return; a session that it has opened goes on. Raises NotFound."""

        def work(conn: Connection) -> None:
            account = self._alive(conn, case_id)
            removed = rows.remove(conn, account.id, key_id)
            if removed is None:
                raise NotFound("The account has no such key.", "List its keys: it may have been removed already.")
            self._note(conn, actor, account, "account.key-remove", removed)

        await self._database.write(work)

    async def known(self, username: str, blob: bytes) -> TemporaryAccount:
        """The account that who has this key could sign in to. Nobody is by that. Raises SignInRefused, WrongRegion."""
        return await self._sign_ins.look(self._sign_ins.name_of(username), _registered(blob))

    async def authenticate(self, username: str, blob: bytes, address: str, *, signed: bool) -> TemporaryAccount:
        """The account that user name and key belong to; `signed`: the signature was seen to be the key's.

        An unknown user is looked for and written down like a known one. Raises SignInRefused, WrongRegion.
        """
        proof = _registered(blob) if signed else _not_signed
        return await self._sign_ins.sign_in(self._sign_ins.name_of(username), proof, address, public_key=fingerprint_of(blob))

    def _alive(self, conn: Connection, case_id: str) -> TemporaryAccount:
        cases.lock(conn, case_id)
        account = accounts.alive_of_case(conn, case_id, self._clock.now())
        if account is None:
            raise no_account()
        return account

    def _note(self, conn: Connection, actor: Actor, account: TemporaryAccount, action: str, key: AccountKey) -> None:
        audit.record(
            conn,
            at=self._clock.now(),
            actor=actor,
            action=action,
            case_id=account.case_id,
            subject=account.id,
            outcome="done",
            detail={"username": account.username, "public_key": key.fingerprint, "kind": key.kind},
        )


def no_account() -> NotFound:
    """What is said where an account is needed and none is alive."""
    return NotFound("The case has no temporary account that is alive.", "Ask support to create one.")


def _registered(blob: bytes) -> Proof:
    fingerprint = fingerprint_of(blob)

    def proof(conn: Connection, account_id: str) -> str:
        found = rows.find(conn, account_id, fingerprint)
        return "" if found is not None and found.blob == blob else "key"

    return proof


def _not_signed(_conn: Connection, _account_id: str) -> str:
    return "signature"

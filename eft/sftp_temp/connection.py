"""One SSH connection: who signs in, what it may open, and how it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime, timedelta
import logging
from typing import Any, Protocol

import asyncssh

from eft.domain.account import TemporaryAccount
from eft.domain.actor import Actor
from eft.domain.clock import Clock
from eft.domain.errors import EftError, SignInRefused, WrongRegion
from eft.sftp_temp import key_sign_in
from eft.sftp_temp.announcement import Announcement, announces
from eft.sftp_temp.flow import Flow
from eft.sftp_temp.key_sign_in import REFUSED_AFTER_S, SHA1_HINT, Offer
from eft.sftp_temp.limiter import AddressLimiter
from eft.sftp_temp.operations import Operations
from eft.sftp_temp.packet_layer import attach
from eft.sftp_temp.ports import Accounts, Directory, Keys
from eft.sftp_temp.session import SftpSession
from eft.sftp_temp.settings import SftpSettings
from eft.sftp_temp.steering import steer

log = logging.getLogger("eft.sftp_temp")

ENVIRONMENT_BYTES = 16 * 1024
PROMPT = "Password: "
LAST_HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LONGEST_NAME = 64
LONGEST_DELAY = 8.0
"""The answer to a failure takes longer with each one that is remembered of the address, up to so many times as long."""


class Door(Protocol):
    """The door, as a connection sees it."""

    accounts: Accounts
    keys: Keys
    directory: Directory
    clock: Clock
    settings: SftpSettings
    limiter: AddressLimiter
    account_limiter: AddressLimiter

    def arrived(self, connection: Connection) -> str:
        """Why there is no room for it; nothing where there is."""

    def may_explain(self) -> bool:
        """Whether one more that is refused may be told why, which takes a moment."""

    def signed_in(self, connection: Connection) -> None: ...
    def left(self, connection: Connection) -> None: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> None: ...


class Connection(asyncssh.SSHServer):
    """Passwords, by `password` or `keyboard-interactive`, and registered public keys; sessions only, and of those SFTP only.

    An attempt is counted when it begins, so that a client that does not wait for the answer gains nothing.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._settings = door.settings
        self._ssh: asyncssh.SSHServerConnection | None = None
        self._flow: Flow | None = None
        self._attempts = 0
        self._names = 0
        self._keys = 0
        self._offered_under: list[str] = []
        self._sent_elsewhere = False
        self._ending = False
        self._sessions: dict[SftpSession, asyncssh.SSHServerChannel[bytes]] = {}
        self.account: TemporaryAccount | None = None
        self.address = ""

    # What asyncssh tells

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._ssh = conn
        peer = conn.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self._flow = Flow(conn, self._eased)
        steer(conn)
        key_sign_in.attach(conn, self._offered)
        attach(conn, self._settings.packet_pieces)
        if announces(self.address, self._settings.proxy_protocol_from):
            Announcement(self._flow.transport, self._announced, self._unannounced)
        elif refusal := self._no_room():
            if self._door.may_explain():
                self._flow.refuse(refusal)
            else:
                conn.abort()

    def _no_room(self) -> str:
        refusal = self._door.arrived(self)
        if refusal:
            log.warning("sftp.refused", extra={"reason": refusal, "address": self.address})
            self._ending = True
        return refusal

    def _announced(self, client: str | None) -> bool:
        """A proxy has said whose connection this is. eft's version line is out by now, so a refusal is SSH's own."""
        self.address = client or self.address
        refusal = self._no_room()
        if refusal:
            self.disconnect(refusal)
        return not refusal

    def _unannounced(self) -> None:
        log.warning("sftp.refused", extra={"reason": "no PROXY header", "address": self.address})
        self._ending = True
        if self._ssh is not None:
            self._ssh.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        self._ssh = None
        self._door.left(self)

    def begin_auth(self, username: str) -> bool:
        self._names += 1
        if self._names > self._settings.attempts_per_connection:
            self.disconnect("Too many user names were tried.")
        return True

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True  # whether the account has one or not, which is nobody's business yet

    def host_based_auth_supported(self) -> bool:
        return False

    async def validate_password(self, username: str, password: str) -> bool:
        return await self._attempt(username, lambda: self._door.accounts.authenticate(username, password, self.address))

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [(PROMPT, False)]

    async def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return len(responses) == 1 and await self.validate_password(username, responses[0])

    def auth_completed(self) -> None:
        if self.account is not None:
            log.info("sftp.signed_in", extra={"account": self.account.id, "case_id": self.account.case_id})
        self._door.signed_in(self)

    def session_requested(self) -> tuple[asyncssh.SSHServerChannel[bytes], SftpSession] | bool:
        account, ssh = self.account, self._ssh
        if account is None or ssh is None or self._ending or account.username != ssh.get_extra_info("username"):
            return False
        if not account.is_alive(self._door.clock.now()):
            self.cut(expired(account.expires_at))
            return False
        if len(self._sessions) >= self._settings.channels_per_connection:
            return False
        session = SftpSession(self, lambda: self._operations(account), self._settings.packet_pieces)
        channel: asyncssh.SSHServerChannel[bytes] = ssh.create_server_channel(
            encoding=None, window=WINDOW_BYTES, max_pktsize=CHANNEL_PACKET_BYTES
        )
        self._sessions[session] = channel
        return channel, session

    def _operations(self, account: TemporaryAccount) -> Operations:
        return Operations(
            case_id=account.case_id,
            actor=Actor(f"sftp:{account.username}", self.address),
            directory=self._door.directory,
            clock=self._door.clock,
            settings=self._settings,
        )

    # Signing in

    async def _attempt(self, username: str, authenticate: Callable[[], Awaitable[TemporaryAccount]]) -> bool:
        """Whether the account may be used. Anything but a clear yes is a no."""
        self._attempts += 1
        if self._ending or self._attempts > self._settings.attempts_per_connection:
            self.disconnect("Too many attempts to sign in.")
            return False
        name = username[:LONGEST_NAME]
        self._take_back_offers()
        before, blocked = self._standing(name)
        self._count(name)
        if not blocked and (account := await self._ask(authenticate)) is not None:
            self._take_back(name)
            self._let_in(account)
            return True
        await asyncio.sleep(self._settings.failed_attempt_delay_s * min(1 + before, LONGEST_DELAY))
        if self._attempts >= self._settings.attempts_per_connection:
            self.disconnect("Too many attempts to sign in.")
        return False

    async def _offered(self, offer: Offer) -> bool:
        """Whether the key would do; where it signed, whether its owner is signed in by it. See key_sign_in.py."""
        keys, username = self._door.keys, offer.username
        self._keys += 1
        if self._ending or self._keys > self._settings.keys_per_connection:
            self.disconnect("Too many keys were offered. Name the one to use (OpenSSH: -i FILE -o IdentitiesOnly=yes).")
            return False
        if offer.signed is False:
            if offer.sha1 and self._ssh is not None:
                self._ssh.send_auth_banner(SHA1_HINT)
            return await self._attempt(username, lambda: keys.authenticate(username, offer.blob, self.address, signed=False))
        due, name = asyncio.get_running_loop().time() + REFUSED_AFTER_S, username[:LONGEST_NAME]
        counted = list(self._offered_under)
        if offer.signed or name not in counted:
            counted.append(name)
        self._take_back_offers()
        before, blocked = self._standing(name)
        for each in counted:
            self._count(each)
        self._offered_under = counted
        if not blocked:
            account = await self._ask(
                (lambda: keys.authenticate(username, offer.blob, self.address, signed=True))
                if offer.signed
                else (lambda: keys.known(username, offer.blob))
            )
            if account is not None and offer.signed:
                self._take_back_offers()
                self._let_in(account)
            if account is not None:
                return True
        if self._keys == 1:
            due += self._settings.failed_attempt_delay_s * min(before, LONGEST_DELAY)
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        return False

    def _standing(self, name: str) -> tuple[float, bool]:
        """How many failures of the address are remembered, and whether nothing is looked at for now."""
        before = self._door.limiter.count(self.address)
        # Who guesses at an account from many addresses does not lock its owner out: an address without failures has its try.
        return before, self._door.limiter.blocked(self.address) or (self._door.account_limiter.blocked(name) and before > 0)

    def _count(self, name: str) -> None:
        self._door.limiter.failed(self.address)
        self._door.account_limiter.failed(name)

    def _take_back(self, name: str) -> None:
        self._door.limiter.forgive(self.address)
        self._door.account_limiter.forgive(name)

    def _take_back_offers(self) -> None:
        for name in self._offered_under:
            self._take_back(name)
        self._offered_under = []

    def _let_in(self, account: TemporaryAccount) -> None:
        self.account = account
        self._warn_of_the_end(account)

    def _warn_of_the_end(self, account: TemporaryAccount) -> None:
        left = account.expires_at - self._door.clock.now()
        if left < LAST_HOUR and self._ssh is not None:
            self._ssh.send_auth_banner(
                f"This temporary account expires at {account.expires_at:%Y-%m-%d %H:%M:%S} UTC, in {left // MINUTE} minutes.\r\n"
                "What is unfinished then is kept; ask support for a new account and resume.\r\n"
            )

    async def _ask(self, authenticate: Callable[[], Awaitable[TemporaryAccount]]) -> TemporaryAccount | None:
        try:
            account = await authenticate()
        except WrongRegion as elsewhere:
            if self._ssh is not None and not self._sent_elsewhere:
                self._sent_elsewhere = True
                where = f"This account belongs to the region {elsewhere.region}: connect to {elsewhere.url}"
                self._ssh.send_auth_banner(where + "\r\n")
            return None
        except SignInRefused:
            return None
        except EftError as error:
            log.warning("sftp.request_failed", extra={"code": error.code})
            return None
        except Exception:
            log.exception("sftp.request_failed")
            return None
        return account if account.is_alive(self._door.clock.now()) else None

    # What sessions ask

    @property
    def congested(self) -> bool:
        return self._flow is not None and self._flow.congested

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._door.spawn(work)

    def hold(self, session: SftpSession) -> None:
        if self._flow is not None:
            self._flow.hold(session)

    def ease(self, session: SftpSession) -> None:
        if self._flow is not None:
            self._flow.ease(session)

    def session_ended(self, session: SftpSession) -> None:
        self._sessions.pop(session, None)

    def disconnect(self, reason: str, *, protocol_error: bool = False) -> None:
        """Says why, and hangs up. Repeatable."""
        self._ending = True
        if self._ssh is not None:
            if self._flow is not None:
                self._flow.prepare_last_words()
            self._ssh.disconnect(asyncssh.DISC_PROTOCOL_ERROR if protocol_error else asyncssh.DISC_BY_APPLICATION, reason)

    # What the door asks

    def cut(self, error: EftError) -> None:
        """From this call on nothing is carried out any more. Waiting requests are refused with the error's sentence; a moment
        later, so that the client can read it, the connection ends with the same sentence."""
        if self._ending:
            return
        self._ending = True
        for session in list(self._sessions):
            session.cut(error)
        asyncio.get_running_loop().call_later(self._settings.farewell_s, self.disconnect, f"{error.detail} {error.remedy}")

    def check_environment(self) -> None:
        """Hangs up on a peer that fills memory with environment variables, which asyncssh keeps without a limit."""
        for channel in self._sessions.values():
            environment = channel.get_environment_bytes()
            if environment and sum(len(key) + len(value) + 64 for key, value in environment.items()) > ENVIRONMENT_BYTES:
                self.disconnect("Too many environment variables.", protocol_error=True)
                return

    def _eased(self) -> None:
        for session in list(self._sessions):
            session.proceed()


def expired(at: datetime) -> SignInRefused:
    """What a session is told whose account has run out."""
    return SignInRefused(
        f"The temporary account expired at {at:%Y-%m-%d %H:%M:%S} UTC.",
        "What was sent is kept; ask support for a new account and resume.",
    )


def revoked() -> SignInRefused:
    """What a session is told whose account was revoked or replaced, or whose case was closed."""
    return SignInRefused(
        "The temporary account is no longer valid: it was replaced or revoked, or the case was closed.",
        "What was sent is kept; look up the current credentials on the case page.",
    )


WINDOW_BYTES = 2 * 1024 * 1024
CHANNEL_PACKET_BYTES = 96 * 1024
"""Measured: 0.7 times the CPU of asyncssh's own 32 KiB; larger ones are worse for GCM."""

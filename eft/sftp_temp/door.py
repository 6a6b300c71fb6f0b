"""The SFTP door of one worker: listens, counts, and cuts accounts that are over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
import errno
import logging
import socket
from typing import Any

import asyncssh

from eft.domain.clock import Clock
from eft.domain.errors import Busy
from eft.sftp_temp import connection, transport
from eft.sftp_temp.connection import Connection
from eft.sftp_temp.flow import LINGER_S
from eft.sftp_temp.limiter import AddressLimiter
from eft.sftp_temp.ports import Accounts, Directory, Keys
from eft.sftp_temp.settings import SftpSettings
from eft.sftp_temp.sharing import SharedListener

log = logging.getLogger("eft.sftp_temp")

_ABSENT_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

EXPLAINED_AT_ONCE = 100
LEAVE_S = 10.0
"""Seconds that `stop` waits for what was received to be kept."""


class SftpDoor:
    """Everything that one worker does over SSH. Start once, stop once."""

    def __init__(self, *, directory: Directory, accounts: Accounts, keys: Keys, clock: Clock, settings: SftpSettings) -> None:
        self.directory = directory
        self.accounts = accounts
        self.keys = keys
        self.clock = clock
        self.settings = settings
        self.limiter = AddressLimiter(
            clock, limit=settings.failed_attempts_per_address, forgotten_after_s=settings.failed_attempt_forgotten_after_s
        )
        self.account_limiter = AddressLimiter(
            clock, limit=settings.failed_attempts_per_account, forgotten_after_s=settings.failed_attempt_forgotten_after_s
        )
        self._acceptors: list[asyncssh.SSHAcceptor | SharedListener] = []
        self._connections: set[Connection] = set()
        self._signed_in: set[Connection] = set()
        self._explaining = 0
        self._waiting_by_address: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on. Raises RuntimeError before `start`."""
        if not self._acceptors:
            raise RuntimeError("the door is not open")
        return self._acceptors[0].get_port()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self, shared: Sequence[socket.socket] = ()) -> None:
        """Listens on return: at the sockets that are `shared` with other workers, or, without any, on every address whose family
        the machine has. Raises OSError, UnsafeSetting."""
        asyncssh.set_log_level(logging.WARNING)
        for listener in shared:
            self._acceptors.append(transport.share(listener, self.settings, lambda: Connection(self), lambda: self.connections))
        for host in self.settings.hosts if not shared else ():
            try:
                self._acceptors.append(await transport.listen(host, self.settings, lambda: Connection(self)))
            except OSError as error:
                if error.errno not in _ABSENT_FAMILY:
                    raise
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Listens no more, tells every client, and waits until what they sent is kept, at most 10 s."""
        for acceptor in self._acceptors:
            acceptor.close()
        for task in (self._sweeper, self._asking):
            if task is not None:
                task.cancel()
        for live in list(self._connections):
            live.cut(Busy(5, "The server is being restarted."))
        if self._connections:
            await asyncio.sleep(self.settings.farewell_s)
        for live in list(self._connections):
            live.disconnect("The server is being restarted.")
        await asyncio.sleep(0)
        for _ in range(round(LEAVE_S / 0.01)):
            if not (self._connections or self._tasks):
                break
            await asyncio.sleep(0.01)
        for left in list(self._tasks):
            left.cancel()

    # What connections ask

    def arrived(self, new: Connection) -> str:
        """Why there is no room: for connections in all, for those not signed in yet, or for those of one address."""
        self._connections.add(new)
        waiting = len(self._connections) - len(self._signed_in)
        self._waiting_by_address[new.address] += 1
        if self.limiter.blocked(new.address):
            return "Too many failed sign-ins from your address. Try again in a minute."
        if self._waiting_by_address[new.address] > self.settings.unauthenticated_per_address:
            return "Too many connections from your address that have not signed in. Try again in a minute."
        if len(self._connections) > self.settings.connections or waiting > self.settings.unauthenticated:
            return "Too many connections. Try again in a minute."
        return ""

    def may_explain(self) -> bool:
        """At most 100 connections are kept for the second that it takes."""
        if self._explaining >= EXPLAINED_AT_ONCE:
            return False
        self._explaining += 1
        asyncio.get_running_loop().call_later(LINGER_S, self._explained)
        return True

    def _explained(self) -> None:
        self._explaining -= 1

    def signed_in(self, live: Connection) -> None:
        """It counts as a customer's from now on."""
        self._signed_in.add(live)
        self._no_longer_waiting(live)

    def left(self, gone: Connection) -> None:
        """It is gone. Its sessions let go of their files by themselves."""
        if gone in self._connections and gone not in self._signed_in:
            self._no_longer_waiting(gone)
        self._connections.discard(gone)
        self._signed_in.discard(gone)

    def _no_longer_waiting(self, live: Connection) -> None:
        self._waiting_by_address[live.address] -= 1
        if self._waiting_by_address[live.address] <= 0:
            del self._waiting_by_address[live.address]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs it to its end; `stop` waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sftp.request_failed", exc_info=error)

    # Accounts that are over

    async def _sweep(self) -> None:
        """Looks at every live session by the wall clock, and has the database asked about all of them at once. Neither waits for
        the other: a slow database never delays an expiry."""
        asked_at = self.clock.monotonic()
        while True:
            await asyncio.sleep(self.settings.sweep_s)
            try:
                self._cut_expired()
                if self._asking is None or self._asking.done():
                    now = self.clock.monotonic()
                    if now - asked_at >= 1.0 - self.settings.sweep_s / 2:
                        asked_at = now
                        self._asking = asyncio.create_task(self._cut_revoked())
            except Exception:
                log.exception("job.failed", extra={"job": "sftp-sweep"})

    def _cut_expired(self) -> None:
        now = self.clock.now()
        for live in list(self._signed_in):
            live.check_environment()
            account = live.account
            if account is not None and now >= account.expires_at:
                log.info("sftp.cut", extra={"account": account.id, "reason": "expired"})
                live.cut(connection.expired(account.expires_at))

    async def _cut_revoked(self) -> None:
        ids = {live.account.id for live in self._signed_in if live.account is not None}
        if not ids:
            return
        try:
            alive = await self.accounts.alive(ids)
        except Exception:
            log.exception("job.failed", extra={"job": "sftp-sweep"})
            return
        self._cut_expired()  # The database may be the first to see that an account has run out: its holder hears that, not this.
        now = self.clock.now()
        for live in list(self._signed_in):
            account = live.account
            if account is not None and account.id in ids and account.id not in alive and now < account.expires_at:
                log.info("sftp.cut", extra={"account": account.id, "reason": "revoked"})
                live.cut(connection.revoked())

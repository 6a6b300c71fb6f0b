"""When retention acts: once a second it looks at the wall clock, and no timer is ever longer (P7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
import logging

from eft.accounts.launches import Launches
from eft.accounts.sessions import PageSessions
from eft.accounts.temporary import TemporaryAccounts
from eft.accounts.tokens import Tokens
from eft.db import leases
from eft.db.engine import Database
from eft.domain.clock import Clock
from eft.retention.purge import RETENTION_JOB, Purge, PurgeReport
from eft.retention.rotation import KeyRotation

LEASE = "retention"
LEASE_S = 6.0
RENEW_S = 2.0

PURGE_EVERY_S = 30.0
"""How often cases that were kept, or failed, are tried again. One whose time comes is purged at the next look at the clock."""

TOKENS_EVERY_S = 3600.0
ROTATION_LOOK_EVERY_S = 600.0

JUMP_S = 1.5
"""The wall clock and the monotonic one came apart by so much since the last look: somebody has set it."""

log = logging.getLogger(__name__)


class Schedule:
    """Erases passwords that are over, purges what is due, rotates the master key weekly. One worker at a time does it, by a
    lease in the database; `holder` is this worker's name, `purged` is told how each
    run of the purge ended. Everything here may also be done twice."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        holder: str,
        accounts: TemporaryAccounts,
        tokens: Tokens,
        launches: Launches,
        sessions: PageSessions,
        purge: Purge,
        rotation: KeyRotation,
        purged: Callable[[PurgeReport], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._holder = holder
        self._accounts = accounts
        self._tokens = tokens
        self._launches = launches
        self._sessions = sessions
        self._purge = purge
        self._purged = purged
        self._rotation = rotation
        self._rotation_at = float("-inf")
        self._asked_at = float("-inf")
        self._leads = False
        self._drift: float | None = None
        self._purged_at = float("-inf")
        self._tokens_at = float("-inf")
        self._purging: asyncio.Task[None] | None = None

    async def tick(self) -> None:
        """To be called about once a second. Returns soon: a purge goes on by itself. Raises nothing that can wait a second."""
        jumped = self._clock_jumped()
        if not await self._is_leader(jumped=jumped):
            return
        await self._attempt("erase", self._accounts.erase_due())
        now = self._clock.monotonic()
        if now - self._tokens_at >= TOKENS_EVERY_S:
            self._tokens_at = now
            for job, work in (("tokens", self._tokens), ("launches", self._launches), ("sessions", self._sessions)):
                await self._attempt(job, work.forget_expired())
        if jumped or now - self._rotation_at >= ROTATION_LOOK_EVERY_S:
            self._rotation_at = now
            await self._attempt("rotation", self._rotation.run_due(RETENTION_JOB))
        idle = self._purging is None or self._purging.done()
        if idle and (jumped or now - self._purged_at >= PURGE_EVERY_S or await self._more_is_due()):
            self._purged_at = now
            self._purging = asyncio.create_task(self._attempt("purge", self._run_purge()))

    async def close(self) -> None:
        """Stops a purge that runs: it goes on from there at the next start. Gives the lease up."""
        if self._purging is not None:
            self._purging.cancel()
            with suppress(asyncio.CancelledError):
                await self._purging
        if self._leads:
            self._leads = False
            await self._attempt("lease", self._database.write(lambda conn: leases.release(conn, LEASE, self._holder)))

    async def _run_purge(self) -> None:
        self._purged(await self._purge.run_due())

    async def _more_is_due(self) -> bool:
        try:
            return await self._purge.has_more()
        except Exception:
            log.exception("job.failed", extra={"job": "purge"})
            return False

    def _clock_jumped(self) -> bool:
        drift = self._clock.now().timestamp() - self._clock.monotonic()
        before, self._drift = self._drift, drift
        return before is not None and abs(drift - before) >= JUMP_S

    async def _is_leader(self, *, jumped: bool) -> bool:
        monotonic = self._clock.monotonic()
        if jumped or monotonic - self._asked_at >= RENEW_S:
            self._asked_at = monotonic
            try:
                self._leads = await self._database.write(
                    lambda conn: leases.acquire(conn, LEASE, self._holder, self._clock.now(), LEASE_S)
                )
            except Exception:
                log.exception("job.failed", extra={"job": "lease"})
                self._leads = False
        return self._leads

    async def _attempt(self, job: str, work: Awaitable[object]) -> None:
        """One piece of work; what fails is logged and tried again, and nothing else waits for it."""
        try:
            await work
        except Exception:
            log.exception("job.failed", extra={"job": job})

"""The weekly rotation of the master key: no copy of the key store that still has a purged case's key can be read for longer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from eft.db import audit
from eft.db.engine import Connection, Database
from eft.domain.actor import Actor
from eft.domain.clock import Clock
from eft.storage.ports import KeyStore

EVERY = timedelta(days=7)
"""P6: a backup that still holds a destroyed key dies within 7 days."""

ROTATED = "keys.rotate"


class KeyRotation:
    """Seals every key anew under the next master key and destroys the one before; audited. A rotation that was cut short is
    finished by the next one."""

    def __init__(self, *, database: Database, keys: KeyStore, clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock

    async def rotate(self, actor: Actor) -> int:
        """Rotates now. Returns the new generation. Raises KeyUnavailable, StorageFailed."""
        generation = await asyncio.to_thread(self._keys.rotate)
        now = self._clock.now()

        def work(conn: Connection) -> None:
            audit.record(conn, at=now, actor=actor, action=ROTATED, case_id=None, subject=str(generation))

        await self._database.write(work)
        return generation

    async def run_due(self, actor: Actor) -> bool:
        """Rotates if the last rotation was `EVERY` ago or more. A new gateway's first week begins with its first look."""
        last = await self._database.read(lambda conn: audit.last_at(conn, ROTATED))
        now = self._clock.now()
        if last is None:
            await self._database.write(lambda conn: self._begin(conn, actor, now))
            return False
        if now - last < EVERY:
            return False
        await self.rotate(actor)
        return True

    def _begin(self, conn: Connection, actor: Actor, now: datetime) -> None:
        audit.record(conn, at=now, actor=actor, action=ROTATED, case_id=None, outcome="begun")

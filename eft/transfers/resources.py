"""What every part of the receive path works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import ParamSpec, TypeVar

from eft.db import audit, cases
from eft.db.engine import Connection, Database
from eft.domain.actor import Actor
from eft.domain.case import Case, PurgeState
from eft.domain.clock import Clock
from eft.domain.errors import CaseClosed, CasePurging, NotFound
from eft.storage.ports import KeyStore, SegmentStore
from eft.transfers.bus import Bus
from eft.transfers.hashing import Hashers
from eft.transfers.intent import TransferSettings
from eft.transfers.observer import Observer, Unobserved
from eft.transfers.uncancelled import uncancelled

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The ports and settings that the receive path is given. `pool` runs what blocks: hashing, sealing, disk. `check_room`
    raises StorageFull where nothing new may be begun; it does not block."""

    region: str
    database: Database
    segments: SegmentStore
    keys: KeyStore
    clock: Clock
    bus: Bus
    pool: ThreadPoolExecutor
    settings: TransferSettings
    observer: Observer = field(default_factory=Unobserved)
    check_room: Callable[[], None] = lambda: None
    hashers: Hashers = field(default_factory=Hashers)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(…)` in a thread. It has ended when this returns, be it by a cancellation."""
        return await uncancelled(asyncio.get_running_loop().run_in_executor(self.pool, partial(work, *args, **kwargs)))

    def record(
        self, conn: Connection, actor: Actor, action: str, case_id: str, subject: str, *, at: datetime, **detail: str | int | None
    ) -> None:
        """One line in the audit log, in the transaction of what it tells of."""
        audit.record(conn, at=at, actor=actor, action=action, case_id=case_id, subject=subject, outcome="done", detail=detail)


def lock_open_case(conn: Connection, case_id: str) -> Case:
    """The case, locked until the transaction ends. Raises NotFound, CasePurging, CaseClosed."""
    case = cases.lock(conn, case_id)
    if case is None:
        raise NotFound
    check_takes_data(case)
    return case


def check_takes_data(case: Case) -> None:
    """Raises CasePurging or CaseClosed where the case takes no byte."""
    if case.purge is not PurgeState.NONE:
        raise CasePurging
    if not case.takes_data:
        raise CaseClosed


def ensure_case_key(conn: Connection, keys: KeyStore, case: Case) -> bytes:
    """The case's key, made if this is its first byte. Runs under the case's row lock, so that one case never gets two.

    The slot is durable before the row names it. A transaction that fails afterwards leaves a key that sealed nothing.
    """
    slot = case.key_slot
    if slot is None:
        slot = keys.create_case_key(case.uid)
        cases.set_key_slot(conn, case.id, slot)
    return keys.case_key(slot, case.uid)

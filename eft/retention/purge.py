"""The purge of a case's data: DESIGN §4.2, "Purge".

::

    decide ──► purging ──► key destroyed ──► readers gone ──► bytes deleted ──► absence seen ──► purged
              (no way back)                  (grace)

Each step is idempotent, and the row says `purging` from the first to the last, so that a run after a crash begins again behind
the decision and comes to the same end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
import logging

from eft.db import attachments, cases, uploads
from eft.db.engine import Database
from eft.domain.actor import Actor
from eft.domain.attachment import AttachmentState
from eft.domain.case import RETENTION, Case, PurgeState
from eft.domain.clock import Clock
from eft.domain.errors import EftError, NotFound, StorageFailed
from eft.domain.retention import CaseSystemAnswer, Verdict, decide
from eft.retention import records
from eft.retention.ports import CaseSystem, Sleep
from eft.storage.ports import KeyStore, SegmentStore

RETENTION_JOB = Actor("system:retention")

READER_GRACE_S = 6.0
"""Readers look every 5 s whether what they read may still be read, and drop the key with it."""

AT_ONCE = 8
"""Cases that the case system is asked about at the same time: one that does not answer takes 10 s."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a purge would do to one case now, and what would go: counts, and `size` in bytes of plaintext."""

    case_id: str
    verdict: Verdict
    attachments: int
    size: int
    unfinished: int


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a run did: ids of cases. `kept` says why a case whose time has come was left alone, `failed` the code of the error."""

    purged: list[str] = field(default_factory=list)
    kept: dict[str, Verdict] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Purge:
    """Purges what is due. Several may run at once, in one process or many: the case's row lock keeps the decision apart, and the
    steps after it may be done twice."""

    def __init__(
        self,
        *,
        database: Database,
        keys: KeyStore,
        segments: SegmentStore,
        clock: Clock,
        case_system: CaseSystem | None = None,
        reader_grace_s: float = READER_GRACE_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._keys = keys
        self._segments = segments
        self._clock = clock
        self._case_system = case_system
        self._reader_grace_s = reader_grace_s
        self._sleep = sleep
        self._told: dict[str, str] = {}
        self._seen: frozenset[str] = frozenset()

    async def plan(self) -> list[Planned]:
        """Every closed case whose 30 days are over, with the verdict on it now. Changes nothing."""
        planned = []
        for case in await self._candidates():
            answer = await self._ask(case)
            verdict = decide(case, self._clock.now(), answer, asked=self._case_system is not None)
            planned.append(await self._what_would_go(case, verdict))
        return planned

    async def run_due(self, actor: Actor = RETENTION_JOB) -> PurgeReport:
        """Purges every case that is due. What fails for one case is reported, and the others go on; never raises for one."""
        candidates = await self._candidates()
        self._seen = frozenset(case.id for case in candidates)
        return await self._run(candidates, actor)

    async def has_more(self) -> bool:
        """Whether a case's 30 days are over that the last run had not seen."""
        return any(case.id not in self._seen for case in await self._candidates())

    async def purge(self, case_id: str, actor: Actor = RETENTION_JOB) -> PurgeReport:
        """Purges one case, if it is due. Raises NotFound."""
        case = await self._database.read(lambda conn: cases.get(conn, case_id))
        if case is None:
            raise NotFound
        return await self._run([case], actor)

    async def apply_tombstones(self) -> list[str]:
        """Brings a restored database up to what the key store knows: a case whose key was destroyed is purged again, before any
        door opens. Returns the ids of the cases that were behind. A purge that had begun in the database goes on by itself.

        Raises StorageFailed, KeyUnavailable: then no door may open.
        """
        destroyed = {tombstone.case: tombstone.at for tombstone in await asyncio.to_thread(self._keys.tombstones)}
        if not destroyed:
            return []
        behind = await self._database.read(lambda conn: cases.untouched_by_uid(conn, destroyed))
        for case in behind:
            await self._bury(case, destroyed[case.uid])
            await self._delete(case)
            await self._finish(case, RETENTION_JOB)
        if behind:
            log.warning("tombstones.applied", extra={"count": len(behind)})
        return [case.id for case in behind]

    async def _bury(self, case: Case, destroyed_at: datetime) -> None:
        await self._database.write(lambda conn: records.bury(conn, case.id, destroyed_at, self._clock.now(), RETENTION_JOB))

    async def _candidates(self) -> list[Case]:
        latest = self._clock.now() - RETENTION
        return await self._database.read(lambda conn: cases.closed_before(conn, latest))

    async def _run(self, candidates: Sequence[Case], actor: Actor) -> PurgeReport:
        report = PurgeReport()
        begun: list[Case] = []
        for first in range(0, len(candidates), AT_ONCE):
            some = candidates[first : first + AT_ONCE]
            found = await asyncio.gather(*(self._begin(case, actor, report) for case in some))
            begun.extend(case for case in found if case is not None)
        if not begun:
            return report
        await self._sleep(self._reader_grace_s)
        for case in begun:
            try:
                await self._delete(case)
                await self._finish(case, actor)
            except Exception as error:
                await self._report_failure(case.id, actor, error, report)
            else:
                self._told.pop(case.id, None)
                report.purged.append(case.id)
                log.info("purge.done", extra={"case_id": case.id})
        return report

    async def _begin(self, candidate: Case, actor: Actor, report: PurgeReport) -> Case | None:
        """The decision and the destruction of the key. The case, where the purge is to go on."""
        try:
            answer = await self._ask(candidate)
            asked = self._case_system is not None
            verdict, case = await self._database.write(
                lambda conn: records.begin(conn, candidate.id, self._clock.now(), answer, asked=asked, actor=actor)
            )
            if verdict is Verdict.DUE:
                log.info("purge.started", extra={"case_id": case.id})
                await self._destroy_key(case)
                return case
            if verdict is not Verdict.PURGED:
                report.kept[case.id] = verdict
                await self._tell_once(case.id, verdict, actor)
        except Exception as error:
            await self._report_failure(candidate.id, actor, error, report)
        return None

    async def _ask(self, case: Case) -> CaseSystemAnswer | None:
        """Asks the case system where its answer would matter: not of a case that is held, or whose purge has begun."""
        if self._case_system is None or case.purge is PurgeState.PURGING or case.hold_reason is not None:
            return None
        return await self._case_system.ask(case.id)

    async def _destroy_key(self, case: Case) -> None:
        if case.key_slot is not None:
            await asyncio.to_thread(self._keys.destroy_case_key, case.key_slot, case.uid, self._clock.now())

    async def _delete(self, case: Case) -> None:
        await asyncio.to_thread(self._segments.delete_case, case.uid)
        if not await asyncio.to_thread(self._segments.absent, case.uid):
            raise StorageFailed("Bytes of a purged case are still there after they were deleted.", "The purge is tried again.")

    async def _finish(self, case: Case, actor: Actor) -> None:
        await self._database.write(lambda conn: records.finish(conn, case, self._clock.now(), actor))

    async def _tell_once(self, case_id: str, verdict: Verdict, actor: Actor) -> None:
        """Into the audit log when the verdict is new, not each time that it is found again."""
        if verdict in (Verdict.NOT_CLOSED, Verdict.NOT_YET) or self._told.get(case_id) == verdict:
            return
        await self._database.write(lambda conn: records.withheld(conn, case_id, self._clock.now(), verdict, actor))
        self._told[case_id] = verdict
        log.warning("purge.postponed", extra={"case_id": case_id, "verdict": verdict.value})

    async def _report_failure(self, case_id: str, actor: Actor, error: Exception, report: PurgeReport) -> None:
        code = error.code if isinstance(error, EftError) else "internal-error"
        report.failed[case_id] = code
        log.error("purge.failed", extra={"case_id": case_id, "code": code}, exc_info=error)
        if self._told.get(case_id) == code:
            return
        try:
            await self._database.write(lambda conn: records.failed(conn, case_id, self._clock.now(), code, actor))
            self._told[case_id] = code
        except EftError:
            log.exception("job.failed", extra={"job": "audit", "case_id": case_id})

    async def _what_would_go(self, case: Case, verdict: Verdict) -> Planned:
        found, unfinished = await self._database.read(
            lambda conn: (attachments.of_case(conn, case.id), uploads.unfinished(conn, case.id))
        )
        going = [attachment for attachment in found if attachment.state is not AttachmentState.PURGED]
        return Planned(
            case_id=case.id,
            verdict=verdict,
            attachments=len(going),
            size=sum(attachment.size for attachment in going),
            unfinished=len(unfinished),
        )

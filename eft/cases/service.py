"""Cases: made, closed, reopened and held. Each change and its audit record are one transaction under the case's row lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
import secrets

from eft.db import accounts, audit, uploads
from eft.db import cases as rows
from eft.db.engine import Connection, Database
from eft.domain.actor import Actor
from eft.domain.case import Case, CaseStatus, PurgeState, SubStatus, check_case_id, close, reopen
from eft.domain.clock import Clock
from eft.domain.errors import CasePurging, Invalid, NotFound

_Change = Callable[[Case, datetime], Case]


class Cases:
    """The gateway's own record of each case."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(
        self,
        case_id: str,
        *,
        organisation: str,
        subject: str,
        status: CaseStatus,
        closed_at: datetime | None,
        actor: Actor,
    ) -> tuple[Case, bool]:
        """The case as the case system describes it, and whether it is new. Idempotent.

        `closed` is the same as closing it, at `closed_at` where that is given; leaving `closed` is the same as a reopening by
        staff. Raises Invalid for a `closed_at` in the future or on an open case, ClosedDifferently, CasePurging.
        """
        check_case_id(case_id)
        if closed_at is not None and status is not CaseStatus.CLOSED:
            raise Invalid("closed_at is given for a case that is not closed.", "Leave closed_at out, or send the status closed.")

        def work(conn: Connection) -> tuple[Case, bool]:
            now = self._clock.now()
            if closed_at is not None and closed_at > now:
                raise Invalid("closed_at is in the future.", "Send the time at which the case was closed.")
            known = rows.lock(conn, case_id)
            if known is None:
                new = Case(
                    id=case_id,
                    uid=secrets.token_hex(16),
                    organisation=organisation,
                    subject=subject,
                    status=status,
                    created_at=now,
                    closed_at=(closed_at or now) if status is CaseStatus.CLOSED else None,
                )
                rows.insert(conn, new)
                self._record(conn, actor, "case.create", new, now, status=status.value)
                return new, True
            described = replace(known, organisation=organisation, subject=subject)
            if status is CaseStatus.CLOSED:
                case = close(described, sub_status=None, comment="", closed_at=closed_at or now, explicit=closed_at is not None)
            else:
                case = reopen(described, by_customer=False, status=status, now=now)
            if case == known:
                return known, False
            self._save(conn, known, case, actor, now)
            if (case.organisation, case.subject) != (known.organisation, known.subject):
                self._record(conn, actor, "case.describe", case, now)
            return rows.get(conn, case_id) or case, False

        return await self._database.write(work)

    async def get(self, case_id: str) -> Case:
        """The case. Raises NotFound."""
        case = await self._database.read(lambda conn: rows.get(conn, case_id))
        if case is None:
            raise _unknown()
        return case

    async def page(self, cursor: str | None, limit: int) -> tuple[list[Case], str | None]:
        """At most `limit` cases, newest first, and the cursor of the next page. Raises Invalid for a cursor that is not ours."""
        return await self._database.read(lambda conn: rows.page(conn, cursor, limit))

    async def close(self, case_id: str, *, sub_status: SubStatus, comment: str, actor: Actor) -> Case:
        """The case, closed: its account revoked, its unfinished uploads frozen (K13). Repeatable. Raises NotFound."""

        def change(case: Case, now: datetime) -> Case:
            return close(case, sub_status=sub_status, comment=comment, closed_at=now, explicit=False)

        return await self._change(case_id, actor, change)

    async def reopen(self, case_id: str, *, reason: str, by_customer: bool, actor: Actor) -> Case:
        """The case, open, its frozen uploads going on. Repeatable.

        Raises NotFound, CasePurging, ReopenTooLate, ReopenByTelephone.
        """

        def change(case: Case, now: datetime) -> Case:
            if case.status is not CaseStatus.CLOSED:
                return case
            return reopen(case, by_customer=by_customer, status=CaseStatus.OPEN, now=now)

        return await self._change(case_id, actor, change, reason=reason, by="customer" if by_customer else "staff")

    async def hold(self, case_id: str, *, reason: str, actor: Actor) -> Case:
        """The case under a legal hold: nothing of it is purged until it is released. Another reason replaces the old one.

        Raises NotFound, CasePurging where the purge has begun already.
        """

        def work(conn: Connection) -> Case:
            case = _lock(conn, case_id)
            if case.purge is not PurgeState.NONE:
                raise CasePurging("The case's data is being purged, or has been.", "A hold comes too late for it.")
            if case.hold_reason == reason:
                return case
            held = replace(case, hold_reason=reason)
            rows.save(conn, held)
            self._record(conn, actor, "case.hold", held, self._clock.now(), reason=reason)
            return held

        return await self._database.write(work)

    async def release_hold(self, case_id: str, actor: Actor) -> None:
        """No legal hold is on the case any more. Repeatable. Raises NotFound."""

        def work(conn: Connection) -> None:
            case = _lock(conn, case_id)
            if case.hold_reason is not None:
                rows.save(conn, replace(case, hold_reason=None))
                self._record(conn, actor, "case.release", case, self._clock.now())

        await self._database.write(work)

    async def _change(self, case_id: str, actor: Actor, change: _Change, **detail: str) -> Case:
        def work(conn: Connection) -> Case:
            now = self._clock.now()
            known = _lock(conn, case_id)
            case = change(known, now)
            if case == known:
                return known
            self._save(conn, known, case, actor, now, **detail)
            return rows.get(conn, case_id) or case

        return await self._database.write(work)

    def _save(self, conn: Connection, known: Case, case: Case, actor: Actor, now: datetime, **detail: str) -> None:
        """Writes the changed case and what follows from its closing or reopening."""
        closing = known.takes_data and not case.takes_data
        reopening = case.takes_data and not known.takes_data
        if reopening and known.purge is PurgeState.PURGED:
            # The key store's tombstone stands for the old name in storage; what comes now must never be taken for that.
            case = replace(case, uid=secrets.token_hex(16))
        rows.save(conn, case)
        if closing:
            for account in accounts.revoke_case(conn, case.id, now):
                audit.record(
                    conn,
                    at=now,
                    actor=actor,
                    action="account.revoke",
                    case_id=case.id,
                    subject=account.id,
                    outcome="done",
                    detail={"username": account.username, "why": "case-closed"},
                )
            uploads.freeze_case(conn, case.id, now)
            self._record(
                conn,
                actor,
                "case.close",
                case,
                now,
                sub_status=case.sub_status or "",
                comment=case.comment,
                closed_at=case.closed_at.isoformat() if case.closed_at else "",
            )
        elif reopening:
            uploads.thaw_case(conn, case.id, now)
            self._record(conn, actor, "case.reopen", case, now, status=case.status.value, **detail)
        elif case.status is not known.status:
            self._record(conn, actor, "case.status", case, now, status=case.status.value)

    def _record(self, conn: Connection, actor: Actor, action: str, case: Case, now: datetime, **detail: str) -> None:
        audit.record(conn, at=now, actor=actor, action=action, case_id=case.id, subject=case.id, outcome="done", detail=detail)


def _lock(conn: Connection, case_id: str) -> Case:
    case = rows.lock(conn, case_id)
    if case is None:
        raise _unknown()
    return case


def _unknown() -> NotFound:
    return NotFound("This gateway knows no case of that id.", "Check the id; the case system has to put the case first.")

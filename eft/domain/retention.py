"""Whether a case's data may be purged now. The decision alone; `eft.retention` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from eft.domain.case import Case, CaseStatus, PurgeState


class Verdict(StrEnum):
    """Why a purge goes ahead, or does not."""

    DUE = "due"
    NOT_CLOSED = "not-closed"
    NOT_YET = "not-yet"
    HELD = "held"
    PURGED = "purged"
    UNKNOWN = "case-system-unreachable"
    DISAGREES = "case-system-disagrees"


@dataclass(frozen=True, slots=True)
class CaseSystemAnswer:
    """What the case system says of a case when it is asked before a purge."""

    status: str
    closed_at: datetime | None


def decide(case: Case, now: datetime, answer: CaseSystemAnswer | None, *, asked: bool) -> Verdict:
    """The verdict on one case (P6). `asked` is False where no case system is configured: then our own row decides.

    A purge that has begun goes on whatever is said now: its key may be gone already.
    """
    if case.purge is PurgeState.PURGED:
        return Verdict.PURGED
    if case.purge is PurgeState.PURGING:
        return Verdict.DUE
    if case.status is not CaseStatus.CLOSED or case.purge_at is None:
        return Verdict.NOT_CLOSED
    if case.hold_reason is not None:
        return Verdict.HELD
    if now < case.purge_at:
        return Verdict.NOT_YET
    if asked:
        if answer is None:
            return Verdict.UNKNOWN
        if answer.status != CaseStatus.CLOSED or answer.closed_at != case.closed_at:
            return Verdict.DISAGREES
    return Verdict.DUE

"""A case, as far as a gateway must know it: who may write to it, and when its data goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
import re

from eft.domain.errors import (
    CasePurging,
    ClosedDifferently,
    Invalid,
    ReopenByTelephone,
    ReopenTooLate,
)

RETENTION = timedelta(days=30)
"""R19, K3: 30 x 24 h from `closed_at`. Reopening works while t < closed_at + 30 d, the purge takes t >= that."""

CASE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class CaseStatus(StrEnum):
    OPEN = "open"
    AWAITING_INFO = "awaiting_info"
    SOLUTION_PROPOSED = "solution_proposed"
    CLOSED = "closed"


class SubStatus(StrEnum):
    RESOLVED = "resolved"
    CANCELLED = "cancelled"
    NO_RESPONSE = "no_response"


class PurgeState(StrEnum):
    """`none → purging → purged`. From `purging` there is no way back."""

    NONE = "none"
    PURGING = "purging"
    PURGED = "purged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. `uid` names it in storage (32 hex digits, generated); `key_slot` is where its key lives in the key store,
    None before the first byte and after a purge."""

    id: str
    uid: str
    organisation: str
    subject: str
    status: CaseStatus
    created_at: datetime
    sub_status: SubStatus | None = None
    comment: str = ""
    closed_at: datetime | None = None
    hold_reason: str | None = None
    key_slot: int | None = None
    purge: PurgeState = PurgeState.NONE
    purging_since: datetime | None = None
    purged_at: datetime | None = None

    @property
    def takes_data(self) -> bool:
        return self.status is not CaseStatus.CLOSED

    @property
    def purge_at(self) -> datetime | None:
        """When the purge may begin; None while the case is open."""
        return None if self.closed_at is None else self.closed_at + RETENTION


def check_case_id(case_id: str) -> str:
    """`case_id` itself. Raises Invalid where it is not `[A-Za-z0-9._-]{1,64}`."""
    if not CASE_ID.fullmatch(case_id):
        raise Invalid("A case id has 1 to 64 letters, digits, dots, underscores or dashes.", "Correct the case id.")
    return case_id


def close(case: Case, *, sub_status: SubStatus | None, comment: str, closed_at: datetime, explicit: bool) -> Case:
    """The case, closed. Repeatable: closing again changes nothing, except that an `explicit` other `closed_at` is refused.

    Raises ClosedDifferently.
    """
    if case.status is CaseStatus.CLOSED:
        if explicit and closed_at != case.closed_at:
            raise ClosedDifferently
        return case
    return replace(case, status=CaseStatus.CLOSED, sub_status=sub_status, comment=comment, closed_at=closed_at)


def reopen(case: Case, *, by_customer: bool, status: CaseStatus, now: datetime) -> Case:
    """The case, open again, the purge called off (K14). Repeatable.

    A customer is too late from `closed_at` + 30 d on, staff never (K5), and a case closed for want of an answer is
    reopened by telephone only, which means by staff (K4). Once a purge runs, nobody can reopen until it is done.

    Raises CasePurging, ReopenTooLate, ReopenByTelephone.
    """
    if case.status is not CaseStatus.CLOSED:
        return case if case.status is status else replace(case, status=status)
    if by_customer:
        if case.purge is not PurgeState.NONE or (case.purge_at is not None and now >= case.purge_at):
            raise ReopenTooLate
        if case.sub_status is SubStatus.NO_RESPONSE:
            raise ReopenByTelephone
    if case.purge is PurgeState.PURGING:
        raise CasePurging(
            "The case's data is being purged; that cannot be undone.",
            "Try again when the purge is done, in a few minutes.",
        )
    return replace(
        case,
        status=status,
        sub_status=None,
        comment="",
        closed_at=None,
        purge=PurgeState.NONE,
        purging_since=None,
        key_slot=None if case.purge is PurgeState.PURGED else case.key_slot,
    )

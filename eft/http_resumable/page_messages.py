"""What the page says where it cannot do what was asked: what happened, and what to do. One entry for each state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from eft.accounts.launches import Over
from eft.domain.case import Case, PurgeState, SubStatus
from eft.domain.errors import EftError, WrongRegion
from eft.domain.http_statuses import status_of
from eft.http_resumable.refusals import Refusal

OPEN_AGAIN: Final = "Go back to the case page and press Transfer Files again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`code` is stable. `what` happened and what `to_do`, a sentence or several each. `may_be_cookies`: a browser without a
    cookie is told both reasons that this can have."""

    status: int
    code: str
    title: str
    what: tuple[str, ...]
    to_do: tuple[str, ...] = (OPEN_AGAIN,)
    may_be_cookies: bool = False


NO_COOKIE: Final = Message(
    status=401,
    code="no-session",
    title="This browser is not signed in to the case",
    what=("This page opens from the case page in the portal, and your browser sent no cookie that says that it did.",),
    may_be_cookies=True,
)
SESSION_ENDED: Final = Message(
    status=401,
    code="session-ended",
    title="Your session has ended",
    what=("A session ends 24 hours after it was last used, and 7 days after the case was opened. What you sent is kept.",),
    to_do=(OPEN_AGAIN, "Uploads that were not finished go on from where they stopped."),
)
OTHER_CASE: Final = Message(
    status=401,
    code="other-case",
    title="This case is not open in this browser",
    what=("You have another case open here, or this one was opened by somebody else, or its files were deleted.",),
    to_do=(OPEN_AGAIN, "The case page also says whether files were deleted, and when."),
)
LAUNCH: Final = {
    Over.USED: Message(
        status=410,
        code="launch-used",
        title="This link was used already",
        what=("A link to this page opens it once.",),
        to_do=(OPEN_AGAIN, "If the page is still open in another window, you can go on there."),
    ),
    Over.EXPIRED: Message(
        status=410,
        code="launch-expired",
        title="This link has expired",
        what=("A link to this page is good for 60 seconds.",),
    ),
    Over.UNKNOWN: Message(
        status=410,
        code="launch-unknown",
        title="This link is not valid any more",
        what=("A link to this page is good for 60 seconds and once. This one is older than a day, or was not copied whole.",),
    ),
}
PREFETCH: Final = Message(
    status=503,
    code="launch-prefetch",
    title="This link waits for you",
    what=("A program looked at the link ahead of you. It has not been used up.",),
    to_do=("Open the link yourself.",),
)
NOT_FOUND: Final = Message(
    status=404,
    code="not-found",
    title="There is no such page",
    what=("The address is wrong, or was not copied whole.",),
)
FORM_WITHOUT_PAGE: Final = Message(
    status=403,
    code="cross-origin",
    title="The files were not sent from this page",
    what=("Nothing was stored: the request did not come from the form of the Transfer Files page.",),
)
NO_FILE: Final = Message(
    status=400,
    code="no-file",
    title="No file was chosen",
    what=("The form was sent without a file.",),
    to_do=("Go back, choose one file or several, and send the form again.",),
)


def of_error(error: EftError | Refusal) -> Message:
    """What was refused elsewhere, in a page's words."""
    if isinstance(error, WrongRegion):
        return Message(
            status=status_of(error),
            code=error.code,
            title="This link is for another region",
            what=(f"It belongs to the region {error.region}, whose address is {error.url}.",),
        )
    status = error.status if isinstance(error, Refusal) else status_of(error)
    return Message(status=status, code=error.code, title="That did not work", what=(error.detail,), to_do=(error.remedy,))


def of_case(case: Case, now: datetime) -> Message | None:
    """Why the case takes no files, and what to do about it; None where it takes them (R44 to R46, K4, K5)."""
    if case.purge is PurgeState.PURGING:
        return Message(
            status=403,
            code="case-purging",
            title="The files of this case are being deleted",
            what=("The case was closed 30 days ago.",),
            to_do=("Contact Customer Care, or open a new case and send the files there.",),
        )
    if case.takes_data:
        return None
    what = ["It takes no more files. Those that were received stay until the date shown below."]
    if case.purge is PurgeState.PURGED or (case.purge_at is not None and now >= case.purge_at):
        to_do = "Contact Customer Care, or open a new case."
        what = ["It takes no more files."]
    elif case.sub_status is SubStatus.NO_RESPONSE:
        what.append("It was closed after three follow-ups without an answer.")
        to_do = "Telephone Customer Care to have it reopened."
    else:
        to_do = "If you have new supporting information, press Request to Re-open on the case page, within 30 days of closing."
    return Message(
        status=403,
        code="case-closed",
        title="This case is closed",
        what=tuple(what),
        to_do=(to_do, "Uploads that were not finished go on after that from where they stopped."),
    )

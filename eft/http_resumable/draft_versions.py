"""The interop versions of draft-ietf-httpbis-resumable-upload, and in what they differ for a server.

| interop | drafts | completeness | part's type | answer to an unfinished PATCH |
|---|---|---|---|---|
| 3 | -01 | Upload-Incomplete, the other way round | any | 201 |
| 4, 5 | -02, -03 | Upload-Complete | any | 201 |
| 6 | -04, -05 | Upload-Complete | application/partial-upload | 201 |
| 7, 8, 9 | -06 to -08, -09 to -11, -12 on | Upload-Complete | application/partial-upload | 204 |

Up to 6 an upload is also complete where it reaches the length that Upload-Length told: tus-js-client 4.3.1 sends the last of
several parts with `?0`, and takes a full offset for success. Up to 6 also one that is gone is 404, a DELETE tells no state, and
the refusal of a body has the offset. Upload-Limit is told from 6 on, its max-age from 7 on. 104 tells progress from 5 on. From 8
on an upload that is sent more than its length is over.

9 says more of Upload-Complete in answers: it tells who answers, `?1` the receiver of the file, `?0` the resumption. Nothing older
reads it there, so that every refusal has it; and the problem type completed-upload is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
import re
from typing import Final

from eft.http_resumable.headers import Headers

INTEROP: Final = "Upload-Draft-Interop-Version"
PART_TYPE: Final = "application/partial-upload"
OLDEST: Final = 3
NEWEST: Final = 9

_BARE: Final = "|".join(
    (
        r"-?[0-9]{1,15}",
        r"-?[0-9]{1,12}\.[0-9]{1,3}",
        r'"(?:[ !#-\[\]-~]|\\[\\"])*"',
        r"[A-Za-z*][!#-'*+\-./0-9:A-Z^-z|~]*",
        r":[A-Za-z0-9+/=]*:",
        r"\?[01]",
        r"@-?[0-9]{1,15}",
    )
)
_PARAMETERS: Final = rf"(?:; *[a-z*][a-z0-9_.*-]*(?:=(?:{_BARE}))?)*"
"""RFC 9651 §4.2.3.2. They say nothing here, but a field whose parameters cannot be read counts as absent."""
_BOOLEAN = re.compile(r"\?([01])" + _PARAMETERS)
_INTEGER = re.compile(r"([0-9]{1,15}|-0{1,15})" + _PARAMETERS)


@dataclass(frozen=True, slots=True)
class DraftVersion:
    """What one request speaks. `declared`: whether it names a version that is known here; only then may it be sent a 104 (§Draft
    Version Identification). One that names none is taken for the newest, and the RFC to come."""

    number: int
    declared: bool

    @property
    def wants_part_type(self) -> bool:
        return self.number >= 6

    @property
    def tells_progress(self) -> bool:
        return self.declared and self.number >= 5

    def ends(self, completes: bool) -> bool | None:
        """Whether the file ends with a body of which the request says so; None where its length tells."""
        return None if not completes and self.ends_by_length else completes

    @property
    def ends_by_length(self) -> bool:
        return self.number <= 6

    @property
    def cancels_without_state(self) -> bool:
        return self.number <= 6

    @property
    def tells_offset_in_refusals(self) -> bool:
        return self.number <= 6

    @property
    def ends_where_exceeded(self) -> bool:
        """Whether an upload is over that was sent more than its length: from draft -08 on."""
        return self.number >= 8

    @property
    def unfinished_status(self) -> int:
        return 201 if self.number <= 6 else 204

    @property
    def gone_status(self) -> int:
        return 404 if self.number <= 6 else 410

    def completes(self, headers: Headers) -> bool | None:
        """Whether the request says that the file ends with its body; None where it does not say."""
        if self.number == 3:
            incomplete = boolean(headers, "Upload-Incomplete")
            return None if incomplete is None else not incomplete
        return boolean(headers, "Upload-Complete")

    def completeness(self, complete: bool) -> tuple[str, str]:
        """The field that says so in an answer."""
        if self.number == 3:
            return "Upload-Incomplete", "?0" if complete else "?1"
        return "Upload-Complete", "?1" if complete else "?0"

    def limits(self, max_size: int | None, expires_at: datetime | None = None, now: datetime | None = None) -> Headers:
        """Upload-Limit, where this version has it. `max_size` in bytes."""
        members = [] if max_size is None else [f"max-size={max_size}"]
        if self.number >= 7 and expires_at is not None and now is not None:
            members.append(f"max-age={max(0, int((expires_at - now).total_seconds()))}")
        if self.number < 6:
            return Headers()
        return Headers((("Upload-Limit", ", ".join(members) or "min-size=0"),))


def version_of(headers: Headers) -> DraftVersion:
    """What the request speaks; by its fields alone where it names no version."""
    said = integer(headers, INTEROP)
    if said is not None and OLDEST <= said <= NEWEST:
        return DraftVersion(said, True)
    if said is None and "Upload-Incomplete" in headers and "Upload-Complete" not in headers:
        return DraftVersion(3, False)
    return DraftVersion(NEWEST, False)


def boolean(headers: Headers, name: str) -> bool | None:
    """A structured boolean (RFC 9651 §3.3.6); anything else counts as absent."""
    said = headers.get_all(name)
    matched = _BOOLEAN.fullmatch(said[0]) if len(said) == 1 else None
    return None if matched is None else matched[1] == "1"


def integer(headers: Headers, name: str) -> int | None:
    """A structured integer that is not negative; anything else counts as absent."""
    said = headers.get_all(name)
    matched = _INTEGER.fullmatch(said[0]) if len(said) == 1 else None
    return None if matched is None else int(matched[1])

"""What is said of a file that is given out: conditions (RFC 9110 §13), ranges (§14), its digest (RFC 9530), its name (RFC 8187).

Every address that gives files out says the same. The rules are here, the sending is the doors'.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
import re
from typing import Final
from urllib.parse import quote

from eft.domain.attachment import Attachment
from eft.domain.ranges import Unsatisfiable, wanted_range

Field = Callable[[str], str | None]
"""The value of a request's header field, None where it has none. Where it came in several lines they are joined by commas."""

NEVER_SHOWN: Final = (
    ("Cache-Control", "private, no-store, no-transform"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("X-Content-Type-Options", "nosniff"),
)
"""With what a client sent, so that no browser renders it and no cache keeps it beyond a purge."""

_ATTR_CHARS: Final = "!#$&+-.^_`|~"
_TAG = re.compile(r'\s*(W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')
_PREFERENCE = re.compile(r"(?:^|,)\s*sha-256\s*=\s*([0-9]{1,2})\s*(?=,|$)")


class NotGiven(Exception):
    """The request's own conditions forbid the answer: `status` is 412 or 416."""

    def __init__(self, status: int, code: str, detail: str, remedy: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.code, self.detail, self.remedy = status, code, detail, remedy
        self.headers = headers or {}
        super().__init__(f"{status} {code}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer: 200 with the whole file, 206 with `[start, stop)` of it, or 304 with nothing. `span`: its Content-Range."""

    status: int
    headers: tuple[tuple[str, str], ...]
    start: int
    stop: int
    span: str | None = None


def plan_download(method: str, field: Field, attachment: Attachment) -> Plan:
    """What a GET or HEAD of an available attachment is answered with. Its ETag is its digest, and it never changes.

    Raises NotGiven. The order is that of RFC 9110 §13.2.2.
    """
    tag, changed = etag(attachment.sha256), attachment.received_at.replace(microsecond=0)
    _check_preconditions(field, tag, changed)
    keeping = ("ETag", tag), NEVER_SHOWN[0]
    if _not_modified(field, tag, changed):
        return Plan(status=304, headers=keeping, start=0, stop=0)
    start, stop, span = 0, attachment.size, None
    if method == "GET" and _range_holds(field("If-Range"), tag, changed):
        try:
            wanted = wanted_range(field("Range"), attachment.size)
        except Unsatisfiable:
            raise NotGiven(
                416,
                "range-not-satisfiable",
                f"The file has {attachment.size} bytes; the range lies outside of it.",
                "Ask for a range within it.",
                {"Content-Range": f"bytes */{attachment.size}"},
            ) from None
        if wanted is not None:
            start, stop = wanted
            span = f"bytes {start}-{stop - 1}/{attachment.size}"
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Disposition", content_disposition(attachment.name)),
        ("Accept-Ranges", "bytes"),
        ("ETag", tag),
        ("Last-Modified", format_datetime(changed, usegmt=True)),
        *NEVER_SHOWN,
    ]
    if wants_digest(field("Want-Repr-Digest")):
        headers.append(("Repr-Digest", repr_digest(attachment.sha256)))
    if span is not None:
        headers.append(("Content-Range", span))
    return Plan(status=206 if span else 200, headers=tuple(headers), start=start, stop=stop, span=span)


def content_disposition(name: str) -> str:
    """`attachment` with the last component of `name`: in ASCII for old readers, and exactly (RFC 6266, RFC 8187)."""
    last = name.rsplit("/", 1)[-1]
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in last)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(last, safe=_ATTR_CHARS)}"


def etag(sha256: str) -> str:
    return f'"sha256-{sha256}"'


def repr_digest(sha256: str) -> str:
    """RFC 9530 §3, from hex."""
    return f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"


def _check_preconditions(field: Field, tag: str, changed: datetime) -> None:
    """Raises NotGiven for an If-Match that names other files, or, where there is none, an If-Unmodified-Since before this one."""
    if (named := field("If-Match")) is not None:
        holds = named.strip() == "*" or tag in _tags(named, weak=False)
    else:
        since = _instant(field("If-Unmodified-Since"))
        holds = since is None or changed <= since
    if not holds:
        raise NotGiven(
            412, "precondition-failed", "The file is not the one that the request's conditions name.", "Ask for it anew."
        )


def _not_modified(field: Field, tag: str, changed: datetime) -> bool:
    if (named := field("If-None-Match")) is not None:
        return named.strip() == "*" or tag in _tags(named, weak=True)
    since = _instant(field("If-Modified-Since"))
    return since is not None and changed <= since


def _range_holds(condition: str | None, tag: str, changed: datetime) -> bool:
    """Whether a range may be sent: no condition, or one that names exactly what is here. A weak tag never does."""
    return condition is None or condition.strip() == tag or _instant(condition) == changed


def _tags(listed: str, *, weak: bool) -> set[str]:
    """The tags of a list; what follows something that is no tag does not count. Strong ones alone unless `weak`."""
    found: set[str] = set()
    position = 0
    while match := _TAG.match(listed, position):
        if weak or not match[1]:
            found.add(match[2])
        position = match.end()
    return found


def _instant(value: str | None) -> datetime | None:
    """An HTTP-date; None for what is none, which counts as absent (RFC 9110 §13.1.3)."""
    if value is None:
        return None
    try:
        told = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def wants_digest(wish: str | None) -> bool:
    """SHA-256 is the one that there is; it is left out only where it is said to be unwanted (RFC 9530 §4)."""
    said = _PREFERENCE.findall(wish or "")
    return not said or int(said[-1]) > 0

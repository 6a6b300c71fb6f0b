"""`Range`, `If-Range` and the other conditions on a download (RFC 9110 §13, §14)."""

from __future__ import annotations

import re

_ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.IGNORECASE)


class Unsatisfiable(ValueError):
    """No byte of the file is in the range that was asked for."""


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The half-open range of bytes `[start, stop)` that `header` asks for; None where the whole file is to be sent.

    Several ranges, another unit and nonsense count as no range, as RFC 9110 §14.2 allows. Raises Unsatisfiable.
    """
    found = _ONE_RANGE.fullmatch(header) if header else None
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        if int(last) == 0 or size == 0:
            raise Unsatisfiable
        return max(0, size - int(last)), size
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(int(last) + 1, size) if last else size


def range_still_holds(if_range: str | None, etag: str, last_modified: str) -> bool:
    """Whether a range may be served: no condition, or one that names exactly what is here. A weak tag never does."""
    return if_range is None or if_range.strip() in (etag, last_modified)


def names_tag(header: str | None, etag: str, *, weak: bool) -> bool:
    """Whether an `If-Match` (`weak` False) or `If-None-Match` (True) lists this tag, or `*`."""
    if header is None:
        return False
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags

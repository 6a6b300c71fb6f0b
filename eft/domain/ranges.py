"""`Range` of a file that is read (RFC 9110 §14)."""

from __future__ import annotations

import re

_ONE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,40})-([0-9]{0,40})[ \t]*", re.IGNORECASE)


class Unsatisfiable(ValueError):
    """No byte of the file is in the range that was asked for."""


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The half-open range of bytes `[start, stop)` that `header` asks for of a file of `size` bytes; None where the whole file is
    to be sent.

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

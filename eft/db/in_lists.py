"""Values for `IN (…)`, in lists of few lengths.

A list of each length is another statement, and SQLite's driver keeps the 512 that were used last, with 230 bytes for each place
in a list: a case in which unfinished files came and went filled each connection with 25 MiB of statements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

_LONGEST = 512
"""Values, well below any dialect's limit of parameters."""


def in_lists(values: Collection[str]) -> Iterator[list[str]]:
    """Each value once, in order, in lists of 1, 2, 4, … or 512; the last value is repeated to fill the last list."""
    wanted = sorted(set(values))
    for first in range(0, len(wanted), _LONGEST):
        part = wanted[first : first + _LONGEST]
        length = 1 << (len(part) - 1).bit_length()
        yield part + [part[-1]] * (length - len(part))

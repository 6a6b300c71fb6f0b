"""Which names of a directory are free, so that not every file of many is looked for before it is begun.

What is known is as old as a look, at most FRESH_S. It says no more than that: whoever begins a file because of it has to look
again in the transaction that stores it (see `hold_rows.store`), as another worker may have taken the name meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

from eft.db import names
from eft.db.engine import Connection
from eft.domain.case import Case
from eft.domain.clock import Clock

FRESH_S = 0.5
"""Seconds for which a look counts."""
OFTEN_S = 1.0
"""Seconds after a look within which another one has to be needed for it to be worth asking for the names."""
NAMES = 4096
"""Names of a directory, from which on none of them is known to be free."""
DIRECTORIES = 8


@dataclass(slots=True)
class _Seen:
    """What a look at a directory brought, at `at`. `taken`: None where its names were not asked for."""

    at: float
    case: Case
    taken: set[str] | None


class FreeNames:
    """What this worker knows of a few directories, of whatever cases."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._changes = 0

    def take(self, case_id: str, path: str) -> Case | None:
        """The case, where `path` is known to be free and its directory to be there. It counts as taken from now on."""
        directory, _, name = path.rpartition("/")
        seen = self._seen.get((case_id, directory))
        if seen is None or seen.taken is None or name in seen.taken or self._clock.monotonic() - seen.at > FRESH_S:
            return None
        seen.taken.add(name)
        return seen.case

    def look(self, case_id: str, path: str) -> Look:
        """What is to be asked for together with what is at `path`. Call it before anything is read."""
        now = self._clock.monotonic()
        directory = path.rpartition("/")[0]
        seen = self._seen.get((case_id, directory))
        return Look(case_id, directory, now, self._changes, is_worth_it=seen is not None and now - seen.at <= OFTEN_S)

    def learn(self, look: Look, case: Case, taken: set[str] | None) -> None:
        """What a look brought: of a directory that is there. `taken` has every name that this worker has begun meanwhile."""
        if look.changes != self._changes:
            return
        self._seen.pop((look.case_id, look.directory), None)
        while len(self._seen) >= DIRECTORIES:
            del self._seen[next(iter(self._seen))]
        self._seen[look.case_id, look.directory] = _Seen(look.at, case, taken)

    def forget(self, case_id: str) -> None:
        """Names of the case have changed hands, or are about to: nothing is known of it any more, nor by a look under way."""
        self._changes += 1
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] != case_id}


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a directory, from `at` on."""

    case_id: str
    directory: str
    at: float
    changes: int
    is_worth_it: bool

    def taken(self, conn: Connection) -> set[str] | None:
        """The names in it, where they are to be asked for and not too many."""
        return names.taken(conn, self.case_id, self.directory, NAMES) if self.is_worth_it else None

"""How fast a peer is while somebody waits for it: a minimum rate over a window, instead of a time by which all must be there."""

from __future__ import annotations


class Pace:
    """Measures what a peer sends or takes, in bytes per second of the time that it was waited for.

    Time in which nobody waited (storage was busy) is not held against the peer. Where `minimum` is 0 only silence is too slow.
    """

    __slots__ = ("_bytes", "_minimum", "_since", "_waited", "_window")

    def __init__(self, minimum: float, window_s: float) -> None:
        self._minimum = minimum
        self._window = window_s
        self._waited = 0.0
        self._bytes = 0
        self._since: float | None = None

    def waits(self, now: float) -> None:
        """From now on the peer is waited for."""
        if self._since is None:
            self._since = now

    def came(self, now: float, size: int) -> None:
        """So many bytes came; nobody waits until `waits` says so again."""
        if self._since is not None:
            self._waited += now - self._since
            self._since = None
        self._bytes += size

    def is_too_slow(self, now: float) -> bool:
        """Whether a window has passed in which too little came. With enough the next window begins."""
        waited = self._waited + (now - self._since if self._since is not None else 0.0)
        if waited < self._window:
            return False
        if self._bytes == 0 or self._bytes < self._minimum * waited:
            return True
        self._waited, self._bytes = 0.0, 0
        if self._since is not None:
            self._since = now
        return False

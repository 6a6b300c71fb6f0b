"""How long and how often something is tried again."""

from __future__ import annotations

import random
import threading

from eft.client.clock import MonotonicClock
from eft.client.errors import GaveUp, Interrupted, Transient

LONGEST_PAUSE_S = 60.0


class Patience:
    """Counts from the last progress. Pauses double from half a second to a minute, with some chance in them, so that many
    clients of a gateway that comes back do not all come at once."""

    def __init__(self, give_up_after_s: float, stop: threading.Event, clock: MonotonicClock) -> None:
        self._give_up_after_s = give_up_after_s
        self._stop = stop
        self._clock = clock
        self._failures = 0
        self._since = clock.monotonic()

    def progressed(self) -> None:
        self._failures = 0
        self._since = self._clock.monotonic()

    def next_pause(self, failure: Transient) -> float:
        """Seconds until the next attempt. Raises GaveUp."""
        waited = self._clock.monotonic() - self._since
        if waited >= self._give_up_after_s:
            raise GaveUp(
                f"No progress for {waited:.0f} s: {failure}.",
                "Check the line, then run the same command again: it goes on where it was. --give-up-after allows for longer.",
            )
        pause: float = min(LONGEST_PAUSE_S, 0.5 * 2 ** min(self._failures, 10)) * random.uniform(0.75, 1.0)  # noqa: S311
        self._failures += 1
        return min(max(pause, failure.after_s), max(0.1, self._give_up_after_s - waited))

    def wait(self, seconds: float) -> None:
        """Raises Interrupted where the person has had enough meanwhile."""
        if self._stop.wait(seconds):
            raise Interrupted("Stopped.")

"""The client's clock: spans and delays are measured with it, so that tests can hold it still."""

from __future__ import annotations

import time


class MonotonicClock:
    """Seconds that never go back, and say nothing about the date."""

    def monotonic(self) -> float:
        return time.monotonic()

"""What the rest of eft knows of time."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Nothing else in eft asks the machine for it."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC. May jump."""

    def monotonic(self) -> float:
        """Seconds for measuring spans. Never goes back; says nothing about the date."""

"""What the purge asks of the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from eft.domain.retention import CaseSystemAnswer

Sleep = Callable[[float], Awaitable[None]]
"""Waits so many seconds, by the monotonic clock."""


class CaseSystem(Protocol):
    """The system that the cases belong to. It is asked before anything is purged."""

    async def ask(self, case_id: str) -> CaseSystemAnswer | None:
        """What it says of the case; None where it gave no answer that can be understood. Never raises."""

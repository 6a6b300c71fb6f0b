"""Work that runs to its end whatever becomes of the task that waits for it.

A thread that writes and a transaction under way cannot be called back. If their task went on without them, the next one would use
the same segment beside them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def uncancelled(work: Awaitable[T]) -> T:
    """What `work` returns or raises. A cancellation is heard when the work is done."""
    done = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait({done})
        if not done.cancelled():
            done.exception()  # seen: who waited for it is gone
        raise

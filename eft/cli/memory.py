"""What a worker does about its memory: collects little while it is busy, and gives back what it does not need any more."""

from __future__ import annotations

import asyncio
import ctypes
import gc

TIDY_EVERY_S = 60.0


def leave_the_program_out_of_collections() -> None:
    """What was loaded until now stays: looking through it for garbage again and again cost a twentieth of the CPU of a busy
    gateway. Young objects are looked at less often: most of a request's are freed by counting."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


async def tidy_up() -> None:
    """Collects what refers to itself, which connections do when they have ended, and gives free pages back to the system: the
    allocator keeps what a rush of uploads needed, and over hours the holes between what stays grow."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        await asyncio.to_thread(trim, 0)

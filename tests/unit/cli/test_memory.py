"""What a worker does about its memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

from eft.cli.memory import tidy_up

HOLES = """
import asyncio
from eft.cli.memory import tidy_up

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4

pieces, between = [], []
for _ in range(2000):
    pieces.append(bytearray(32 * 1024))
    between.append(bytearray(1024))
most = resident()
pieces.clear()
kept = resident()
asyncio.run(tidy_up())
print(most, kept, resident())
"""
"""64 MiB in pieces between others that stay, which is how a rush of uploads leaves an allocator's heap."""


class Node:
    def __init__(self) -> None:
        self.itself = self


async def test_what_refers_to_itself_goes() -> None:
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(Node())
        assert gone() is not None
        await tidy_up()
        assert gone() is None
    finally:
        gc.enable()


def test_free_pages_go_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True, timeout=60)
    most, kept, left = map(int, done.stdout.split())
    assert kept > most - 16 * 1024, "the allocator would have given them back by itself"
    assert left < most - 48 * 1024

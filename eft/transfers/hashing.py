"""Hashing beside sealing and writing: both let other threads run, and a disk that is waited for needs no processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
import os
from threading import BoundedSemaphore

from eft.domain.digests import RunningDigest

LARGE = 512 * 1024
"""Bytes of a group from which on it is worth asking another thread."""
_HELPERS = max(1, (os.cpu_count() or 1) // 2)


class Hashers:
    """The helping threads of a worker: for one of two processors. Where all are busy the caller hashes himself: then there is
    enough to do for everybody. Safe for threads."""

    def __init__(self) -> None:
        self._free = BoundedSemaphore(_HELPERS)
        self._threads = ThreadPoolExecutor(_HELPERS, thread_name_prefix="hash")

    @contextmanager
    def hashed(self, parts: Sequence[bytes | memoryview], digest: RunningDigest | None) -> Iterator[None]:
        """The digest has `parts` at the end of the `with`, whatever becomes of its body."""
        if digest is None:
            yield
            return
        update = digest.update
        if sum(map(len, parts)) < LARGE or not self._free.acquire(blocking=False):
            _each(update, parts)
            yield
            return
        try:
            hashing = self._threads.submit(_each, update, parts)
            try:
                yield
            finally:
                hashing.result()
        finally:
            self._free.release()


def _each(update: Callable[[bytes | memoryview], None], parts: Sequence[bytes | memoryview]) -> None:
    for part in parts:
        update(part)

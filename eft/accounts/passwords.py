"""Hashing of account passwords: argon2id, in threads of its own, so that a flood of sign-ins starves nobody else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from eft.domain.errors import Busy

MEMORY_KIB = 7 * 1024
PASSES = 5
LANES = 1
"""The setting with the least memory that OWASP's password storage sheet gives for argon2id: what a hash has used stays with the
process. The passwords themselves have 123 bits and more."""

THREADS = 2
WAITING = 64
"""Hashes that may wait for a thread. One takes some 20 ms and 7 MiB, so that the last one waits for about a second."""


class Passwords:
    """Makes and checks argon2id hashes off the event loop, two at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._under_way = 0
        self._nobody = self._hasher.hash("the password of an account that does not exist")

    async def hash(self, password: str) -> str:
        """The hash of `password`, with its salt and parameters. Raises Busy."""
        return await self._run(password, None)

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether `password` is the one of `password_hash`. Where there is no hash, the answer is no, after the same work.

        Raises Busy.
        """
        known = password_hash or self._nobody
        verdict = await self._run(password, known)
        return bool(verdict) and bool(password_hash)

    def close(self) -> None:
        """Lets go of the threads. Hashes that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, password: str, known: str | None) -> str:
        if self._under_way >= WAITING:
            raise Busy(2, "Too many sign-ins at once.")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._work, password, known)
        finally:
            self._under_way -= 1

    def _work(self, password: str, known: str | None) -> str:
        """The new hash, or, where one is to be checked, that one if it matches and nothing if it does not."""
        secret = password.encode("utf-8", "surrogatepass")
        if known is None:
            return self._hasher.hash(secret)
        try:
            self._hasher.verify(known, secret)
        except (VerificationError, InvalidHashError):
            return ""
        return known

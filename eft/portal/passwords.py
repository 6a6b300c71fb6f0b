"""Passwords of people: argon2id, in threads, a few at a time so that guesses cannot fill the memory."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from eft.domain.errors import Invalid

SHORTEST = 12
LONGEST = 200
_AT_ONCE = 2

_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)  # argon2id; memory in KiB, RFC 9106 §4
_NOBODY = _HASHER.hash("the password of nobody")


def check_new(password: str) -> str:
    """`password` itself. Raises Invalid where it is too short, too long, or one character again and again."""
    if len(password) < SHORTEST or len(set(password)) < 4:
        raise Invalid(
            f"This password is too easy to guess: it needs {SHORTEST} characters or more, four of them different.",
            "Choose a longer one, such as four words.",
        )
    if len(password) > LONGEST:
        raise Invalid(f"This password is longer than {LONGEST} characters.", "Choose a shorter one.")
    return password


def hash_password(password: str) -> str:
    return _HASHER.hash(password)


class PasswordCheck:
    """Compares passwords. As much work is done where there is nobody of that name, so that the time tells nothing."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one whose hash is `stored`; None never matches."""
        async with self._turn:
            same = await asyncio.to_thread(_verify, stored or _NOBODY, password[:LONGEST])
        return same and stored is not None

    async def hash(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(hash_password, password)


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False

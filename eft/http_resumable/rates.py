"""How much one token, case or address may ask for, where an operator has set a limit. Each worker counts for itself."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from typing import Final

from eft.accounts.tokens import UploadPrincipal
from eft.domain.clock import Clock
from eft.domain.errors import RateLimited
from eft.http_resumable.callers import Callers
from eft.http_resumable.request import Request

_REMEMBERED: Final = 16_384
_AT_ONCE_RETRY_S: Final = 5
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

Key = tuple[str, str]
"""What is counted (`token`, `case`, `address`) and whose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """The limits of one kind of key; 0 is none. `at_once`: requests with a body that are under way at the same time."""

    per_minute: int = 0
    at_once: int = 0


class Buckets:
    """Requests of each key, refilled evenly: `per_minute` of them in one go, then one each `60 / per_minute` seconds.

    Whoever was seen longest ago is forgotten past 16,384 keys, which only gives them a full bucket again.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> int:
        """Takes one request; 0, or after how many whole seconds to try again."""
        now = self._clock.monotonic()
        left, at = self._left.pop(key, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - at) * self._per_minute / 60)
        wait = 0 if left >= 1 else ceil((1 - left) * 60 / self._per_minute)
        self._left[key] = (left if wait else left - 1, now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return wait


class Rates:
    """Counts requests by token, case and address. What is counted as under way ends with `leave`."""

    def __init__(self, clock: Clock, *, token: RateLimits, case: RateLimits, address: RateLimits) -> None:
        self._limits = {"token": token, "case": case, "address": address}
        self._buckets = {kind: Buckets(one.per_minute, clock) for kind, one in self._limits.items() if one.per_minute}
        self._under_way: Counter[Key] = Counter()

    def arrive(self, request: Request) -> None:
        """A request came, before anything else is known of it. Raises RateLimited."""
        if request.method == "OPTIONS":
            return
        self._count(request, "address", request.peer)
        token = request.headers.get("Authorization")
        if token is not None:
            # A digest, since the limit outlives the request, and a token must not lie in memory for longer than that.
            self._count(request, "token", sha256(token.encode("latin-1")).hexdigest())

    def arrive_for(self, request: Request, case_id: str) -> None:
        """It is known now which case the request is for. Raises RateLimited."""
        self._count(request, "case", case_id)

    def leave(self, request: Request) -> None:
        """The request was answered."""
        for key in request.counted:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]
        request.counted.clear()

    def _count(self, request: Request, kind: str, whose: str) -> None:
        buckets = self._buckets.get(kind)
        if buckets is not None and (wait := buckets.take(whose)):
            raise RateLimited(wait, f"There were more than {self._limits[kind].per_minute} requests a minute by one {kind}.")
        at_once, key = self._limits[kind].at_once, (kind, whose)
        if not at_once or request.method in _BODILESS or request.body.complete:
            return
        if self._under_way[key] >= at_once:
            raise RateLimited(_AT_ONCE_RETRY_S, f"There are {at_once} uploads by one {kind} already, which is all there may be.")
        self._under_way[key] += 1
        request.counted.append(key)


class CountedCallers(Callers):
    """Callers of `/files`, counted by their case. Raises RateLimited besides."""

    def __init__(self, callers: Callers, rates: Rates) -> None:
        self._callers = callers
        self._rates = rates

    async def uploader(self, request: Request) -> UploadPrincipal:
        principal = await self._callers.uploader(request)
        self._rates.arrive_for(request, principal.case_id)
        return principal

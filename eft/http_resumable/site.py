"""What the connections of one HTTP server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from eft.domain.clock import Clock
from eft.http_resumable.limits import Limits
from eft.http_resumable.request import Request
from eft.http_resumable.response import Response, http_date
from eft.http_resumable.tls import PARTIAL_BYTES, Tls

if TYPE_CHECKING:
    from eft.http_resumable.wire import Connection

READ_BYTES: Final = 256 * 1024

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(eq=False, kw_only=True)
class Site:
    """What the connections of one server share. Sockets are read into `received`, and TLS decrypts that into `buffer`: both are
    empty again before another connection has its turn."""

    handler: Handler
    clock: Clock
    limits: Limits
    closing: bool = False
    connections: set[Connection] = field(default_factory=set)
    requests: int = 0
    handshakes: set[Tls] = field(default_factory=set)
    received: memoryview = field(default_factory=lambda: memoryview(bytearray(PARTIAL_BYTES + READ_BYTES)))
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(PARTIAL_BYTES + READ_BYTES)))
    _date: tuple[int, str] = (0, "")

    def date(self) -> str:
        """The Date header, made once a second."""
        now = self.clock.now()
        second = int(now.timestamp())
        if self._date[0] != second:
            self._date = (second, http_date(now))
        return self._date[1]

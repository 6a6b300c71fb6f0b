"""A listening socket that several workers accept from, so that who holds fewer connections gets the next one.

Whoever asks first gets a connection. So a worker that holds some asks a little later, the later the more it holds; one that
holds none, or whose event loop is not busy, is faster. Without that pause the kernel wakes all of them, and on a quiet machine
always the same one is there first. docs/decisions/0041 has the figures.

asyncssh has a public way to be given a listening socket, and none to say when to accept: the connection of an accepted socket is
made by transport.py as `asyncssh.listen` makes it. tests/unit/sftp/test_packet_layer_pins.py fails where that has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import errno
import logging
from math import log2
import socket

log = logging.getLogger("eft.sftp_temp")

BACKLOG = 512
STEP_S = 0.001
"""Seconds that a worker with one connection waits; with 3 it is twice, with 1,000 ten times as long."""
IN_ONE_GO = 8
"""Of as many connections that it holds a worker accepts one at a time, so that a crowd is let in fast, and evenly."""
REST_S = 0.5


class SharedListener:
    """Accepts what comes to `listener`, which other processes may accept from too. `held`: how many connections are open here."""

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.BaseProtocol], held: Callable[[], int]) -> None:
        self._listener = listener
        self._make = make
        self._held = held
        self._beginning: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._loop.add_reader(listener, self._came)

    def get_port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Accepts no more here; what waits is left to the others. Repeatable."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _came(self) -> None:
        held = self._held() + len(self._beginning)
        if held:
            self._pause(STEP_S * log2(1 + held))
        else:
            self._accept(1)

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._came)
        self._accept(max(1, self._held() // IN_ONE_GO))

    def _accept(self, most: int) -> None:
        for _ in range(most):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # another worker has it
            except OSError as error:
                # Out of descriptors or memory. The queue stays readable, so asking again at once would only burn the processor.
                log.error("sftp.refused", extra={"reason": errno.errorcode.get(error.errno or 0, "unknown")})
                self._pause(REST_S)
                return
            accepted.setblocking(False)
            task: asyncio.Task[object] = self._loop.create_task(self._begin(accepted))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, accepted)
        except OSError:
            accepted.close()

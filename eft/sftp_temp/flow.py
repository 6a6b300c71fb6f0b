"""Back-pressure towards a peer that sends and does not read.

asyncssh does nothing when its transport asks it to pause writing (`SSHConnection.pause_writing` is empty in 2.24.1): every
reply, those of the SSH layer included, is put into the transport's buffer, without a bound. So the request is caught here, and
answered by not reading from that peer until it has taken what it was sent. The one attribute of asyncssh that is not public is
used in this file alone; tests/unit/sftp/test_flow.py fails loudly where the library changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncssh


class Flow:
    """Watches one connection's transport. `congested` while the peer does not take what was sent; then it is not read either."""

    def __init__(self, connection: asyncssh.SSHServerConnection, eased: Callable[[], None]) -> None:
        transport = vars(connection)["_transport"]
        # uvloop's transports are none of asyncio's classes.
        if not hasattr(transport, "pause_reading") or not hasattr(transport, "is_closing"):
            raise TypeError("asyncssh's connection has no transport where it was expected")
        self._transport = transport
        self._eased = eased
        self.congested = False
        vars(connection).update(pause_writing=self._pause, resume_writing=self._resume)

    def _pause(self) -> None:
        self.congested = True
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        self.congested = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        asyncio.get_running_loop().call_soon(self._eased)

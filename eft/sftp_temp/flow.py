"""What is done to a connection's transport behind asyncssh's back, and why. tests/unit/sftp/test_flow.py fails loudly where the
library changes.

asyncssh 2.24.1 does nothing when its transport asks it to pause writing (`SSHConnection.pause_writing` is empty): every reply,
those of the SSH layer included, is put into the transport's buffer, without a bound. And it ends a connection by aborting the
transport right after the reason was written: with bytes of the client still unread that is a reset, and the client never reads
why. And it takes for dead whoever has not answered its keepalives, where the answer lies behind requests that are not read yet:
paramiko asks for a whole file at once, and 256 KiB of its requests are 120 MiB of answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
import socket
import struct
from typing import Any

import asyncssh

from eft.sftp_temp.packet_layer import ask_before_silence_counts, tell_when_full, transport_of, write_to

LINGER_S = 1.0
"""Seconds that a client has to read the last words."""
HOLD_S = 20.0
"""Seconds that a connection is not read for the sake of one of its sessions; then answers to keepalives are looked at again."""

TAKEN_BYTES = 4096
"""A peer that acknowledges so much in the time of one keepalive reads what it is sent; keepalives themselves are some 100 bytes,
which the system of a program that has stopped acknowledges too."""
_COUNTERS = struct.Struct("<120xQQ")
"""`tcpi_bytes_acked` and `tcpi_bytes_received` of Linux's `struct tcp_info` (linux/tcp.h), since 4.1."""

_NEEDED = ("abort", "is_closing", "is_reading", "pause_reading", "resume_reading", "set_protocol", "write", "write_eof")


class Flow:
    """Watches one connection's transport. `congested` while the peer does not take what was sent; then it is not read either."""

    def __init__(self, connection: asyncssh.SSHServerConnection, eased: Callable[[], None]) -> None:
        transport = transport_of(connection)
        if not all(hasattr(transport, name) for name in _NEEDED):  # uvloop's transports are none of asyncio's classes
            raise TypeError("asyncssh's connection has no transport where it was expected")
        self._connection = connection
        self._transport: asyncio.Transport = transport
        self._eased = eased
        self._holders: set[object] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._counted = (0, 0)
        self.congested = False
        tell_when_full(connection, self._pause, self._resume)
        ask_before_silence_counts(connection, self._has_shown_life)

    def _pause(self) -> None:
        self.congested = True
        self._read_or_not()

    def _resume(self) -> None:
        self.congested = False
        self._read_or_not()
        asyncio.get_running_loop().call_soon(self._eased)

    def _has_shown_life(self) -> bool:
        """Whether the peer has sent something since this was asked last, read or not, or has taken more than keepalives."""
        try:
            told = self._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _COUNTERS.size)
            acknowledged, received = _COUNTERS.unpack(told)
        except (OSError, AttributeError, struct.error):  # it has ended, or is no TCP, or this system does not count
            return False
        before, self._counted = self._counted, (acknowledged, received)
        return bool(received != before[1] or acknowledged - before[0] >= TAKEN_BYTES)

    def hold(self, session: object) -> None:
        """Reads no more while this session has enough to do: what the peer still sends waits in the kernel, and not in asyncssh,
        which would keep a whole window of it."""
        if not self._holders:
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self._let_go)
        self._holders.add(session)
        self._read_or_not()

    def ease(self, session: object) -> None:
        """Reads on, as far as this session is concerned. Repeatable."""
        self._holders.discard(session)
        if not self._holders:
            self._let_go()

    def _let_go(self) -> None:
        self._holders.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._read_or_not()

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        if self.congested or self._holders:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    @property
    def transport(self) -> asyncio.Transport:
        """The one that the connection had when it was made."""
        return self._transport

    def refuse(self, line: str) -> None:
        """Ends a connection before SSH has begun, with a line that clients show (RFC 4253 §4.2)."""
        self.prepare_last_words()
        transport_of(self._connection).write(line.encode() + b"\r\n")
        self._connection.abort()

    def prepare_last_words(self) -> None:
        """What asyncssh writes from now on is what it has to say at the end: it is sent in one piece, before the connection ends,
        and the client has a moment to read it."""
        if transport_of(self._connection) is self._transport:
            write_to(self._connection, _LastWords(self._transport))


class _LastWords:
    """Stands in for the transport between the decision to hang up and the end."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._words: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._words.append(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def abort(self) -> None:
        """Says it, sends no more, and reads on for a moment, as a reset would overtake what was said."""
        transport = self._transport
        if transport.is_closing():
            return
        if transport.is_reading():
            transport.pause_reading()  # uvloop reads on for the old protocol otherwise, if that brought its own buffer
        transport.set_protocol(_Drain())
        transport.write(b"".join(self._words))
        transport.write_eof()
        transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_S, transport.abort)


class _Drain(asyncio.Protocol):
    """Reads and forgets, until the peer has hung up too."""

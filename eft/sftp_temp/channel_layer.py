"""A channel's part of the packet layer: what it sends is not copied, and what it received is not forgotten."""

from __future__ import annotations

from collections.abc import Callable
import struct
from typing import Any

import asyncssh

from eft.sftp_temp.packet_layer import CHANNEL, LIBRARY, PIECES, TURN_NAME
from eft.sftp_temp.turn import Turn

_CHANNEL_DATA, _CHANNEL_EXTENDED_DATA = 94, 95
_DATA_HEAD = struct.Struct(">II")
_EXTENDED_HEAD = struct.Struct(">III")


def attach_channel(channel: Any, pieces: frozenset[str] = PIECES) -> Callable[[Callable[[], None]], object] | None:
    """Puts its piece under a channel, when that is open. Gives what puts work off to the end of the connection's turn,
    None where the connection has no turns."""
    if asyncssh.__version__ != LIBRARY or not isinstance(channel, asyncssh.SSHServerChannel):
        return None
    if CHANNEL in pieces:
        _ChannelSender(channel)
    turn: Turn | None = getattr(vars(channel)["_conn"], TURN_NAME, None)
    return None if turn is None else turn.later


def undelivered(channel: Any) -> list[bytes]:
    """What a channel has received and not given to its session, which paused it: asyncssh forgets it when the connection ends."""
    waiting = vars(channel).get("_recv_buf") or ()
    return [bytes(data) for data, datatype in waiting if datatype is None]


class _ChannelSender:
    """A channel's output: what the window does not take yet is kept as it is, and cut without copying."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._library_flush = channel._flush_send_buf
        self._library_write = channel.write
        private: dict[str, Any] = vars(channel)
        private["_flush_send_buf"] = self._flush
        private["write"] = self._write

    def _write(self, data: bytes, datatype: Any = None) -> None:
        channel = self._channel
        if datatype is not None or channel._encoding or channel._send_state != "open" or not data:
            self._library_write(data, datatype)
            return
        channel._send_buf.append((memoryview(data), None))
        channel._send_buf_len += len(data)
        self._flush()

    def _flush(self) -> None:
        channel = self._channel
        waiting, connection, number = channel._send_buf, channel._conn, channel._send_chan
        if connection is None or number is None:
            return
        limit = max(channel._send_pktsize, 1)  # with 0 the library would go round for ever
        while waiting and channel._send_window > 0:
            data, datatype = waiting[0]
            size = min(channel._send_window, limit, len(data))
            if size == len(data):
                del waiting[0]
            else:
                rest = memoryview(data)
                waiting[0] = (rest[size:], datatype)
                data = rest[:size]
            channel._send_buf_len -= size
            channel._send_window -= size
            if datatype is None:
                connection.send_packet(_CHANNEL_DATA, _DATA_HEAD.pack(number, size), data, handler=channel)
            else:
                head = _EXTENDED_HEAD.pack(number, datatype, size)
                connection.send_packet(_CHANNEL_EXTENDED_DATA, head, data, handler=channel)
        self._library_flush()

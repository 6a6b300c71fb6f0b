"""A faster packet layer under asyncssh's connection: the same bytes on the wire, for less of them moved.

asyncssh 2.24.1 cuts every packet off the front of its input buffer, builds a cipher for each, sends an encrypted IGNORE before
each packet of its own, and formats a line of log for each that nobody reads. Here packets are opened where they were received,
the data of a channel goes straight to the channel, and what is sent is sealed once and not joined.

Everything that is not the data of an open channel is left to the library: the handshake, signing in, key exchanges, requests,
and what to say of garbage: a packet that is not plainly the usual case is handed to it, opened. docs/asyncssh-patches.md says
what each piece does and gains.

The private names of asyncssh that are used stand in this file, in channel_layer.py and in steering.py. On any other version of
the library nothing is replaced but what `Flow` needs, and tests/unit/sftp/test_packet_layer_pins.py fails where one of them has
changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
import logging
import os
import socket
import struct
import threading
from typing import Any

import asyncssh
from asyncssh.encryption import BasicEncryption, ChachaEncryption, Encryption, ETMEncryption, GCMEncryption

from eft.sftp_temp.packet_ciphers import CHACHA, GCM, HMAC, ChachaCipher, GcmCipher, HmacCipher, LibraryCipher, PacketCipher
from eft.sftp_temp.turn import Turn

log = logging.getLogger("eft.sftp_temp")

LIBRARY = "2.24.1"
RECEIVE, GATHER, SEND, TURN, CHANNEL, OPTIONS = "receive", "gather", "send", "turn", "channel", "options"
PIECES = frozenset({RECEIVE, GATHER, SEND, TURN, CHANNEL, OPTIONS, GCM, CHACHA, HMAC})
"""`receive`: the parser; with it `gather`: what small packets of one read brought goes to its channel in one piece. `send`:
packets without IGNORE, log and copies. `turn`: one write for all that a read led to. `channel`: a channel's output is not copied.
`options`: they are not worked out anew for each user name. The ciphers have an effect with `receive` or `send`."""

READ_BYTES = 256 * 1024
"""Read from a socket at once, into a buffer that the connections of a thread share."""
VIEW_FROM = 8 * 1024
"""Bytes of channel data from which it is not copied but seen, and not gathered."""
KEEPALIVE_GRAIN_S = 1.0

TURN_NAME = "_eft_turn"

_DISCONNECT_TO_KEX, _USERAUTH_BANNER, _LAST_OF_USERAUTH = 49, 53, 79
_IGNORE, _WINDOW_ADJUST, _CHANNEL_DATA = 2, 93, 94
_U32 = struct.Struct(">I")
_DATA_HEAD = struct.Struct(">II")
_PACKET_HEAD = struct.Struct(">IBB")
_thread = threading.local()


def attach(connection: asyncssh.SSHServerConnection, pieces: frozenset[str] = PIECES) -> None:
    """Puts the pieces under a connection. Call in `connection_made`, before anything was received."""
    if asyncssh.__version__ != LIBRARY:
        if not getattr(_thread, "warned", False):
            _thread.warned = True
            log.warning("sftp.refused", extra={"reason": f"asyncssh is not {LIBRARY}: the faster packet layer is off"})
        return
    turn = _turn_of(connection) if TURN in pieces else None
    if RECEIVE in pieces:
        _Receiver(connection, pieces, turn)
    if SEND in pieces:
        _Sender(connection, pieces)
    if OPTIONS in pieces:
        vars(connection)["reload_config"] = _as_it_was


async def _as_it_was() -> None:
    """In the place of `reload_config`, which has a thread work out the options again for each user, who may stand in a
    configuration file: eft reads none."""


def _turn_of(connection: Any) -> Turn:
    """Has everything that the connection sends wait for the end of a turn, or for the end of the connection."""
    private: dict[str, Any] = vars(connection)
    force_close = connection._force_close

    def write(packets: list[bytes | bytearray]) -> None:
        transport = private["_transport"]
        if transport is not None:
            with suppress(ConnectionError):
                transport.write(packets[0] if len(packets) == 1 else b"".join(packets))

    def close(exc: Exception | None) -> None:
        turn.flush()
        force_close(exc)

    turn = Turn(connection._loop, write, connection.internal_error)
    private.update(_send=turn.gather, _force_close=close)
    private[TURN_NAME] = turn
    return turn


def transport_of(connection: asyncssh.SSHServerConnection) -> Any:
    """What the connection writes to, None where it has ended."""
    return vars(connection)["_transport"]


def write_to(connection: asyncssh.SSHServerConnection, transport: Any) -> None:
    """From now on the connection writes to this."""
    vars(connection)["_transport"] = transport


def tell_when_full(connection: asyncssh.SSHServerConnection, full: Callable[[], None], eased: Callable[[], None]) -> None:
    """Has these called when the transport takes no more, and when it does again, of which asyncssh takes no notice."""
    vars(connection).update(pause_writing=full, resume_writing=eased)


def ask_before_silence_counts(connection: asyncssh.SSHServerConnection, has_shown_life: Callable[[], bool]) -> None:
    """Where a keepalive is due because nothing was read, and the peer has shown life otherwise, all is as if it had answered."""
    private: dict[str, Any] = vars(connection)
    library = connection._keepalive_timer_callback

    def due() -> None:
        if has_shown_life():
            private["_keepalive_count"] = 0
            connection._set_keepalive_timer()
        else:
            library()

    private["_keepalive_timer_callback"] = due


def take_over(library: Encryption, block: int, mac: int, pieces: frozenset[str]) -> PacketCipher:
    """The fast cipher in the place of asyncssh's `library`, which goes out of use, where there is one among the `pieces`."""
    if isinstance(library, PacketCipher):
        return library
    kind, inside = type(library), vars(library)
    if GCM in pieces and kind is GCMEncryption:
        return GcmCipher(inside["_cipher"]._key, inside["_cipher"]._iv)
    if CHACHA in pieces and kind is ChachaEncryption:
        return ChachaCipher(inside["_cipher"]._key, inside["_cipher"]._adkey)
    if HMAC in pieces and kind in (BasicEncryption, ETMEncryption) and hasattr(inside["_mac"], "_hash_alg"):
        cipher, signer, etm = inside["_cipher"], inside["_mac"], kind is ETMEncryption
        cipher.decrypt(b"")  # which makes its context
        opener = cipher._decryptor
        return HmacCipher(cipher, opener, signer._hash_alg, signer._key, size=signer._hash_size, block=block, etm=etm)
    return LibraryCipher(library, block, mac)


def _shared_buffer() -> memoryview:
    buffer: memoryview | None = getattr(_thread, "buffer", None)
    if buffer is None:
        buffer = _thread.buffer = memoryview(bytearray(2 * READ_BYTES))
    return buffer


class _Receiver(asyncio.BufferedProtocol):
    """Stands between a transport and its connection. Until packets are encrypted it passes on what comes; from then on it parses.

    Between two reads only what does not make a packet yet is kept, at most one: the shared buffer belongs to whoever reads.
    """

    def __init__(self, connection: Any, pieces: frozenset[str], turn: Turn | None) -> None:
        self._connection = connection
        self._pieces = pieces
        self._turn = turn
        self._private: dict[str, Any] = vars(connection)
        self._library_header = connection._recv_pkthdr
        self._partial = b""
        self._length: int | None = None
        self._cipher: PacketCipher | None = None
        self._alive_at = 0.0
        self._gathers = GATHER in pieces
        self._gathered: list[memoryview] = []
        self._gathered_bytes = 0
        self._gathered_for: Any = None
        self._at_boundary = self._take_over
        self._private["_recv_pkthdr"] = self._at_boundary
        self._private["_transport"].set_protocol(self)
        self._socket = self._private["_transport"].get_extra_info("socket")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: behind the beginning of a packet, if there is one."""
        buffer, partial = _shared_buffer(), self._partial
        if not partial:
            return buffer[:READ_BYTES]
        kept = len(partial)
        buffer[:kept] = partial
        return buffer[kept : kept + READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        turn, sent = self._turn, self._private["_send_seq"]
        if turn is None:
            self._received(nbytes)
        else:
            turn.begin()
            try:
                self._received(nbytes)
            finally:
                turn.end()
        if self._private["_send_seq"] == sent:
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Tells the peer at once that something has come, as no answer does. A client that has Nagle's algorithm on and writes a
        request in pieces (ssh2 for Node) sends the next piece only then, and the system would wait 40 ms for an answer."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _received(self, nbytes: int) -> None:
        connection, private = self._connection, self._private
        if private["_recv_encryption"] is None or private["_recv_handler"] is not self._at_boundary or private["_inpbuf"]:
            kept = len(self._partial)
            connection.data_received(bytes(_shared_buffer()[kept : kept + nbytes]))
            return
        now = connection._loop.time()
        if now - self._alive_at >= KEEPALIVE_GRAIN_S:
            self._alive_at = now
            connection._reset_keepalive_timer()
        stop = len(self._partial) + nbytes
        self._run(_shared_buffer()[:stop])

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def eof_received(self) -> None:
        self._connection.eof_received()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def _take_over(self) -> bool:
        """What the library's loop calls where a packet begins."""
        private = self._private
        if private["_recv_encryption"] is None:
            result: bool = self._library_header()
            return result
        data, private["_inpbuf"] = private["_inpbuf"], b""
        if self._partial:
            data, self._partial = self._partial + data, b""
        try:
            self._parse(memoryview(data))
        finally:
            self._deliver()
        return False

    # Packets

    def _run(self, data: memoryview) -> None:
        """As the library's `_recv_data`: what is wrong ends the connection, with the reason where there is one."""
        connection = self._connection
        try:
            try:
                self._parse(data)
            finally:
                self._deliver()
        except asyncssh.DisconnectError as error:
            connection._send_disconnect(error.code, error.reason, error.lang)
            connection._force_close(error)
        except Exception:
            connection.internal_error()

    def _parse(self, data: memoryview) -> None:
        """Carries out the packets that are complete, and keeps the rest: here, or with the library while that waits for
        something."""
        private, channels = self._private, self._private["_channels"]
        position, stop = 0, len(data)
        while private["_transport"] is not None:
            cipher = private["_recv_encryption"]
            if cipher is not self._cipher:
                cipher = self._adopt(cipher)
            block, mac = private["_recv_blocksize"], private["_recv_macsize"]
            length = self._length
            if length is None:
                if stop - position < block:
                    break
                length = cipher.length(private["_recv_seq"], data[position : position + block])
                if length > private["_max_recv_pktlen"]:
                    raise asyncssh.ProtocolError("Max packet size exceeded")
                if 4 + length < block:
                    raise asyncssh.ProtocolError("Packet too short")
                self._length = length
            end = position + 4 + length + mac
            if end > stop:
                break
            sequence = private["_recv_seq"]
            body = cipher.open(sequence, data[position:end])
            if not body:
                raise asyncssh.MACError("MAC verification failed")
            position, self._length = end, None
            if private["_auth_complete"] and private["_decompressor"] is None and self._is_data(body, channels):
                private["_recv_seq"] = (sequence + 1) & 0xFFFFFFFF
            elif not self._hand_over(cipher, body, length, block, mac):
                # It waits for something: what follows lies with the library, and comes back through `_take_over`.
                self._partial = b""
                private["_inpbuf"] = bytes(data[position:])
                return
        self._partial = bytes(data[position:])

    def _adopt(self, library: Any) -> PacketCipher:
        private = self._private
        cipher = take_over(library, private["_recv_blocksize"], private["_recv_macsize"], self._pieces)
        self._cipher = private["_recv_encryption"] = cipher
        return cipher

    def _is_data(self, body: bytes, channels: dict[int, Any]) -> bool:
        """Whether this was the data of an open channel, its window, or nothing, in good order; then it has been carried out."""
        kind, stop = body[1], len(body) - body[0]
        if kind == _CHANNEL_DATA and stop >= 10 and body[0]:
            number, length = _DATA_HEAD.unpack_from(body, 2)
            channel = channels.get(number)
            if channel is None or stop != 10 + length or channel._recv_state != "open" or channel._encoding:
                return False
            if self._gathered and channel is not self._gathered_for:
                self._deliver()
            if length > channel._recv_window - self._gathered_bytes:
                return False
            self._private["_auth_final"] = True
            if length >= VIEW_FROM:
                self._deliver()
                channel._accept_data(memoryview(body)[10:stop])
            elif self._gathers:
                self._gathered_for = channel
                self._gathered.append(memoryview(body)[10:stop])
                self._gathered_bytes += length
            else:
                channel._accept_data(body[10:stop])
            return True
        if kind == _WINDOW_ADJUST and stop == 10 and body[0]:
            number, adjust = _DATA_HEAD.unpack_from(body, 2)
            channel = channels.get(number)
            if channel is None or channel._recv_state not in ("open", "eof_pending", "eof"):
                return False
            self._private["_auth_final"] = True
            channel._send_window += adjust
            channel._flush_send_buf()
            return True
        return bool(kind == _IGNORE and stop >= 6 and body[0] > 0 and stop == 6 + _U32.unpack_from(body, 2)[0])

    def _deliver(self) -> None:
        """Gives a channel what was gathered for it."""
        if self._gathered:
            data, channel = b"".join(self._gathered), self._gathered_for
            self._gathered, self._gathered_bytes, self._gathered_for = [], 0, None
            channel._accept_data(data)

    def _hand_over(self, cipher: PacketCipher, body: bytes, length: int, block: int, mac: int) -> bool:
        """Has the library carry out a packet that is open already. False where it waits for something before the next."""
        self._deliver()
        private = self._private
        cipher.given = body
        private["_pktlen"] = length
        private["_packet"] = bytes(block)
        private["_inpbuf"] = bytes(4 + length + mac - block)
        done: bool = self._connection._recv_packet()
        return done


class _Sender:
    """`send_packet`, for what is sent when a connection is in use. The rest is the library's own."""

    def __init__(self, connection: Any, pieces: frozenset[str]) -> None:
        self._pieces = pieces
        self._private: dict[str, Any] = vars(connection)
        self._connection = connection
        self._library_send = connection.send_packet
        self._cipher: PacketCipher | None = None
        self._private["send_packet"] = self._send

    def _send(self, pkttype: int, *args: bytes | memoryview, handler: Any = None) -> None:
        private = self._private
        cipher = private["_send_encryption"]
        if cipher is not None and cipher is not self._cipher:
            cipher = take_over(cipher, private["_send_blocksize"], 0, self._pieces)
            self._cipher = private["_send_encryption"] = cipher
        if (
            pkttype <= _DISCONNECT_TO_KEX
            or cipher is None
            or not private["_kex_complete"]
            or not (private["_auth_complete"] or (pkttype <= _LAST_OF_USERAUTH and pkttype != _USERAUTH_BANNER))
            or private["_compressor"] is not None
            or private["_rekey_bytes_sent"] >= private["_rekey_bytes"]
            or (private["_rekey_seconds"] and self._connection._loop.time() >= private["_rekey_time"])
        ):
            self._library_send(pkttype, *args, handler=handler)
            return
        block = private["_send_blocksize"]
        size = 1 + sum(map(len, args))
        padding = -(private["_send_enchdrlen"] + size) % block
        if padding < 4:
            padding += block
        length = 1 + size + padding
        packet = b"".join((_PACKET_HEAD.pack(length, padding, pkttype), *args, os.urandom(padding)))
        sequence = private["_send_seq"]
        self._connection._send(cipher.seal(sequence, packet))
        private["_send_seq"] = (sequence + 1) & 0xFFFFFFFF
        private["_rekey_bytes_sent"] += length

"""TLS between a socket and a connection: all records that one read brought are opened in one go, and handed on in one piece.

Ciphertext is read into one buffer for all connections of a server and opened into another, so that a connection keeps what
came of the next record, and no buffer. Whoever pauses reading stops the socket at once: what the peer sends on waits in the
kernel, and nothing of it in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum, auto
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from eft.http_resumable.site import Site

log = logging.getLogger("eft.http")

_HEADER: Final = 5
_TYPES: Final = range(20, 25)
_LONGEST: Final = 16 * 1024 + 2048
"""Of a record: the bytes of its header, the types that there are, and the most that a header may announce (RFC 5246 §6.2.3)."""

PARTIAL_BYTES: Final = _HEADER + _LONGEST
"""A connection keeps fewer bytes than these of a record that is not whole."""

_SLICE: Final = 32 * 1024
"""Bytes from which records are handed to OpenSSL: its buffer for them keeps the largest size that it ever had."""
_NOTHING: Final = memoryview(b"")
_GREETING: Final = 16 * 1024
"""Bytes that are read at once before the handshake is over."""


class _Stage(Enum):
    HANDSHAKE = auto()
    OPEN = auto()
    GOODBYE = auto()
    GONE = auto()


class Tls(asyncio.BufferedProtocol, asyncio.Transport):
    """The server's side of TLS: a protocol to the socket below, a transport to the connection above, which `make` makes when
    the handshake is over. `on_lost` is called when it ended before that.

    `close` says goodbye and waits for the peer's, with what the peer still sends thrown away. Whoever closes sets the time
    for that, and aborts.
    """

    __slots__ = (
        "_above",
        "_below",
        "_deadline",
        "_incoming",
        "_make",
        "_on_lost",
        "_outgoing",
        "_partial",
        "_paused",
        "_site",
        "_stage",
        "_tls",
    )

    def __init__(
        self, site: Site, context: ssl.SSLContext, make: Callable[[], asyncio.BufferedProtocol], on_lost: Callable[[], None]
    ) -> None:
        super().__init__()
        self._site = site
        self._make = make
        self._on_lost = on_lost
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._stage = _Stage.HANDSHAKE
        self._partial = b""
        self._paused = False
        self._below: asyncio.Transport
        self._above: asyncio.BufferedProtocol | None = None
        self._deadline = site.clock.monotonic() + site.limits.handshake_s

    def check(self, now: float) -> None:
        """Ends a handshake that takes too long."""
        if now >= self._deadline:
            self._below.abort()

    # what the socket calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast(asyncio.Transport, transport)
        self._site.handshakes.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        room = self._site.received[PARTIAL_BYTES:]
        return room if self._stage is not _Stage.HANDSHAKE else room[:_GREETING]

    def buffer_updated(self, nbytes: int) -> None:
        slices = self._whole_records(nbytes)
        if self._stage is _Stage.HANDSHAKE:
            for data, _ in slices:
                self._incoming.write(data)
            if not self._shake_hands():
                return
            slices = [(_NOTHING, _GREETING)]
        self._open(slices)

    def eof_received(self) -> None:
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stage = _Stage.GONE
        self._site.handshakes.discard(self)
        if self._above is None:
            self._on_lost()
        else:
            self._above.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._above is not None:
            self._above.resume_writing()

    # what the connection calls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._stage is not _Stage.OPEN or self._below.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing():
            return
        rest = memoryview(data)
        while rest:
            part, rest = rest[:_SLICE], rest[_SLICE:]
            while part:
                part = part[self._tls.write(part) :]
            self._below.write(self._outgoing.read())

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._below.get_write_buffer_size()

    def pause_reading(self) -> None:
        if not self._paused and not self.is_closing():
            self._paused = True
            self._below.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and not self._below.is_closing():
            self._paused = False
            self._below.resume_reading()

    def close(self) -> None:
        if self._stage is not _Stage.OPEN:
            return
        self._stage = _Stage.GOODBYE
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._flush()
            self.resume_reading()
        except ssl.SSLError:
            self._end()
        else:
            self._end()

    def abort(self) -> None:
        self._below.abort()

    # within

    def _shake_hands(self) -> bool:
        """Whether the handshake is over, and the connection made."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            log.debug("http.refused", extra={"reason": type(error).__name__})
            self._end()  # once the peer was told what was wrong
            return False
        self._flush()
        self._stage = _Stage.OPEN
        self._site.handshakes.discard(self)
        self._above = self._make()
        self._above.connection_made(self)
        return True

    def _whole_records(self, nbytes: int) -> list[tuple[memoryview, int]]:
        """What came, in slices of whole records, each with how many they are. The start of one that is not whole is kept.

        OpenSSL is asked for a record as often as there is one: that there is none costs it as much as three. What cannot be a
        record is handed on at once, for OpenSSL to refuse.
        """
        received, stop = self._site.received, PARTIAL_BYTES + nbytes
        begin = at = PARTIAL_BYTES - len(self._partial)
        received[begin:PARTIAL_BYTES] = self._partial
        slices, count = [], 0
        while stop - at >= _HEADER:
            length = received[at + 3] << 8 | received[at + 4]
            if length > _LONGEST or received[at] not in _TYPES:
                length = stop - at - _HEADER
            if stop - at < _HEADER + length:
                break
            at += _HEADER + length
            count += 1
            if at - begin >= _SLICE:
                slices.append((received[begin:at], count))
                begin, count = at, 0
        if at > begin:
            slices.append((received[begin:at], count))
        self._partial = bytes(received[at:stop])
        return slices

    def _open(self, slices: list[tuple[memoryview, int]]) -> None:
        """Hands on the content of the records. There is room for it, since the buffer is as large as that for ciphertext."""
        plain, filled, ended, broken = self._site.buffer, 0, False, False
        read, size = self._tls.read, len(self._site.buffer)
        for data, count in slices:
            self._incoming.write(data)
            try:
                for _ in range(count):
                    came = read(size, plain[filled:])
                    if not came:
                        ended = True
                        break
                    filled += came  # type: ignore[operator]
            except ssl.SSLWantReadError:
                continue  # one that had no content
            except ssl.SSLZeroReturnError:
                ended = True
            except ssl.SSLError:
                broken = True
                break
        self._flush()
        if filled and self._stage is _Stage.OPEN:
            assert self._above is not None
            self._above.buffer_updated(filled)
        if broken:
            self._below.abort()
        elif ended and self._stage is _Stage.OPEN:
            self.close()
        elif ended and self._stage is _Stage.GOODBYE:
            self._end()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._below.is_closing():
            self._below.write(self._outgoing.read())

    def _end(self) -> None:
        self._flush()
        self._below.close()

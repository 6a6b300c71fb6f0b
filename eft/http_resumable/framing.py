"""Where a request's body ends: by its length, or in chunks with trailers (RFC 9112 §6.2, §7.1).

Payload is copied once, out of the buffer that TLS decrypted it into.
"""

from __future__ import annotations

from enum import Enum, auto
import re
from typing import Final, Protocol

from eft.http_resumable.headers import TOKEN, Headers
from eft.http_resumable.limits import Limits
from eft.http_resumable.refusals import Refusal, malformed

_CHUNK_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,15})"
    rb"(?:;[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|\"[\t\x20\x21\x23-\x5b\x5d-\x7e]*\"))?)*"
)
"""A size, and extensions of the plainest form; those with blanks or escapes nobody sends, and readers disagree on them."""
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_CRLF: Final = b"\r\n"


class Framing(Protocol):
    """Takes a body apart. `remaining` in bytes, None where nobody knows."""

    complete: bool
    trailers: Headers

    @property
    def remaining(self) -> int | None: ...

    def feed(self, data: memoryview) -> tuple[bytes, int]:
        """The payload in `data`, and how much of `data` belongs to this body. Raises Refusal."""


class LengthFraming:
    """A body of so many bytes."""

    __slots__ = ("_left", "complete", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = length == 0
        self.trailers = Headers()

    @property
    def remaining(self) -> int | None:
        return self._left

    def feed(self, data: memoryview) -> tuple[bytes, int]:
        payload = bytes(data[: self._left])
        self._left -= len(payload)
        self.complete = self._left == 0
        return payload, len(payload)


class _At(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILERS = auto()
    END = auto()


class ChunkedFraming:
    """A body in chunks. Lines end with CRLF, sizes are plain hexadecimal, extensions are ignored, trailers are kept apart
    from the header fields."""

    __slots__ = ("_at", "_left", "_limits", "_line", "_trailer_bytes", "complete", "trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._at = _At.SIZE
        self._left = 0
        self._line = b""
        self._trailer_bytes = 0
        self.complete = False
        self.trailers = Headers()

    @property
    def remaining(self) -> int | None:
        return 0 if self.complete else None

    def feed(self, data: memoryview) -> tuple[bytes, int]:
        parts: list[memoryview] = []
        used, size = 0, len(data)
        while used < size and self._at is not _At.END:
            if self._at is _At.DATA:
                part = data[used : used + self._left]
                parts.append(part)
                used += len(part)
                self._left -= len(part)
                if not self._left:
                    self._at, self._left = _At.DATA_END, 2
            elif self._at is _At.DATA_END:
                expected = _CRLF[2 - self._left]
                if data[used] != expected:
                    raise malformed("A chunk does not end where its size says.")
                used += 1
                self._left -= 1
                if not self._left:
                    self._at = _At.SIZE
            else:
                line, taken = self._take_line(data[used:])
                used += taken
                if line is not None:
                    self._on_line(line)
        self.complete = self._at is _At.END
        return b"".join(parts), used

    def _take_line(self, data: memoryview) -> tuple[bytes | None, int]:
        """A line without its CRLF, None while it is not whole, and how many bytes were taken."""
        limit = self._limits.chunk_line_bytes if self._at is _At.SIZE else self._limits.trailer_bytes
        piece = bytes(data[: limit + 2])
        newline = piece.find(b"\n")
        if newline < 0:
            self._line += piece
            if len(self._line) > limit:
                raise self._line_too_long()
            return None, len(piece)
        line = self._line + piece[: newline + 1]
        self._line = b""
        if len(line) > limit + 2:
            raise self._line_too_long()
        if not line.endswith(_CRLF):
            raise malformed("A line of the chunked body does not end with CRLF.")
        return line[:-2], newline + 1

    def _line_too_long(self) -> Refusal:
        if self._at is _At.SIZE:
            return malformed("The line of a chunk's size is too long.")
        return Refusal(431, "trailers-too-large", "The trailers are too large.", close=True)

    def _on_line(self, line: bytes) -> None:
        if self._at is _At.SIZE:
            matched = _CHUNK_LINE.fullmatch(line)
            if matched is None:
                raise malformed("The size of a chunk is not hexadecimal.")
            self._left = int(matched[1], 16)
            self._at = _At.DATA if self._left else _At.TRAILERS
        elif not line:
            self._at = _At.END
        else:
            self._on_trailer(line)

    def _on_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if len(self.trailers) >= self._limits.trailer_fields or self._trailer_bytes > self._limits.trailer_bytes:
            raise self._line_too_long()
        raw_name, colon, raw_value = line.partition(b":")
        name, value = raw_name.decode("latin-1"), raw_value.strip(b" \t")
        if not colon or not TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise malformed("A trailer is no header field.")
        self.trailers.add(name, value.decode("latin-1"))


def framing(body_length: int | None, limits: Limits) -> Framing:
    """The framing of a body of `body_length` bytes, None for chunks."""
    return ChunkedFraming(limits) if body_length is None else LengthFraming(body_length)

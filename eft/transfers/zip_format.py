"""ZIP as it is written in one go (PKWARE APPNOTE 6.3.10): stored, each file's CRC after its bytes, ZIP64 where 32 bits do not do.

Sizes are known beforehand, CRCs are not: so the length of the whole is known before its first byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
import struct
from typing import Final

LARGE: Final = 0xFFFF_FFFF
"""A size or an offset from which ZIP64 is needed: this value itself says "see there"."""
MANY: Final = 0xFFFF
"""So many entries need ZIP64 too."""

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")
_FLAGS: Final = 0x0808
"""Bit 3: CRC and sizes follow the bytes. Bit 11: the name is UTF-8."""
_UNIX: Final = 3 << 8
_MODE: Final = 0o100644 << 16
_FIRST, _LAST = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)


@dataclass(slots=True)
class Entry:
    """One file: its name, size in bytes, time of its last change in UTC; and, once it was written, its CRC-32. `offset`: where it
    begins in the archive."""

    name: bytes
    size: int
    modified: datetime
    offset: int = 0
    crc: int = 0

    @property
    def is_large(self) -> bool:
        return self.size >= LARGE

    def head(self) -> bytes:
        """What comes before its bytes (§4.3.7)."""
        extra = struct.pack("<HHQQ", 1, 16, 0, 0) if self.is_large else b""
        size = LARGE if self.is_large else 0
        time, date = _dos(self.modified)
        fixed = _LOCAL.pack(
            b"PK\3\4", self._needs, _FLAGS, 0, time, date, 0, size, size, len(self.name), len(extra) + len(_stamp(self.modified))
        )
        return fixed + self.name + extra + _stamp(self.modified)

    def tail(self) -> bytes:
        """What comes after them (§4.3.9)."""
        return struct.pack("<4sIQQ" if self.is_large else "<4sIII", b"PK\7\10", self.crc, self.size, self.size)

    def listed(self) -> bytes:
        """Its place in the central directory (§4.3.12)."""
        wide = [value for value in (self.size, self.size, self.offset) if value >= LARGE]
        extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        extra += _stamp(self.modified)
        size, offset = min(self.size, LARGE), min(self.offset, LARGE)
        needs = 45 if wide else 20
        time, date = _dos(self.modified)
        fixed = _CENTRAL.pack(
            b"PK\1\2", _UNIX | 45, needs, _FLAGS, 0, time, date, self.crc, size, size, len(self.name), len(extra), 0, 0, 0, _MODE,
            offset,
        )  # fmt: skip
        return fixed + self.name + extra

    @property
    def _needs(self) -> int:
        return 45 if self.is_large else 20


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the central directory of an archive begins, how long it is, and how long the whole."""

    directory: int
    directory_size: int
    length: int


def lay_out(entries: list[Entry]) -> Layout:
    """Gives each entry its offset, in this order."""
    position = directory_size = 0
    for entry in entries:
        entry.offset = position
        position += len(entry.head()) + entry.size + len(entry.tail())
        directory_size += len(entry.listed())
    return Layout(position, directory_size, position + directory_size + len(_end(len(entries), position, directory_size)))


def end(entries: list[Entry], layout: Layout) -> bytes:
    """What comes after the central directory (§4.3.14-16)."""
    return _end(len(entries), layout.directory, layout.directory_size)


def _end(count: int, directory: int, size: int) -> bytes:
    first = b""
    if count >= MANY or directory >= LARGE or size >= LARGE:
        first = _END64.pack(b"PK\6\6", 44, _UNIX | 45, 45, 0, 0, count, count, size, directory)
        first += _LOCATOR64.pack(b"PK\6\7", 0, directory + size, 1)
    few = min(count, MANY)
    return first + _END.pack(b"PK\5\6", 0, 0, few, few, min(size, LARGE), min(directory, LARGE), 0)


def _dos(instant: datetime) -> tuple[int, int]:
    """Time and date of §4.4.6, which has no zone: UTC, in steps of two seconds."""
    at = min(max(instant.astimezone(UTC), _FIRST), _LAST)
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day


def _stamp(instant: datetime) -> bytes:
    """The extended timestamp (Info-ZIP 0x5455): seconds since 1970, which no zone shifts."""
    seconds = int(instant.timestamp())
    return struct.pack("<HHBi", 0x5455, 5, 1, seconds) if 0 <= seconds < 1 << 31 else b""

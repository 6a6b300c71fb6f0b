"""Writes that come out of order, put into order again.

Some clients (rclone) keep several writes under way and send them as they like. What lies a little ahead waits here; what lies
further ahead, or behind what was received, is refused for good, since a stream has no place for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from eft.domain.errors import NotSequential

Parts = Sequence[bytes | memoryview]


class Allowance:
    """How many bytes may wait at once, over all files of one session."""

    __slots__ = ("left",)

    def __init__(self, total: int) -> None:
        self.left = total


class ReorderWindow:
    """Keeps what lies ahead of `position`, by at most `size` bytes. Never holds two writes that overlap."""

    __slots__ = ("_allowance", "_held", "_size")

    def __init__(self, size: int, allowance: Allowance) -> None:
        self._size = size
        self._allowance = allowance
        self._held: dict[int, tuple[Parts, int]] = {}

    def __bool__(self) -> bool:
        """Whether something waits: the file has a hole before it."""
        return bool(self._held)

    def hold(self, position: int, offset: int, parts: Parts, length: int) -> None:
        """Keeps a write that starts past `position`. Raises NotSequential where it starts before, reaches beyond the window, or
        would overlap with one that waits already."""
        end = offset + length
        if offset <= position or end > position + self._size or length > self._allowance.left:
            raise NotSequential
        if any(offset < other + held and other < end for other, (_, held) in self._held.items()):
            raise NotSequential
        self._held[offset] = (parts, length)
        self._allowance.left -= length

    def follow(self, position: int) -> tuple[Parts, int] | None:
        """What waits at exactly `position`, no longer held; None where nothing does. Raises NotSequential where what was
        received has run into what waits."""
        if not self._held:
            return None
        found = self._held.pop(position, None)
        if found is not None:
            self._allowance.left += found[1]
        elif min(self._held) < position:
            raise NotSequential
        return found

    def clear(self) -> None:
        """Drops what waits."""
        self._allowance.left += sum(length for _, length in self._held.values())
        self._held.clear()

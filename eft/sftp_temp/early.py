"""Replies to WRITEs that came early.

A client that keeps many WRITEs under way and sends the next for each reply (ssh2, rclone) would run away from a piece that comes
late, until it is further ahead than the window holds. So a WRITE is answered when all that lies before it has arrived, and what
is under way stays within the window of its own accord. A client that leaves a hole and waits for the reply has it after
PATIENCE_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush

from eft.domain.errors import EftError
from eft.sftp_temp import replies
from eft.sftp_temp.errors import refusal
from eft.sftp_temp.handles import WritableFile

PATIENCE_S = 5.0


class _Waiting:
    """The replies of one file that wait, by the offset that has to be reached. `seen`: how far it was when the timer was set."""

    __slots__ = ("ends", "is_hasty", "seen", "timer")

    def __init__(self) -> None:
        self.ends: list[tuple[int, bytes]] = []
        self.seen = -1
        self.timer: asyncio.TimerHandle | None = None
        self.is_hasty = False


class EarlyReplies:
    """Those of one session. `send` takes a reply that is sent later than its turn."""

    def __init__(self) -> None:
        self.send: Callable[[bytes], None] = lambda _: None
        self._waiting: dict[WritableFile, _Waiting] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def answer(self, file: WritableFile, end: int, identifier: bytes) -> bytes:
        """The reply to a WRITE that was taken and ends there, if its turn has come, with those whose turn has come by it."""
        waiting = self._waiting.get(file)
        reached = file.reception.offset
        if end > reached and file.has_hole:
            if waiting is None:
                waiting = self._waiting[file] = _Waiting()
            if waiting.is_hasty:
                return replies.ok(identifier)
            heappush(waiting.ends, (end, identifier))
            if waiting.timer is None:
                self._set_timer(file, waiting)
            return b""
        due = [replies.ok(identifier)]
        if waiting is not None:
            while waiting.ends and waiting.ends[0][0] <= reached:
                due.append(replies.ok(heappop(waiting.ends)[1]))
            if not waiting.ends and not waiting.is_hasty:
                self._forget(file)
        return b"".join(due)

    def refuse(self, file: WritableFile, error: EftError) -> None:
        """The file takes nothing any more: what waits is told so."""
        for _, identifier in self._forget(file):
            self.send(refusal(identifier, error))

    def end(self) -> None:
        """Nobody is told anything any more. Repeatable."""
        for file in list(self._waiting):
            self._forget(file)

    def _forget(self, file: WritableFile) -> list[tuple[int, bytes]]:
        waiting = self._waiting.pop(file, None)
        if waiting is None:
            return []
        if waiting.timer is not None:
            waiting.timer.cancel()
        return waiting.ends

    def _set_timer(self, file: WritableFile, waiting: _Waiting) -> None:
        waiting.seen = file.reception.offset
        waiting.timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._look, file, waiting)

    def _look(self, file: WritableFile, waiting: _Waiting) -> None:
        """Waits on where the file has grown meanwhile. Otherwise the client seems to want its replies first: from now on it has
        them at once."""
        if file.error is not None:
            self.refuse(file, file.error)
        elif file.reception.offset > waiting.seen:
            self._set_timer(file, waiting)
        else:
            waiting.is_hasty, waiting.timer = True, None
            ends, waiting.ends = waiting.ends, []
            for _, identifier in ends:
                self.send(replies.ok(identifier))

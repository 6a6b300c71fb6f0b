"""Which files a session read, for the audit log: one line for each file that was opened and really read, when it is closed.

Nothing is written while a file is read. The lines are written behind the answers, those that wait together in one go; the end of
the session waits for them.
"""

from __future__ import annotations

import asyncio
import logging

from eft.domain.actor import Actor
from eft.sftp_temp.handles import ReadableFile

log = logging.getLogger("eft.sftp_temp")

WAITING = 1000
"""Lines that may wait; past that, closing a file waits for them."""


class Downloads:
    """The downloads of one session."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._waiting: list[ReadableFile] = []
        self._writing: asyncio.Task[None] | None = None

    async def closed(self, file: ReadableFile) -> None:
        """Notes what was read of it, if anything was. Never raises."""
        if not file.served.asked:
            return
        self._waiting.append(file)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        if len(self._waiting) > WAITING:
            await asyncio.wait([self._writing])

    async def end(self) -> None:
        """Everything is written on return. Never raises."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write(self) -> None:
        while self._waiting:
            files, self._waiting = self._waiting, []
            await asyncio.gather(*(self._note(file) for file in files))

    async def _note(self, file: ReadableFile) -> None:
        try:
            await file.reader.note_read(self._actor, file.served.size, file.served.until >= file.reader.size)
        except Exception:
            log.exception("sftp.request_failed")

"""How the workers of one machine ask each other to let go of an upload.

Each worker has a datagram socket named after it. A message names an upload; the answer comes when its writer has let go. A
worker that has died answers nothing, and the kernel says so at once: that is how the living are told from the dead. The bus is
a courtesy. What keeps two writers apart is the epoch in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
import os
from pathlib import Path
import secrets
import socket

_LONGEST = 512

LetGo = Callable[[str, int | None], Awaitable[int | None]]
"""Lets go of an upload for whoever would write `at` that offset (None: wherever it ends). The offset at which the writer goes
on, where it does not let go."""


class Bus:
    """One worker's ear. `worker` is its name, new with every process."""

    def __init__(self, directory: Path) -> None:
        self.worker = secrets.token_hex(8)
        self._directory = directory
        self._socket: socket.socket | None = None
        self._directory_fd = -1
        self._waiting: dict[bytes, asyncio.Future[int | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._let_go: LetGo | None = None

    def open(self, let_go: LetGo) -> None:
        """Listens. `let_go(upload_id, at)` is awaited for every request, and answered when it is done."""
        self._let_go = let_go
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory_fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in os.listdir(self._directory):
            if name.endswith(".bus") and not self._answers(name.removesuffix(".bus")):
                (self._directory / name).unlink(missing_ok=True)
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        ear.bind(self._address(self.worker))
        self._socket = ear
        asyncio.get_running_loop().add_reader(ear.fileno(), self._hear)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            (self._directory / f"{self.worker}.bus").unlink(missing_ok=True)
            os.close(self._directory_fd)
        for task in self._tasks:
            task.cancel()

    def is_alive(self, worker: str) -> bool:
        """Whether that worker runs on this machine."""
        return worker == self.worker or self._answers(worker)

    async def ask_to_let_go(self, worker: str, upload_id: str, timeout_s: float, at: int | None = None) -> int | None:
        """Returns None when `worker` has let go of the upload, is dead, or has not answered in `timeout_s` seconds; an offset
        where its writer goes on: see `LetGo`."""
        if self._socket is None:
            return None
        question = secrets.token_hex(8).encode()
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._waiting[question] = answer
        try:
            message = b" ".join((b"let-go", self.worker.encode(), question, upload_id.encode(), _number(at)))
            self._socket.sendto(message, self._address(worker))
            return await asyncio.wait_for(answer, timeout_s)
        except (OSError, TimeoutError):
            return None
        finally:
            self._waiting.pop(question, None)

    def _address(self, worker: str) -> str:
        # A socket's path may have 108 bytes at most; the directory's descriptor makes any directory short.
        return f"/proc/self/fd/{self._directory_fd}/{worker}.bus"

    def _answers(self, worker: str) -> bool:
        probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            probe.connect(self._address(worker))
            return True
        except OSError:
            return False
        finally:
            probe.close()

    def _hear(self) -> None:
        assert self._socket is not None
        for _ in range(64):
            try:
                message = self._socket.recv(_LONGEST)
            except OSError:
                return
            words = message.split(b" ")
            if len(words) == 3 and words[0] == b"done":
                answer = self._waiting.get(words[1])
                if answer is not None and not answer.done():
                    answer.set_result(_offset(words[2]))
            elif len(words) == 5 and words[0] == b"let-go":
                obeying = self._obey(words[1].decode(), words[2], words[3].decode(), _offset(words[4]))
                task = asyncio.get_running_loop().create_task(obeying)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _obey(self, asker: str, question: bytes, upload_id: str, at: int | None) -> None:
        assert self._let_go is not None
        goes_on = await self._let_go(upload_id, at)
        if self._socket is not None and asker.isalnum():
            try:
                self._socket.sendto(b" ".join((b"done", question, _number(goes_on))), self._address(asker))
            except OSError:
                return


def _number(offset: int | None) -> bytes:
    return b"-" if offset is None else b"%d" % offset


def _offset(word: bytes) -> int | None:
    return int(word) if word.isdigit() else None

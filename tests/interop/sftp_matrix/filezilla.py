"""FileZilla's SFTP engine, fzsftp, driven as FileZilla drives it.

It takes commands by the line and tells what happens by events: a character, and as many lines of text as belong to the event,
none for some. It does no file I/O of its own: it asks for the next piece of a shared memory by events, and for leave to send or
receive every hundred times or so; it is answered by lines that begin with `-`. The events are those of 3.63, in fzprintf.h.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
import os
from pathlib import Path
import subprocess
import threading
from typing import BinaryIO

from tests.interop.sftp_matrix.client import Client, ClientFailed, never

REPLY, DONE, ERROR = b"0", b"1", b"2"
LIST_ENTRY, ASK_PASSWORD = b"8", b"<"
ASK_HOST_KEY = (b"9", b":", b";")
"""A new one, a changed one, one of a better kind."""
LEAVE_TO_RECEIVE, LEAVE_TO_SEND, IO_SIZE, IO_OPEN, IO_NEXT, IO_FINALIZE = (
    bytes([ord("0") + number]) for number in (16, 17, 26, 27, 28, 29)
)
LINES = {LEAVE_TO_RECEIVE: 0, LEAVE_TO_SEND: 0, IO_SIZE: 0, LIST_ENTRY: 3, **dict.fromkeys(ASK_HOST_KEY, 2)}
"""Lines of text of an event that has not one."""
MEMORY = 262_144
NO_LIMIT = {LEAVE_TO_RECEIVE: b"-0-", LEAVE_TO_SEND: b"-1-"}


class Engine:
    """One fzsftp, and its side of the shared memory."""

    def __init__(self, client: Client) -> None:
        self._account = client.account
        self._memory = os.memfd_create("transfer")
        os.ftruncate(self._memory, MEMORY)
        self._process = subprocess.Popen(
            ["fzsftp", "-v"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(client.work)},
            pass_fds=(self._memory,),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.said = ""
        self._deadline = threading.Timer(client.patience_s, self._process.kill)
        self._deadline.start()
        for leave in NO_LIMIT.values():
            self._say(leave)
        self.tell(f'open "{self._account.user}@127.0.0.1" {self._account.port}')

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self._deadline.cancel()
        self._process.kill()
        self._process.wait(10)
        with suppress(BrokenPipeError):
            self._in.close()
        self._out.close()
        os.close(self._memory)

    def tell(self, command: str, *, source: BinaryIO | None = None, sink: BinaryIO | None = None) -> list[str]:
        """One command, until the engine says how it ended; what it replied. Files are read from `source`, written to `sink`, from
        where they stand. Raises ClientFailed."""
        self._say(command.encode())
        replies: list[str] = []
        answers: dict[bytes, Callable[[bytes], bytes]] = {
            **{kind: lambda _: b"y" for kind in ASK_HOST_KEY},
            **{kind: lambda _, leave=leave: leave for kind, leave in NO_LIMIT.items()},
            ASK_PASSWORD: lambda _: self._account.password.encode(),
            IO_OPEN: lambda told: self._opened(told, source, sink),
            IO_SIZE: lambda _: b"-%d" % os.stat((source or sink).fileno()).st_size,  # type: ignore[union-attr]
            IO_NEXT: lambda told: self._next(told, source, sink),
            IO_FINALIZE: lambda told: self._finalize(told, sink),
        }
        while kind := self._out.read(1):
            text = b"".join(self._out.readline() for _ in range(LINES.get(kind, 1))).rstrip(b"\n")
            self.said += f"{kind.decode()}{text.decode(errors='replace')}\n"
            if kind in answers:
                self._say(answers[kind](text))
            elif kind == REPLY and not text.startswith(b"fzSftp"):
                replies.append(text.decode())
                return replies
            elif kind == DONE:
                if text.strip() == b"1":
                    return replies
                raise ClientFailed(self.said)
        raise ClientFailed(self.said)

    def _say(self, line: bytes) -> None:
        try:
            self._in.write(line + b"\n")
            self._in.flush()
        except BrokenPipeError:
            raise ClientFailed(self.said) from None

    def _opened(self, told: bytes, source: BinaryIO | None, sink: BinaryIO | None) -> bytes:
        if source is not None:
            source.seek(int(told or b"0"))
        return b"-%d %d %d" % (self._memory, MEMORY, 0 if sink is None else sink.tell())

    def _next(self, told: bytes, source: BinaryIO | None, sink: BinaryIO | None) -> bytes:
        if sink is not None:
            sink.write(os.pread(self._memory, int(told or b"0"), 0))
            return b"-0 %d" % MEMORY
        assert source is not None
        data = source.read(MEMORY)
        os.pwrite(self._memory, data, 0)
        return b"-0 %d" % len(data) if data else b"-0"

    def _finalize(self, told: bytes, sink: BinaryIO | None) -> bytes:
        assert sink is not None
        sink.write(os.pread(self._memory, int(told or b"0"), 0))
        return b"-1"


class FileZilla(Client):
    name = "FileZilla (fzsftp)"
    programs = ("fzsftp",)

    def put(self, local: Path, remote: str) -> None:
        """`put`"""
        with Engine(self) as engine, local.open("rb") as source:
            engine.tell(f'put "{local}" "{remote}"', source=source)

    def get(self, remote: str, local: Path) -> None:
        """`get`"""
        with Engine(self) as engine, local.open("wb") as sink:
            engine.tell(f'get "{remote}" "{local}"', sink=sink)

    def put_tree(self, local: Path, remote: str) -> None:
        """`mkdir` and `put`, as its queue does"""
        with Engine(self) as engine:
            for directory, _, files in os.walk(local):
                there = remote + directory.removeprefix(str(local))
                engine.tell(f'mkdir "{there}"')
                for name in files:
                    path = Path(directory, name)
                    with path.open("rb") as source:
                        engine.tell(f'put "{path}" "{there}/{name}"', source=source)

    get_tree = never("its queue walks")

    def rename_over(self, old: str, new: str) -> None:
        """`rm`, `mv`, as it asks for a confirmation first"""
        with Engine(self) as engine:
            engine.tell(f'rm "{new}"')
            engine.tell(f'mv "{old}" "{new}"')

    def resume_put(self, local: Path, remote: str) -> None:
        """`reput`"""
        with Engine(self) as engine, local.open("rb") as source:
            engine.tell(f'reput "{local}" "{remote}"', source=source)

    def resume_get(self, remote: str, local: Path) -> None:
        """`reget`"""
        with Engine(self) as engine, local.open("ab") as sink:
            engine.tell(f'reget "{remote}" "{local}"', sink=sink)

    def put_with_time(self, local: Path, remote: str) -> None:
        """`put`, `chmtime`"""
        with Engine(self) as engine, local.open("rb") as source:
            engine.tell(f'put "{local}" "{remote}"', source=source)
            engine.tell(f'chmtime {int(local.stat().st_mtime)} "{remote}"')

    def get_with_time(self, remote: str, local: Path) -> None:
        """`mtime`, `get`"""
        with Engine(self) as engine, local.open("wb") as sink:
            at = int(engine.tell(f'mtime "{remote}"')[0])
            engine.tell(f'get "{remote}" "{local}"', sink=sink)
        os.utime(local, (at, at))

    password = never("it tries keyboard-interactive first")

    def keyboard_interactive(self) -> None:
        """yes"""
        with Engine(self) as engine:
            assert "eyboard-interactive" in engine.said

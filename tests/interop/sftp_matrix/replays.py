"""WinSCP's and Cyberduck's own sequences of requests, packet by packet: programs that do not run here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
import itertools
import os
from pathlib import Path
import struct
from typing import Any

import asyncssh

from tests.interop.sftp_matrix.client import Client, ClientFailed
from tests.unit.sftp import wire

OK, NO_SUCH_FILE = 0, 2
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
PIECE = 32_768
UNDER_WAY = 32


class Answers(asyncssh.SSHClient):
    """Answers what keyboard-interactive asks."""

    def __init__(self, password: str) -> None:
        self._password = password

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> list[str]:
        return [self._password for _ in prompts]


class Packets:
    """A session in which requests are written by hand and answered in any order."""

    def __init__(self, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self.connection, self.process = connection, process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[wire.Reply]] = {}
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, port: int, user: str, password: str, *, methods: str = "password", **more: Any) -> Packets:
        connection = await asyncssh.connect(
            "127.0.0.1",
            port,
            username=user,
            known_hosts=None,
            client_keys=None,
            config=None,
            preferred_auth=methods,
            client_factory=lambda: Answers(password),
            **({"password": password} if methods == "password" else {}),
            **more,
        )
        process = await connection.create_process(subsystem="sftp", encoding=None)
        session = cls(connection, process)
        process.stdin.write(wire.INIT)
        await session._packet()
        session._reading = asyncio.ensure_future(session._read())
        return session

    async def _packet(self) -> wire.Reply:
        head = await self.process.stdout.readexactly(4)
        return wire.replies(head + await self.process.stdout.readexactly(struct.unpack(">I", head)[0]))[0]

    async def _read(self) -> None:
        try:
            while True:
                reply = await self._packet()
                self._waiting.pop(reply.id).set_result(reply)
        except (asyncio.IncompleteReadError, OSError, asyncssh.Error) as error:
            for each in self._waiting.values():
                if not each.done():
                    each.set_exception(ConnectionError(repr(error)))
                    each.exception()  # whoever waits for it hears of it; the others need not be told off

    def ask(self, request: Callable[..., bytes], *words: Any, **more: Any) -> asyncio.Future[wire.Reply]:
        """Sends it. The reply to come."""
        identifier = next(self._ids)
        future = self._waiting[identifier] = asyncio.get_running_loop().create_future()
        if self._reading is None or self._reading.done():
            raise ConnectionError("the connection has ended")
        self.process.stdin.write(request(identifier, *words, **more))
        return future

    async def ok(self, request: Callable[..., bytes], *words: Any) -> None:
        reply = await self.ask(request, *words)
        assert reply.code == OK, reply.message

    async def write(self, handle: bytes, data: bytes, start: int, piece: int = PIECE) -> None:
        """Many WRITEs under way at a time, each answered OK."""
        under_way: list[asyncio.Future[wire.Reply]] = []
        for at in range(0, len(data), piece):
            under_way.append(self.ask(wire.write, handle, start + at, data[at : at + piece]))
            if len(under_way) >= UNDER_WAY:
                self._is_ok(await under_way.pop(0))
                await self.process.stdin.drain()
        for each in under_way:
            self._is_ok(await each)

    @staticmethod
    def _is_ok(reply: wire.Reply) -> None:
        assert reply.code == OK, reply.message

    async def read(self, handle: bytes, start: int, size: int) -> bytes:
        found, position = [], start
        while position < size:
            asked = [self.ask(wire.read, handle, at, PIECE) for at in range(position, min(size, position + 16 * PIECE), PIECE)]
            for each in asked:
                data = (await each).data
                found.append(data)
                position += len(data)
        return b"".join(found)

    async def facts(self, path: str) -> dict[str, int] | None:
        reply = await self.ask(stat, path)
        return reply.facts if reply.kind == 105 else None

    async def close(self) -> None:
        self.connection.close()
        await self.connection.wait_closed()


def stat(identifier: int, path: str) -> bytes:
    return wire.packet(17, identifier, wire.string(path))


def lstat(identifier: int, path: str) -> bytes:
    return wire.packet(7, identifier, wire.string(path))


def set_stat(identifier: int, path: str, attributes: bytes) -> bytes:
    return wire.packet(9, identifier, wire.string(path), attributes)


def f_set_stat(identifier: int, handle: bytes, attributes: bytes) -> bytes:
    return wire.packet(10, identifier, wire.string(handle), attributes)


def remove(identifier: int, path: str) -> bytes:
    return wire.packet(13, identifier, wire.string(path))


def make_directory(identifier: int, path: str) -> bytes:
    return wire.packet(14, identifier, wire.string(path), wire.NO_ATTRIBUTES)


def real_path(identifier: int, path: str) -> bytes:
    return wire.packet(16, identifier, wire.string(path))


def rename(identifier: int, old: str, new: str) -> bytes:
    return wire.packet(18, identifier, wire.string(old), wire.string(new))


def open_directory(identifier: int, path: str) -> bytes:
    return wire.packet(11, identifier, wire.string(path))


def read_directory(identifier: int, handle: bytes) -> bytes:
    return wire.packet(12, identifier, wire.string(handle))


class _Replay(Client):
    def do(self, work: Callable[[Packets], Coroutine[Any, Any, None]], *, methods: str = "password") -> None:
        async def whole() -> None:
            session = await Packets.open(self.account.port, self.account.user, self.account.password, methods=methods)
            try:
                reply = await session.ask(real_path, ".")
                assert reply.names[0][0] == "/"
                await work(session)
            finally:
                await session.close()

        try:
            asyncio.run(whole())
        except (OSError, asyncio.IncompleteReadError, asyncssh.Error) as error:
            raise ClientFailed(repr(error)) from error

    async def fetch(self, session: Packets, remote: str, local: Path, start: int = 0) -> None:
        facts = await session.facts(remote)
        assert facts is not None
        handle = (await session.ask(wire.open_file, remote, READ)).handle
        data = await session.read(handle, start, facts["size"])
        await session.ok(wire.close, handle)
        with local.open("ab" if start else "wb") as sink:
            sink.write(data)
        os.utime(local, (facts["mtime"], facts["mtime"]))

    def get(self, remote: str, local: Path) -> None:
        """OPEN 1, 16 READs of 32 KiB under way"""
        self.do(lambda session: self.fetch(session, remote, local))

    def resume_get(self, remote: str, local: Path) -> None:
        """READ from the size on"""
        self.do(lambda session: self.fetch(session, remote, local, local.stat().st_size))

    def get_with_time(self, remote: str, local: Path) -> None:
        """from STAT"""
        self.get(remote, local)

    def password(self) -> None:
        """yes"""
        self.do(self._nothing)

    def keyboard_interactive(self) -> None:
        """yes"""
        self.do(self._nothing, methods="keyboard-interactive")

    async def _nothing(self, session: Packets) -> None:
        assert await session.facts("/") is not None

    async def send(self, session: Packets, local: Path, remote: str) -> None:
        raise AssertionError

    async def send_tree(self, session: Packets, local: Path, remote: str) -> None:
        for directory, _, files in os.walk(local):
            there = remote + directory.removeprefix(str(local))
            await session.ok(make_directory, there)
            for name in files:
                await self.send(session, Path(directory, name), f"{there}/{name}")

    async def fetch_tree(self, session: Packets, remote: str, local: Path) -> None:
        local.mkdir()
        handle = (await session.ask(open_directory, remote)).handle
        entries: list[tuple[str, str, dict[str, int]]] = []
        while (page := await session.ask(read_directory, handle)).kind == 104:
            entries += page.names
        await session.ok(wire.close, handle)
        for name, _, facts in entries:
            if name in (".", ".."):
                continue
            step = self.fetch_tree if facts["mode"] & 0o40000 else self.fetch
            await step(session, f"{remote}/{name}", local / name)


class WinScp(_Replay):
    name = "WinSCP (replay)"

    async def send(self, session: Packets, local: Path, remote: str) -> None:
        """As it transfers a file: from 100 KiB on under another name, which is resumed where it is there."""
        data, at = local.read_bytes(), int(local.stat().st_mtime)
        there = (await session.ask(lstat, remote)).kind == 105
        if len(data) < 100 * 1024:
            handle = (await session.ask(wire.open_file, remote, WRITE | CREATE | TRUNCATE)).handle
            await session.write(handle, data, 0)
            await session.ok(wire.close, handle)
        else:
            part = remote + ".filepart"
            found = await session.facts(part)
            start = found["size"] if found else 0
            handle = (await session.ask(wire.open_file, part, WRITE | CREATE | (0 if found else TRUNCATE))).handle
            await session.write(handle, data[start:], start)
            await session.ok(wire.close, handle)
            if there:
                await session.ok(remove, remote)
            await session.ok(rename, part, remote)
        await session.ok(set_stat, remote, wire.attributes(mode=0o100644, times=(at, at)))

    def put(self, local: Path, remote: str) -> None:
        """from 100 KiB on as `NAME.filepart`, CLOSE, REMOVE, RENAME, SETSTAT"""
        self.do(lambda session: self.send(session, local, remote))

    def put_tree(self, local: Path, remote: str) -> None:
        """MKDIR, and each file so"""
        self.do(lambda session: self.send_tree(session, local, remote))

    def get_tree(self, remote: str, local: Path) -> None:
        """READDIR, and each file so"""
        self.do(lambda session: self.fetch_tree(session, remote, local))

    def rename_over(self, old: str, new: str) -> None:
        """REMOVE, RENAME"""

        async def work(session: Packets) -> None:
            await session.ok(remove, new)
            await session.ok(rename, old, new)

        self.do(work)

    def resume_put(self, local: Path, remote: str) -> None:
        """STAT `.filepart`, OPEN 10, WRITE from there on"""
        self.put(local, remote)

    def put_with_time(self, local: Path, remote: str) -> None:
        """always, by SETSTAT"""
        self.put(local, remote)


class Cyberduck(_Replay):
    name = "Cyberduck (replay)"

    async def send(self, session: Packets, local: Path, remote: str) -> None:
        await session.ask(stat, remote)
        handle = (await session.ask(wire.open_file, remote, WRITE | CREATE | TRUNCATE)).handle
        await session.write(handle, local.read_bytes(), 0)
        await session.ok(wire.close, handle)
        await session.ok(set_stat, remote, wire.attributes(mode=0o100644))

    def put(self, local: Path, remote: str) -> None:
        """OPEN 26, 32 WRITEs of 32 KiB under way, CLOSE, SETSTAT"""
        self.do(lambda session: self.send(session, local, remote))

    def overwrite(self, local: Path, remote: str) -> None:
        """by a temporary name, which is renamed over it"""

        async def work(session: Packets) -> None:
            await self.send(session, local, remote + "-5b3c9d0e")
            await session.ok(remove, remote)
            await session.ok(rename, remote + "-5b3c9d0e", remote)

        self.do(work)

    def put_tree(self, local: Path, remote: str) -> None:
        """MKDIR, and each file so"""
        self.do(lambda session: self.send_tree(session, local, remote))

    def get_tree(self, remote: str, local: Path) -> None:
        """READDIR, and each file so"""
        self.do(lambda session: self.fetch_tree(session, remote, local))

    def rename_over(self, old: str, new: str) -> None:
        """REMOVE, RENAME"""

        async def work(session: Packets) -> None:
            await session.ok(remove, new)
            await session.ok(rename, old, new)

        self.do(work)

    def resume_put(self, local: Path, remote: str) -> None:
        """OPEN 2, WRITE from the size on"""

        async def work(session: Packets) -> None:
            facts = await session.facts(remote)
            assert facts is not None
            handle = (await session.ask(wire.open_file, remote, WRITE)).handle
            await session.write(handle, local.read_bytes()[facts["size"] :], facts["size"])
            await session.ok(wire.close, handle)

        self.do(work)

    def put_with_time(self, local: Path, remote: str) -> None:
        """SETSTAT after it"""

        async def work(session: Packets) -> None:
            await self.send(session, local, remote)
            at = int(local.stat().st_mtime)
            await session.ok(set_stat, remote, wire.attributes(times=(at, at)))

        self.do(work)

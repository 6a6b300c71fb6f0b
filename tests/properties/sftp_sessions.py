"""Two cases behind one gateway's receive path, and sessions of their customers: bytes in, bytes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
import itertools
from pathlib import Path
import struct

import asyncssh

from eft.domain.actor import Actor
from eft.domain.upload import Completeness, Source
from eft.sftp_temp.door import SftpDoor
from eft.sftp_temp.operations import Operations
from eft.sftp_temp.session import SftpSession
from eft.sftp_temp.settings import SftpSettings
from eft.transfers import Directory, Transfers
from tests.contract.receive_path.conftest import Site, intent, opened_site
from tests.properties.sftp_model import HANDLES
from tests.unit.sftp import wire
from tests.unit.sftp.doors import PASSWORD, keys
from tests.unit.sftp.fakes import FakeAccounts, FakeChannel, FakeHost, FakeKeys
from tests.unit.sftp.wire import Reply

PATIENCE_S = 60


class Session:
    """One channel of one customer."""

    def __init__(self, world: World, case_id: str) -> None:
        self._host, self._channel = FakeHost(), FakeChannel()
        settings = SftpSettings(host_keys=(), handles_per_session=HANDLES)
        actor = Actor(f"sftp:{case_id}", "192.0.2.1")

        def operations() -> Operations:
            return Operations(case_id=case_id, actor=actor, directory=world.directory, clock=world.site.clock, settings=settings)

        self._session = self._channel.session = SftpSession(self._host, operations)
        self._session.connection_made(self._channel)
        self._ids = itertools.count(1)
        self.heard = bytearray()
        """All that the customer was told."""

    async def hello(self) -> Session:
        self._channel.deliver(wire.INIT)
        assert [reply.kind for reply in await self._replies()] == [2]
        return self

    async def ask(self, kind: int, *fields: bytes) -> Reply:
        """The one answer to one request."""
        identifier = next(self._ids)
        self._channel.deliver(wire.packet(kind, identifier, *fields))
        (reply,) = await self._replies()
        assert reply.id == identifier
        assert not self._host.disconnected
        return reply

    async def close(self) -> None:
        """The connection is gone, without a word."""
        self._session.connection_lost(None)
        await self._idle()
        assert self._host.ended == 1

    async def _idle(self) -> None:
        await asyncio.sleep(0)
        while self._host.tasks:
            _, late = await asyncio.wait(set(self._host.tasks), timeout=PATIENCE_S)
            assert not late
            await asyncio.sleep(0)

    async def _replies(self) -> list[Reply]:
        await self._idle()
        for _ in range(3):  # what is sent when the loop has nothing else to do
            await asyncio.sleep(0)
        data = bytes(self._channel.written)
        self._channel.written.clear()
        self.heard += data
        return wire.replies(data)


class Connection(asyncssh.SSHClientSession[bytes]):
    """The same as a session, over a connection of its own through a door."""

    def __init__(self, door: SftpDoor, case_id: str) -> None:
        self._door, self._case_id = door, case_id
        self._ids = itertools.count(1)
        self._some = asyncio.Event()
        self._pending = bytearray()
        self.heard = bytearray()

    async def hello(self) -> Connection:
        told = {"username": self._case_id, "password": PASSWORD, "known_hosts": None, "client_keys": None, "config": None}
        self._ssh = await asyncssh.connect("127.0.0.1", self._door.port, **told)
        self._channel, _ = await self._ssh.create_session(lambda: self, subsystem="sftp", encoding=None)
        self._channel.write(wire.INIT)
        assert (await self._reply()).kind == 2
        return self

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.heard += data
        self._pending += data
        self._some.set()

    async def ask(self, kind: int, *fields: bytes) -> Reply:
        """The one answer to one request."""
        identifier = next(self._ids)
        self._channel.write(wire.packet(kind, identifier, *fields))
        reply = await self._reply()
        assert reply.id == identifier
        assert not self._pending
        return reply

    async def close(self) -> None:
        """The connection is gone, without a word, and the door has noticed."""
        left = self._door.connections
        self._ssh.abort()
        for _ in range(PATIENCE_S * 100):
            if self._door.connections < left and not self._door._tasks:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(self._door.connections)

    async def _reply(self) -> Reply:
        while len(self._pending) < 4 or len(self._pending) < 4 + struct.unpack_from(">I", self._pending)[0]:
            self._some.clear()
            await asyncio.wait_for(self._some.wait(), PATIENCE_S)
        end = 4 + struct.unpack_from(">I", self._pending)[0]
        (reply,) = wire.replies(bytes(self._pending[:end]))
        del self._pending[:end]
        return reply


@dataclass
class World:
    """One region for many examples, which have cases of their own in it."""

    site: Site
    transfers: Transfers
    directory: Directory
    numbers: itertools.count[int]
    door: SftpDoor | None = None

    async def new_case(self, secret: bytes) -> str:
        """A case with one file from support, `hello`."""
        case_id = f"P-{next(self.numbers)}"
        await self.site.open_case(case_id)
        reception = await self.transfers.begin(case_id, intent("hello", source=Source.SUPPORT, length=len(secret)))
        reception.offer(secret)
        assert await reception.finish(Completeness.DECLARED)
        if self.door is not None:
            assert isinstance(self.door.accounts, FakeAccounts)
            self.door.accounts.add(case_id, PASSWORD, case_id)
        return case_id

    async def session(self, case_id: str) -> Session | Connection:
        """One of a customer of the case."""
        if self.door is None:
            return await Session(self, case_id).hello()
        return await Connection(self.door, case_id).hello()

    async def tree(self, case_id: str, path: str = "") -> dict[str, int | None]:
        """Every path below `path`, as the customer of the case would see it, with its size; None for directories."""
        found: dict[str, int | None] = {}
        for entry in await self.directory.list(case_id, path):
            found[entry.path] = None if entry.is_directory else entry.size
            if entry.is_directory:
                found |= await self.tree(case_id, entry.path)
        return found

    async def content(self, case_id: str, path: str) -> bytes:
        content = await self.directory.open_read(case_id, path)
        try:
            return bytes(await content.read(0, content.size))
        finally:
            content.close()

    async def pass_time(self, seconds: float) -> None:
        self.site.clock.advance(seconds=seconds)
        await self.transfers.tick()


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    async with opened_site(directory) as site:
        transfers = await site.worker()
        yield World(site, transfers, site.directory_of(transfers), itertools.count(1))


@asynccontextmanager
async def world_behind_a_door(directory: Path) -> AsyncIterator[World]:
    """The same, with sessions over SSH."""
    async with world(directory) as made:
        settings = SftpSettings(host_keys=keys(), handles_per_session=HANDLES, unauthenticated_per_address=500)
        accounts = FakeAccounts(made.site.clock)  # type: ignore[arg-type]
        registered = FakeKeys(accounts)
        door = SftpDoor(directory=made.directory, accounts=accounts, keys=registered, clock=made.site.clock, settings=settings)
        await door.start()
        made.door = door
        try:
            yield made
        finally:
            await door.stop()


def status(reply: Reply) -> int | None:
    """The code of a STATUS; None where the answer is another, a good one."""
    return struct.unpack_from(">I", reply.body)[0] if reply.kind == 101 else None

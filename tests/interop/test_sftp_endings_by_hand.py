"""The endings of a session, made by the libraries that let a program make them: what was answered is kept, what was not closed is
no file, and half a request never happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import itertools
from pathlib import Path
import random
import shutil
import socket
import struct
import time
from typing import Any

import paramiko
import pytest

from tests.fixtures.gateway import Gateway
from tests.interop.sftp_matrix.checks import World
from tests.interop.sftp_matrix.libraries import AsyncSsh, Paramiko
from tests.interop.sftp_matrix.replays import CREATE, TRUNCATE, WRITE, Packets
from tests.unit.sftp import wire

pytestmark = pytest.mark.timeout(180)

DATA = random.Random(4).randbytes(500_000)
RESET = struct.pack("ii", 1, 0)
PATIENCE_S = 60
SETTLED_S = 1.0


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("by-hand") / "eft", settings="[uploads]\nsettle_s = 0.3\nsettle_suspicious_s = 600\n")
    made.start()
    yield made
    made.stop()
    shutil.rmtree(made.directory, ignore_errors=True)


def is_kept(world: World, name: str, size: int) -> None:
    """So many bytes of it rest at the gateway, and none of them is shown as a file."""
    until = time.monotonic() + PATIENCE_S
    rested = 0.0
    while rested < SETTLED_S:
        assert world.gateway.attachments(world.case) == []
        found = [(item["state"], item["offset"]) for item in world.unfinished() if item["name"] == name]
        rested = rested + 0.1 if found == [("receiving", size)] else 0.0
        assert time.monotonic() < until, found
        time.sleep(0.1)


# asyncssh


@contextlib.asynccontextmanager
async def packets(world: World) -> AsyncIterator[Packets]:
    session = await Packets.open(world.account.port, world.account.user, world.account.password)
    try:
        yield session
    finally:
        session.connection.abort()


def _closes_the_channel(session: Packets) -> None:
    session.process.channel.close()


def _ends_the_channel(session: Packets) -> None:
    session.process.channel.write_eof()


def _says_goodbye(session: Packets) -> None:
    session.connection.close()


def _hangs_up(session: Packets) -> None:
    session.connection.get_extra_info("socket").shutdown(socket.SHUT_WR)


def _resets(session: Packets) -> None:
    session.connection.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    session.connection.abort()


BY_PACKETS = {
    "channel-close": _closes_the_channel,
    "channel-eof": _ends_the_channel,
    "goodbye": _says_goodbye,
    "end-of-connection": _hangs_up,
    "reset": _resets,
}


async def test_what_was_answered_is_kept_and_half_a_request_is_nothing(gateway: Gateway, tmp_path: Path) -> None:
    every = itertools.product(BY_PACKETS, ("write", "close", "nothing"))
    worlds = {pair: await asyncio.to_thread(World, gateway, AsyncSsh, tmp_path / "-".join(pair)) for pair in every}
    await asyncio.gather(*(_ends_early(world, *pair) for pair, world in worlds.items()))


async def _ends_early(world: World, ending: str, half: str) -> None:
    async with packets(world) as session:
        handle = (await session.ask(wire.open_file, "/a", WRITE | CREATE | TRUNCATE)).handle
        await session.write(handle, DATA, 0)
        match half:
            case "write":
                session.process.stdin.write(wire.write(900, handle, len(DATA), bytes(32_768))[:-1])
            case "close":
                session.process.stdin.write(wire.close(900, handle)[:-1])
        await asyncio.sleep(0)
        BY_PACKETS[ending](session)
        await asyncio.to_thread(is_kept, world, "a", len(DATA))
    async with packets(world) as session:
        handle = (await session.ask(wire.open_file, "/a", WRITE)).handle
        await session.write(handle, b"the rest", len(DATA))
        await session.ok(wire.close, handle)
    (world.work / "whole").write_bytes(DATA + b"the rest")
    await asyncio.to_thread(world.arrived, ("/a", world.work / "whole"))


async def test_a_close_that_was_answered_makes_a_file_whatever_comes_then(gateway: Gateway, tmp_path: Path) -> None:
    worlds = {ending: await asyncio.to_thread(World, gateway, AsyncSsh, tmp_path / ending) for ending in BY_PACKETS}
    await asyncio.gather(*(_ends_late(world, ending) for ending, world in worlds.items()))


async def _ends_late(world: World, ending: str) -> None:
    async with packets(world) as session:
        handle = (await session.ask(wire.open_file, "/a", WRITE | CREATE | TRUNCATE)).handle
        await session.write(handle, DATA, 0)
        await session.ok(wire.close, handle)
        BY_PACKETS[ending](session)
        (world.work / "whole").write_bytes(DATA)
        await asyncio.to_thread(world.arrived, ("/a", world.work / "whole"))


# paramiko


def _ends_without_close(sftp: paramiko.SFTPClient) -> None:
    sftp.get_channel().shutdown_write()  # type: ignore[union-attr]


def _closes_without_close(sftp: paramiko.SFTPClient) -> None:
    sftp.close()


def _goes_away(sftp: paramiko.SFTPClient) -> None:
    sftp.get_channel().get_transport().close()  # type: ignore[union-attr]


def _is_reset(sftp: paramiko.SFTPClient) -> None:
    sock: Any = sftp.get_channel().get_transport().sock  # type: ignore[union-attr]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


BY_PARAMIKO = (_ends_without_close, _closes_without_close, _goes_away, _is_reset)


def test_paramiko_ends_a_session_with_a_file_open(gateway: Gateway, tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(BY_PARAMIKO)) as pool:
        list(pool.map(lambda end: _ends_by_paramiko(World(gateway, Paramiko, tmp_path / end.__name__), end), BY_PARAMIKO))


def _ends_by_paramiko(world: World, end: Callable[[paramiko.SFTPClient], None]) -> None:
    client = Paramiko(world.work / "client", world.account)
    with contextlib.suppress(Exception), client.opened() as sftp:
        file = sftp.open("/a", "wb")
        file.write(DATA)
        file.flush()
        assert sftp.stat("/a").st_size == len(DATA)
        file.close = lambda: None  # type: ignore[method-assign]
        end(sftp)
    is_kept(world, "a", len(DATA))

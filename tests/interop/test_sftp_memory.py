"""What an SFTP connection costs a gateway in memory (P10): little while nothing happens, and a fixed share while bytes come as
fast as the client can send them, however slowly they are stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
import os
from pathlib import Path
import threading
from typing import Any

import asyncssh
import pytest

from tests.fixtures.gateway import Gateway

CASE = "CS-1"
IDLE_KIB, BUSY_KIB = 256, 4 * 1024
MIB = 1024 * 1024
SIGNING_IN = 4
"""At once: a gateway lets no more than so many hashes wait."""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path / "gateway", settings="[uploads]\nsettle_s = 0.1\nsettle_suspicious_s = 0.1\n")
    await asyncio.to_thread(made.start)
    made.open_case(CASE)
    yield made
    await asyncio.to_thread(made.stop)


class Customers:
    """Connections of one account, each with its SFTP session."""

    def __init__(self, gateway: Gateway) -> None:
        account = gateway.call("POST", f"cases/{CASE}/sftp-account")
        self._told: dict[str, Any] = {
            "port": gateway.sftp_port,
            "username": account["username"],
            "password": account["password"],
            "known_hosts": None,
            "client_keys": None,
            "config": None,
            "login_timeout": 120,
        }
        self._gate = asyncio.Semaphore(SIGNING_IN)

    async def come(self, stack: AsyncExitStack, count: int) -> list[asyncssh.SFTPClient]:
        async def one() -> asyncssh.SFTPClient:
            async with self._gate:
                connection = await stack.enter_async_context(asyncssh.connect("127.0.0.1", **self._told))
                return await connection.start_sftp_client()

        return await asyncio.gather(*(one() for _ in range(count)))


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """The largest resident set of the process while this lasts, in KiB."""
    largest, done = [resident_kib(pid)], threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            largest[0] = max(largest[0], resident_kib(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield largest
    finally:
        done.set()
        thread.join()


async def idle(gateway: Gateway, count: int) -> None:
    (pid,) = gateway.worker_pids()
    customers = Customers(gateway)
    async with AsyncExitStack() as stack:
        for sftp in await customers.come(stack, SIGNING_IN):
            await sftp.listdir("/")
    before = resident_kib(pid)
    async with AsyncExitStack() as stack:
        sessions = await customers.come(stack, count)
        await asyncio.gather(*(sftp.stat("/") for sftp in sessions))
        each = (resident_kib(pid) - before) / count
        assert each <= IDLE_KIB
        for sftp in sessions:  # every one of them is still served
            assert (await sftp.stat("/")).type == asyncssh.FILEXFER_TYPE_DIRECTORY


async def busy(gateway: Gateway, count: int, size: int) -> None:
    (pid,) = gateway.worker_pids()
    customers = Customers(gateway)
    piece = os.urandom(MIB)

    async def send(sftp: asyncssh.SFTPClient, name: str) -> None:
        async with sftp.open(name, "wb", block_size=255 * 1024) as file:
            for _ in range(size // MIB):
                await file.write(piece)
        assert (await sftp.stat(name)).size == size

    async with AsyncExitStack() as stack:  # the threads that store, and what is lent to them
        sessions = await customers.come(stack, SIGNING_IN)
        await asyncio.gather(*(send(sftp, f"/warm-{number}") for number, sftp in enumerate(sessions)))
    async with AsyncExitStack() as stack:
        sessions = await customers.come(stack, count)
        before = resident_kib(pid)
        with watched(pid) as largest:
            await asyncio.gather(*(send(sftp, f"/file-{number}") for number, sftp in enumerate(sessions)))
        each = (largest[0] - before) / count
        assert each <= BUSY_KIB


@pytest.mark.timeout(180)
async def test_idle_connections_cost_little(gateway: Gateway) -> None:
    await idle(gateway, 100)


@pytest.mark.timeout(180)
async def test_a_busy_connection_keeps_to_its_share(gateway: Gateway) -> None:
    await busy(gateway, 12, 16 * MIB)


@pytest.mark.soak
async def test_a_thousand_idle_connections_are_held(gateway: Gateway) -> None:
    await idle(gateway, 1000)


@pytest.mark.soak
async def test_fifty_busy_connections_keep_to_their_share(gateway: Gateway) -> None:
    await busy(gateway, 50, 64 * MIB)

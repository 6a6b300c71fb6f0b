"""Asyncssh's client: uploads, and connects one after the other from several at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncssh

from loadtests.sftp_servers import Target

AT_ONCE = 4


def connect(target: Target) -> Any:
    keys = [str(target.key)] if target.key is not None else None
    return asyncssh.connect(
        "127.0.0.1", target.port, username=target.user, password=target.password, client_keys=keys, known_hosts=None, config=None
    )


def put(target: Target, source: Path, name: str) -> None:
    """One file."""

    async def work() -> None:
        async with connect(target) as connection, connection.start_sftp_client() as sftp:
            await sftp.put(str(source), name)

    asyncio.run(work())


def connect_often(target: Target, count: int) -> None:
    """`count` connections, each up to its SFTP session, four at once."""

    async def one(gate: asyncio.Semaphore) -> None:
        async with gate, connect(target) as connection, connection.start_sftp_client():
            pass

    async def work() -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(one(gate) for _ in range(count)))

    asyncio.run(work())

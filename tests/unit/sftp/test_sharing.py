"""Several workers accept from one socket: here as several doors in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
import errno
import socket
from typing import Any

import asyncssh
import pytest

from eft.sftp_temp import sharing
from eft.sftp_temp.sharing import SharedListener
from tests.unit.sftp.doors import PASSWORD, USER, OpenDoor, opened


@pytest.fixture
def bound() -> Any:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        yield made


@asynccontextmanager
async def doors(bound: socket.socket, count: int) -> AsyncIterator[list[OpenDoor]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(shared=(bound.dup(),))) for _ in range(count)]


def connect(port: int) -> Any:
    return asyncssh.connect("127.0.0.1", port, username=USER, password=PASSWORD, known_hosts=None, client_keys=None, config=None)


async def test_a_session_works_as_at_a_socket_of_its_own(bound: socket.socket) -> None:
    async with doors(bound, 1) as (door,):
        assert door.port == bound.getsockname()[1]
        async with connect(door.port) as connection, connection.start_sftp_client() as sftp:
            async with sftp.open("/a", "wb") as file:
                await file.write(b"hello")
            assert connection.get_extra_info("sockname")[0] == "127.0.0.1"
        assert {actor.address for actor in door.directory.actors} == {"127.0.0.1"}


async def test_connections_that_stay_are_dealt_evenly(bound: socket.socket) -> None:
    async with doors(bound, 2) as both, AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(connect(both[0].port))
        assert sorted(door.door.connections for door in both) in ([3, 5], [4, 4])


async def test_many_at_once_are_let_in_all_of_them(bound: socket.socket) -> None:
    async with doors(bound, 2) as both:
        live = await asyncio.gather(*(connect(both[0].port) for _ in range(30)))
        held = [door.door.connections for door in both]
        assert sum(held) == 30
        assert min(held) >= 10
        for connection in live:
            connection.abort()


async def test_a_worker_that_ends_leaves_what_comes_to_the_others(bound: socket.socket) -> None:
    async with doors(bound, 1) as (stays,):
        async with doors(bound, 1) as (ends,), connect(ends.port):
            pass
        for _ in range(3):
            async with connect(stays.port):
                pass


async def test_who_comes_while_no_worker_is_there_waits_for_the_next(bound: socket.socket) -> None:
    async with doors(bound, 1) as (first,):
        port = first.port
    waiting = asyncio.create_task(connect(port).__aenter__())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    async with doors(bound, 1):
        connection = await asyncio.wait_for(waiting, 5)
        connection.abort()


class Failing:
    """A listening socket whose first accept fails."""

    def __init__(self, plain: socket.socket, error: OSError) -> None:
        self._plain, self._error = plain, [error]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def accept(self) -> tuple[socket.socket, Any]:
        if self._error:
            raise self._error.pop()
        return self._plain.accept()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ECONNABORTED])
async def test_an_accept_that_fails_is_tried_again(bound: socket.socket, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(sharing, "REST_S", 0.05)
    made: list[asyncio.Protocol] = []

    def make() -> asyncio.Protocol:
        made.append(asyncio.Protocol())
        return made[-1]

    listener = SharedListener(Failing(bound, OSError(code, "no")), make, lambda: 0)  # type: ignore[arg-type]
    _, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
    async with asyncio.timeout(5):
        while not made:
            await asyncio.sleep(0.01)
    listener.close()
    listener.close()
    writer.close()

"""What is used of asyncssh that is not public is still there, and still means what it meant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
import inspect
from typing import Any

import asyncssh
import pytest
import uvloop

from eft.sftp_temp.flow import HOLD_S, Flow
from eft.sftp_temp.session import READ_PAUSE
from tests.unit.sftp import wire
from tests.unit.sftp.doors import opened
from tests.unit.sftp.fakes import FakeContent

PUT = 2 | 8 | 16


def test_the_library_is_the_version_that_was_read() -> None:
    assert asyncssh.__version__ == "2.24.1"


def test_asyncssh_still_ignores_a_full_transport() -> None:
    """Where it does not any more, half of flow.py may go."""
    for method in (asyncssh.SSHServerConnection.pause_writing, asyncssh.SSHServerConnection.resume_writing):
        body = inspect.getsource(method)
        assert "Do nothing with this for now" in body


async def hooks_are_asked() -> None:
    async with opened() as door, door.connect():
        (live,) = door.door._connections
        flow = live._flow
        assert isinstance(flow, Flow)
        protocol = flow._transport.get_protocol()
        protocol.pause_writing()
        assert flow.congested
        assert not flow._transport.is_reading()
        protocol.resume_writing()
        assert not flow.congested
        assert flow._transport.is_reading()


async def a_connection_is_held_for_its_sessions() -> None:
    """As long as one of them has enough to do, or the peer does not read; but not for ever."""
    async with opened() as door, door.connect():
        (live,) = door.door._connections
        flow = live._flow
        assert isinstance(flow, Flow)
        one, other = object(), object()
        flow.hold(one)
        flow.hold(other)
        flow.ease(one)
        assert not flow._transport.is_reading()
        flow._pause()
        flow.ease(other)
        flow.ease(other)
        assert not flow._transport.is_reading()
        flow._resume()
        assert flow._transport.is_reading()
        flow.hold(one)
        assert flow._timer is not None
        assert 0 < flow._timer.when() - asyncio.get_running_loop().time() <= HOLD_S + 1
        flow._let_go()
        assert flow._transport.is_reading()


async def last_words_are_read() -> None:
    """By a client that has sent what nobody has read when the end comes."""
    ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    class Client(asyncssh.SSHClient):
        def connection_lost(self, exc: Exception | None) -> None:
            ended.set_result(exc)

    async with opened(farewell_s=0) as door, door.connect(client_factory=Client) as connection:
        (live,) = door.door._connections
        assert live._flow is not None
        live._flow._transport.pause_reading()
        vars(connection)["_transport"].write(bytes(100_000))
        await asyncio.sleep(0.05)
        live.disconnect("The reason.", protocol_error=True)
        assert "The reason." in str(await asyncio.wait_for(ended, 3))


async def a_client_that_asks_for_all_of_a_file_at_once_is_heard() -> None:
    """What it has to say is that it takes more, behind more requests than wait for being carried out: without hearing that, the
    gateway stood still until HOLD_S was over, for each window of the client's."""
    asked = 6 * READ_PAUSE // len(wire.read(1, bytes(4), 0, 1))
    async with opened() as door, door.connect() as connection:
        stored = door.directory.open_read

        async def slow(case_id: str, path: str) -> FakeContent:
            await asyncio.sleep(0.3)
            return await stored(case_id, path)

        door.directory.open_read = slow  # type: ignore[method-assign]
        channel, session = await connection.create_session(Reading, subsystem="sftp", encoding=None, window=64 * 1024)
        channel.write(wire.INIT + wire.open_file(1, "large", PUT) + wire.write(2, (1).to_bytes(4, "big"), 0, bytes(1024)))
        channel.write(wire.close(3, (1).to_bytes(4, "big")) + wire.open_file(4, "large", 1))
        channel.write(b"".join(wire.read(number, (2).to_bytes(4, "big"), 0, 256) for number in range(asked)))
        async with asyncio.timeout(HOLD_S / 2):
            while session.received < asked * 256:
                await asyncio.sleep(0.02)


class Reading(asyncssh.SSHClientSession[bytes]):
    """Counts what it is sent."""

    received = 0

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.received += len(data)


async def who_takes_what_he_is_sent_is_alive_though_his_answers_lie_unread() -> None:
    """paramiko's, behind the READs for all of a file. Whoever takes no more than keepalives is given up."""
    async with opened(keepalive_s=0.3) as door, door.connect() as connection:
        (live,) = door.door._connections
        vars(connection)["send_packet"] = lambda *_, **__: None  # it answers nothing, and reads
        for _ in range(40):
            live._ssh.send_debug("x" * 2048)
            live._ssh.send_debug("x" * 2048)
            await asyncio.sleep(0.05)
        assert door.door._connections, "six keepalives were not answered, and everything was taken"
        await until(lambda: not door.door._connections)


async def what_a_paused_channel_received_is_carried_out_though_the_connection_ends() -> None:
    """asyncssh keeps it for a session that reads on, and forgets it with the connection: a CLOSE may be in it."""
    async with opened() as door, door.connect() as connection:
        channel, _ = await connection.create_session(asyncssh.SSHClientSession, subsystem="sftp", encoding=None)
        channel.write(wire.INIT + wire.open_file(1, "slow", PUT) + wire.open_file(2, "whole", PUT))
        await until(lambda: len(door.directory.receptions) == 2)
        slow, whole = door.directory.receptions
        slow.gate = asyncio.Event()
        pieces = [wire.write(4, (2).to_bytes(4, "big"), 32_768 * number, bytes(32_768)) for number in range(16)]
        channel.write(b"".join((wire.close(3, (1).to_bytes(4, "big")), *pieces, wire.close(5, (2).to_bytes(4, "big")))))
        (live,) = door.door._connections
        await until(lambda: live._flow is not None and bool(live._flow._holders))
        while not any(vars(channel)["_recv_buf"] for channel in vars(live._ssh)["_channels"].values()):
            assert live._flow is not None
            live._flow._let_go()
            await asyncio.sleep(0.01)
        live._flow._let_go()
        await asyncio.sleep(0.1)
        connection.abort()
        live._flow._let_go()
        await until(lambda: not door.door._connections)
        assert not slow.settled
        slow.gate.set()
        await until(lambda: whole.settled is not False)
        assert len(door.directory.files["whole"].data) == 16 * 32_768


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(
    "what",
    [
        hooks_are_asked,
        a_connection_is_held_for_its_sessions,
        last_words_are_read,
        a_client_that_asks_for_all_of_a_file_at_once_is_heard,
        who_takes_what_he_is_sent_is_alive_though_his_answers_lie_unread,
        what_a_paused_channel_received_is_carried_out_though_the_connection_ends,
    ],
)
def test_on_both_event_loops(run: Callable[..., None], what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(what())

"""What is used of asyncssh that is not public is still there, and still means what it meant."""

from __future__ import annotations

import asyncio
import inspect

import asyncssh

from eft.sftp_temp.flow import Flow
from tests.unit.sftp.doors import opened


def test_the_library_is_the_version_that_was_read() -> None:
    assert asyncssh.__version__ == "2.24.1"


def test_asyncssh_still_ignores_a_full_transport() -> None:
    """Where it does not any more, flow.py may go."""
    for method in (asyncssh.SSHServerConnection.pause_writing, asyncssh.SSHServerConnection.resume_writing):
        body = inspect.getsource(method)
        assert "Do nothing with this for now" in body


async def test_a_connection_has_its_transport_where_it_is_looked_for_and_asks_our_hooks() -> None:
    async with opened() as door, door.connect():
        (live,) = door.door._connections
        flow = live._flow
        assert isinstance(flow, Flow)
        assert isinstance(flow._transport, asyncio.Transport)
        protocol = flow._transport.get_protocol()
        protocol.pause_writing()
        assert flow.congested
        assert not flow._transport.is_reading()
        protocol.resume_writing()
        assert not flow.congested
        assert flow._transport.is_reading()

"""What is sent and put off in one turn of a connection, in which order, and in how many writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncssh
import pytest
import uvloop

from eft.sftp_temp import packet_layer
from eft.sftp_temp.turn import GATHERED_BYTES, Turn
from tests.unit.sftp.doors import opened


class Watched:
    """A turn whose writes are kept, and how often it was told that something had failed."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.failures = 0
        self.turn = Turn(asyncio.get_running_loop(), lambda packets: self.writes.append(b"".join(packets)), self._fail)

    def _fail(self) -> None:
        self.failures += 1


async def test_what_a_read_led_to_goes_out_in_one_write_when_it_ends() -> None:
    watched = Watched()
    watched.turn.begin()
    watched.turn.gather(b"a")
    watched.turn.later(lambda: watched.turn.gather(b"c"))
    watched.turn.gather(b"b")
    await asyncio.sleep(0)
    assert watched.writes == []
    watched.turn.end()
    assert watched.writes == [b"abc"]


async def test_where_nothing_is_read_it_goes_out_in_the_next_turn_of_the_loop() -> None:
    watched = Watched()
    watched.turn.gather(b"a")
    watched.turn.later(lambda: watched.turn.gather(b"b"))
    assert watched.writes == []
    await asyncio.sleep(0)
    assert watched.writes == [b"ab"]
    watched.turn.gather(b"c")
    await asyncio.sleep(0)
    assert watched.writes == [b"ab", b"c"]


async def test_work_put_off_by_work_that_was_put_off_belongs_to_the_same_turn() -> None:
    watched = Watched()
    watched.turn.later(lambda: watched.turn.later(lambda: watched.turn.gather(b"a")))
    await asyncio.sleep(0)
    assert watched.writes == [b"a"]


async def test_many_bytes_do_not_wait() -> None:
    watched = Watched()
    watched.turn.begin()
    watched.turn.gather(b"a")
    watched.turn.gather(bytes(GATHERED_BYTES))
    assert watched.writes == [b"a" + bytes(GATHERED_BYTES)]


async def test_work_that_fails_is_told_and_what_was_gathered_is_sent() -> None:
    watched = Watched()
    watched.turn.later(lambda: watched.turn.gather(b"a"))
    watched.turn.later(lambda: [][1])
    await asyncio.sleep(0)
    assert (watched.writes, watched.failures) == ([b"a"], 1)


async def one_session(monkeypatch: pytest.MonkeyPatch, pieces: frozenset[str]) -> tuple[int, int]:
    """Connects, opens a directory and leaves: how many packets the door sent, in how many writes."""
    packets = writes = 0
    flush, gather = Turn.flush, Turn.gather

    def flushing(self: Turn) -> None:
        nonlocal writes
        writes += bool(self._packets)
        flush(self)

    def gathering(self: Turn, packet: bytes | bytearray) -> None:
        nonlocal packets
        packets += 1
        gather(self, packet)

    monkeypatch.setattr(Turn, "flush", flushing)
    monkeypatch.setattr(Turn, "gather", gathering)
    async with opened(packet_pieces=pieces) as door, door.connect() as connection, connection.start_sftp_client() as sftp:
        assert await sftp.listdir("/")
        assert isinstance(connection, asyncssh.SSHClientConnection)
    return packets, writes


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_session_takes_few_packets_and_fewer_writes(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, int]]
) -> None:
    """Each write is a system call that the other end wakes up for: signing in had 20 of them."""
    packets, writes = run(one_session(monkeypatch, packet_layer.PIECES))
    assert writes < packets <= 24
    assert writes <= 18

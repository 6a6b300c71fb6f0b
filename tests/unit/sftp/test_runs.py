"""Small WRITEs that are carried out together: the same bytes, the same replies, as one by one."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import asyncssh
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from eft.domain.errors import StorageFull
from eft.sftp_temp import codec, packet_layer, replies, runs
from eft.sftp_temp.packet_layer import GATHER, PIECES
from tests.unit.sftp import wire
from tests.unit.sftp.doors import opened
from tests.unit.sftp.test_session import PUT, Client

WRITES = st.lists(
    st.tuples(
        st.sampled_from([b"\0\0\0\1", b"\0\0\0\2", b"h", b""]),
        st.sampled_from([0, 0, 0, 0, 1, -1]),  # how far from where the one before it ends
        st.sampled_from([4, 4, 4, 4, 5, 0, 9000]),
        st.sampled_from([b"", b"", b"", b"trailing"]),
    ),
    min_size=1,
    max_size=150,
)


def stream_of(writes: list[tuple[bytes, int, int, bytes]]) -> bytes:
    packets, position = [], 1000
    for number, (handle, gap, size, trailing) in enumerate(writes):
        packet = wire.write(number, handle, position + gap, number.to_bytes(4) * (size // 4) + b"x" * (size % 4))
        packets.append((len(packet) - 4 + len(trailing)).to_bytes(4) + packet[4:] + trailing)
        position += gap + size
    return b"".join(packets)


def fed(data: bytes, cuts: list[int]) -> codec.RequestParser:
    parser = codec.RequestParser()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, stop in itertools.pairwise(edges):
        parser.feed(data[start:stop])
    return parser


def one_by_one(parser: codec.RequestParser) -> list[tuple[bytes, bytes, int, bytes]]:
    found = []
    while isinstance(one := parser.next(), codec.Write):
        found.append((one.id, one.handle, one.offset, b"".join(one.parts)))
    return found


@settings(max_examples=200, deadline=None)
@given(WRITES, st.lists(st.integers(0, 2**20), max_size=6), st.booleans())
def test_runs_and_what_is_left_between_them_are_the_writes_one_by_one(
    writes: list[tuple[bytes, int, int, bytes]], cuts: list[int], as_view: bool
) -> None:
    stream = stream_of(writes)
    expected = one_by_one(fed(stream, cuts))
    assert len(expected) == len(writes)
    parser, found = fed(stream, cuts), []
    while True:
        if (run := parser.run(lambda handle, _: handle != b"h")) is not None:
            assert run.handle != b"h"
            assert 2 <= len(run.ids) <= runs.RUN_WRITES
            assert len(run.data) == len(run.ids) * run.length
            for number, identifier in enumerate(run.ids):
                at = number * run.length
                found.append((identifier, run.handle, run.offset + at, run.data[at : at + run.length]))
            parser.skip(run)
        elif isinstance(one := parser.next(), codec.Write):
            found.append((one.id, one.handle, one.offset, b"".join(one.parts)))
        else:
            break
    assert found == expected
    assert parser.available == 0


def test_a_run_that_is_not_skipped_is_read_one_by_one() -> None:
    parser = fed(stream_of([(b"a", 0, 4, b"")] * 5), [])
    assert parser.run(lambda *_: False) is None
    assert (found := parser.run(lambda *_: True)) is not None
    assert len(found.ids) == 5
    assert len(one_by_one(parser)) == 5


def test_as_many_replies_are_the_replies_one_by_one() -> None:
    identifiers = [number.to_bytes(4) for number in range(5)]
    for count in range(1, 6):
        assert replies.oks(identifiers[:count]) == b"".join(replies.ok(one) for one in identifiers[:count])


@pytest.fixture
async def client() -> Any:
    client = Client()
    await client.hello()
    yield client
    client.session.connection_lost(None)
    await client.host.settle()


def written(handle: bytes, count: int, *, size: int = 100, first: int = 0) -> bytes:
    return b"".join(wire.write(10 + n, handle, n * size, bytes([n]) * size) for n in range(first, count))


def offers_of(client: Client) -> list[int]:
    """Notes how much the file is offered at a time."""
    offered: list[int] = []
    plain = client.reception.offer

    def offer(data: bytes | memoryview) -> None:
        offered.append(len(data))
        plain(data)

    client.reception.offer = offer
    return offered


async def test_small_writes_that_come_together_are_one_offer_and_have_each_its_reply(client: Client) -> None:
    handle = await client.open("a", PUT)
    offered = offers_of(client)
    client.send(written(handle, 150))
    answers = await client.replies()
    assert [(answer.id, answer.code) for answer in answers] == [(10 + n, 0) for n in range(150)]
    assert offered == [6400, 6400, 2200]
    assert bytes(client.directory.files["a"].data) == b"".join(bytes([n]) * 100 for n in range(150))


async def test_what_is_refused_is_refused_to_each_and_what_came_before_it_is_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quota that is reached in the middle."""
    handle = await client.open("a", PUT)
    plain = client.reception.offer

    def offer(data: bytes | memoryview) -> None:
        if client.reception.offset + len(data) > 550:
            raise StorageFull
        plain(data)

    monkeypatch.setattr(client.reception, "offer", offer, raising=False)
    client.send(written(handle, 20))
    answers = await client.replies()
    assert [answer.id for answer in answers] == [10 + n for n in range(20)]
    assert [answer.code == 0 for answer in answers] == [n < 5 for n in range(20)]
    assert len(client.directory.files["a"].data) == 500


async def test_a_writer_that_was_displaced_is_told_so_in_each_reply(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.displaced.set()
    client.send(written(handle, 5))
    assert [answer.code == 0 for answer in await client.replies()] == [False] * 5
    assert not client.directory.files["a"].data


async def test_a_full_reception_is_waited_for_between_two_runs(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.reception.full, client.reception.gate = True, asyncio.Event()
    client.send(written(handle, 150))
    assert len(client.directory.files["a"].data) == 6400
    client.reception.gate.set()
    assert len(await client.replies()) == 150
    assert len(client.directory.files["a"].data) == 15_000


async def test_behind_a_hole_each_write_waits_for_its_turn(client: Client) -> None:
    handle = await client.open("a", PUT)
    client.send(written(handle, 10, first=1))
    assert not await client.replies()
    client.send(wire.write(10, handle, 0, bytes(100)))
    assert sorted(answer.id for answer in await client.replies()) == [10 + n for n in range(10)]
    assert len(client.directory.files["a"].data) == 1000


async def test_where_a_run_goes_over_what_is_there_it_is_written_anew(client: Client) -> None:
    await client.put("a", b"x" * 2000)
    handle = await client.open("a", 2)
    client.send(written(handle, 5))
    assert [answer.code for answer in await client.replies()] == [0] * 5
    data = bytes(client.directory.files["a"].data)
    assert data[:500] == b"".join(bytes([n]) * 100 for n in range(5))


async def test_full_sized_writes_leave_the_same_trace_as_one_by_one(client: Client) -> None:
    """By which a cut put is told: handles.py."""
    handle = await client.open("a", PUT)
    client.send(written(handle, 40, size=2048))
    await client.replies()
    file = client.session._operations._handles.find(handle)
    assert (file._count, file._total, file._largest) == (40, 40 * 2048, 2048)  # type: ignore[union-attr]


@pytest.mark.parametrize("pieces", [PIECES, PIECES - {GATHER}], ids=["gathered", "one by one"])
async def test_small_packets_of_one_read_reach_the_channel_together(
    monkeypatch: pytest.MonkeyPatch, pieces: frozenset[str]
) -> None:
    delivered, content = 0, bytes(range(256)) * 1600
    plain = packet_layer._Receiver._deliver

    def counted(self: Any) -> None:
        nonlocal delivered
        delivered += bool(self._gathered)
        plain(self)

    monkeypatch.setattr(packet_layer._Receiver, "_deliver", counted)
    async with (
        opened(packet_pieces=pieces) as door,
        door.connect(encryption_algs=["aes128-ctr"], mac_algs=["hmac-sha2-256"]) as connection,
        connection.start_sftp_client() as sftp,
    ):
        async with sftp.open("/a", "wb", block_size=4096, max_requests=64) as file:
            await file.write(content)
        async with sftp.open("/a", "rb") as file:
            assert await file.read() == content
    if GATHER in pieces:
        assert 0 < delivered < 70, "a hundred WRITEs"
    else:
        assert not delivered


async def test_what_is_gathered_counts_in_the_window() -> None:
    """A client that sends more than the window holds gets the library's answer, though none of it has been delivered yet."""
    reasons = []
    for pieces in (PIECES, PIECES - {GATHER}, frozenset[str]()):
        ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        class Ending(asyncssh.SSHClient):
            def connection_lost(self, exc: Exception | None, ended: asyncio.Future[Exception | None] = ended) -> None:
                if not ended.done():
                    ended.set_result(exc)

        async with opened(packet_pieces=pieces) as door, door.connect(client_factory=Ending) as connection:
            await connection.start_sftp_client()
            (server,) = (live._ssh for live in door.door._connections)
            (channel,) = vars(server)["_channels"].values()
            channel._recv_window = channel._init_recv_window = 6000
            beginning = (200_000).to_bytes(4)
            connection.send_packet(94, (0).to_bytes(4) + (4000).to_bytes(4) + beginning + bytes(3996))
            connection.send_packet(94, (0).to_bytes(4) + (7000).to_bytes(4) + bytes(7000))
            reasons.append(str(await asyncio.wait_for(ended, 5)))
    assert reasons[0] == reasons[1] == reasons[2]
    assert "Window exceeded" in reasons[0]

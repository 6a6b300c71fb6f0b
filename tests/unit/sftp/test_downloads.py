"""What the audit log is told of the files that a session read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st
import pytest
import pytest_asyncio

from eft.sftp_temp.handles import Served
from tests.unit.sftp import wire
from tests.unit.sftp.fakes import StoredFile
from tests.unit.sftp.test_session import ACTOR, READ, Client

SIZE = 300_000


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    await made.hello()
    made.directory.files["a"] = StoredFile(bytearray(SIZE))
    yield made


def noted(client: Client) -> list[tuple[str, int, bool]]:
    return [line for content in client.directory.contents for line in content.noted]


async def read(client: Client, handle: bytes, *spans: tuple[int, int]) -> None:
    for number, (start, stop) in enumerate(spans):
        await client.ask(wire.read(100 + number, handle, start, stop - start))


@pytest.mark.parametrize(
    ("spans", "told"),
    [
        ([(0, 200_000), (200_000, SIZE)], [(ACTOR.name, SIZE, True)]),
        ([(200_000, SIZE), (0, 200_000)], [(ACTOR.name, SIZE, True)]),
        ([(0, 200_000), (0, 200_000)], [(ACTOR.name, 400_000, False)]),
        ([(100_000, SIZE)], [(ACTOR.name, 200_000, False)]),
        ([(SIZE, SIZE + 10)], []),
        ([], []),
    ],
    ids=["in order", "out of order", "twice the same", "the end alone", "past the end", "opened alone"],
)
async def test_one_line_for_a_file_that_was_read(
    client: Client, spans: list[tuple[int, int]], told: list[tuple[str, int, bool]]
) -> None:
    handle = await client.open("a", READ)
    await read(client, handle, *spans)
    assert noted(client) == []
    assert (await client.ask(wire.close(9, handle))).code == 0
    await client.host.settle()
    assert noted(client) == told


async def test_reading_an_empty_file_is_reading_it(client: Client) -> None:
    client.directory.files["a"] = StoredFile(bytearray())
    handle = await client.open("a", READ)
    await read(client, handle, (0, 100))
    await client.ask(wire.close(9, handle))
    await client.host.settle()
    assert noted(client) == [(ACTOR.name, 0, True)]


async def test_listing_and_stat_and_digests_are_no_downloads(client: Client) -> None:
    await client.ask(wire.packet(17, 1, wire.string("a")))
    handle = await client.open("a", READ)
    await client.ask(wire.packet(8, 2, wire.string(handle)))
    await client.ask(wire.close(3, handle))
    await client.host.settle()
    assert noted(client) == []


async def test_a_session_that_ends_without_a_close_is_told_of_too(client: Client) -> None:
    handle = await client.open("a", READ)
    await read(client, handle, (0, 1000))
    client.session.connection_lost(None)
    await client.host.settle()
    assert noted(client) == [(ACTOR.name, 1000, False)]


async def test_closing_does_not_wait_for_the_line_and_the_sessions_end_does(client: Client) -> None:
    handle = await client.open("a", READ)
    await read(client, handle, (0, 1000))
    written = asyncio.Event()
    content = client.directory.contents[0]

    async def slow(*told: object) -> None:
        await written.wait()
        content.noted.append(told)  # type: ignore[arg-type]

    content.note_read = slow  # type: ignore[method-assign]
    assert (await client.ask(wire.close(9, handle))).code == 0
    assert noted(client) == []
    client.session.connection_lost(None)
    await client.host.settle()
    assert not client.host.ended
    written.set()
    await client.host.settle()
    assert client.host.ended
    assert len(noted(client)) == 1


async def test_a_line_that_cannot_be_written_ends_nothing(client: Client) -> None:
    handle = await client.open("a", READ)
    await read(client, handle, (0, 1000))

    async def fails(*_: object) -> None:
        raise OSError("no database")

    client.directory.contents[0].note_read = fails  # type: ignore[method-assign]
    assert (await client.ask(wire.close(9, handle))).code == 0
    await client.open("a", READ)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=30))
def test_what_is_called_all_was_all(pieces: list[tuple[int, int]]) -> None:
    served, given_out = Served(), set[int]()
    for start, length in pieces:
        served.add(start, start + length)
        given_out |= set(range(start, start + length))
    contiguous = next(at for at in range(50) if at not in given_out)
    assert served.until == contiguous
    assert served.size == sum(length for _, length in pieces)

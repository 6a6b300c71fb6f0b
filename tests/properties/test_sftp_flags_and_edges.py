"""Requests at the edges of the draft: every combination of OPEN's flags, offsets at the ends of 64 bits, handles of others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.properties.sftp_model import APPEND, CREATE, EXCLUSIVE, READ, TRUNCATE, WRITE
from tests.properties.sftp_sessions import Session, World, status, world
from tests.unit.sftp import wire

OK, END, NO_SUCH_FILE, DENIED, FAILURE = range(5)
FIRST = b"12345"


class Customer:
    """Two sessions of one customer, and requests that are read by their field names."""

    def __init__(self, region: World, case_id: str, sessions: tuple[Session, Session]) -> None:
        self.region, self.case_id, self.sessions = region, case_id, sessions

    async def open(self, path: str, flags: int) -> wire.Reply:
        return await self.sessions[0].ask(3, wire.string(path), wire.u32(flags), wire.NO_ATTRIBUTES)

    async def write(self, handle: bytes, offset: int, data: bytes, *, session: int = 0) -> int | None:
        return status(await self.sessions[session].ask(6, wire.string(handle), wire.u64(offset), wire.string(data)))

    async def read(self, handle: bytes, offset: int, length: int, *, session: int = 0) -> bytes | int:
        reply = await self.sessions[session].ask(5, wire.string(handle), wire.u64(offset), wire.u32(length))
        return reply.data if reply.kind == 103 else reply.code

    async def close(self, handle: bytes, *, session: int = 0) -> int | None:
        return status(await self.sessions[session].ask(4, wire.string(handle)))

    async def size(self, handle: bytes) -> int:
        return (await self.sessions[0].ask(8, wire.string(handle))).facts["size"]

    async def put(self, path: str, data: bytes) -> None:
        handle = (await self.open(path, WRITE | CREATE | TRUNCATE)).handle
        assert await self.write(handle, 0, data) == OK
        assert await self.close(handle) == OK

    async def content(self, path: str) -> bytes:
        return await self.region.content(self.case_id, path)


@pytest_asyncio.fixture
async def customer(tmp_path: Path) -> AsyncIterator[Customer]:
    async with world(tmp_path) as region:
        case_id = await region.new_case(b"from support")
        yield Customer(region, case_id, (await Session(region, case_id).hello(), await Session(region, case_id).hello()))


def told(flags: int, *, there: bool) -> int | None:
    """How an OPEN is answered; None: with a handle. To read alone creates nothing, and neither cuts nor excludes anything."""
    if not flags & (READ | WRITE | APPEND):
        return DENIED
    if not there:
        return None if flags & CREATE and flags & (WRITE | APPEND) else NO_SUCH_FILE
    return FAILURE if flags & (WRITE | APPEND) and flags & CREATE and flags & EXCLUSIVE else None


def left(flags: int, before: bytes) -> bytes:
    """What the file has after `ab` was written at its beginning."""
    if not flags & (WRITE | APPEND):
        return before
    kept = b"" if flags & TRUNCATE else before
    return kept + b"ab" if flags & APPEND else b"ab" + kept[2:]


@pytest.mark.parametrize("there", [False, True])
async def test_every_combination_of_flags(customer: Customer, there: bool) -> None:
    for flags in range(64):
        path = f"f{flags}"
        before = FIRST if there else b""
        if there:
            await customer.put(path, FIRST)
        reply = await customer.open(path, flags)
        assert status(reply) == told(flags, there=there), flags
        if status(reply) is not None:
            continue
        handle = reply.handle
        assert await customer.write(handle, 0, b"ab") == (OK if flags & (WRITE | APPEND) else DENIED), flags
        expected = left(flags, before)
        assert await customer.read(handle, 0, 100) == (expected if flags & READ else DENIED), flags
        assert await customer.close(handle) == OK
        assert await customer.content(path) == expected, flags


async def test_reads_at_the_edges(customer: Customer) -> None:
    await customer.put("a", FIRST)
    handle = (await customer.open("a", READ)).handle
    for offset, length, expected in (
        (0, 0, b""),
        (0, 2**32 - 1, FIRST),
        (4, 100, b"5"),
        (5, 0, END),
        (5, 1, END),
        (2**63 - 1, 5, END),
        (2**63, 5, END),
        (2**64 - 1, 2**32 - 1, END),
    ):
        assert await customer.read(handle, offset, length) == expected, (offset, length)


async def test_writes_over_and_behind_and_of_nothing(customer: Customer) -> None:
    handle = (await customer.open("a", WRITE | CREATE | TRUNCATE)).handle
    for offset, data, size in (
        (0, b"", 0),
        (0, b"hello", 5),
        (3, b"LO!", 6),
        (0, b"J", 6),
        (6, b"tail", 10),
        (100, b"", 10),
        (2**64 - 1, b"", 10),
        (10, b"!", 11),
    ):
        assert await customer.write(handle, offset, data) == OK
        assert await customer.size(handle) == size
    assert await customer.close(handle) == OK
    assert await customer.content("a") == b"JelLO!tail!"


@pytest.mark.parametrize("offset", [2**40, 2**63 - 1, 2**63, 2**64 - 4, 2**64 - 1])
async def test_a_write_out_of_all_bounds_spoils_its_file_alone(customer: Customer, offset: int) -> None:
    far, near = [(await customer.open(name, WRITE | CREATE | TRUNCATE)).handle for name in ("far", "near")]
    assert await customer.write(far, offset, b"abcd") == DENIED
    assert await customer.write(near, 0, b"abcd") == OK
    assert await customer.close(far) == DENIED
    assert await customer.close(near) == OK
    tree = await customer.region.tree(customer.case_id)
    assert {path: size for path, size in tree.items() if path in ("near", "far")} == {"near": 4}


async def test_a_handle_is_good_until_its_close_and_for_its_session_alone(customer: Customer) -> None:
    handle = (await customer.open("a", READ | WRITE | CREATE)).handle
    for ask in (
        customer.write(handle, 0, b"x", session=1),
        customer.read(handle, 0, 1, session=1),
        customer.close(handle, session=1),
    ):
        assert await ask == DENIED
    assert await customer.write(handle, 0, b"abc") == OK
    assert await customer.close(handle) == OK
    for ask in (customer.write(handle, 3, b"x"), customer.read(handle, 0, 1), customer.close(handle)):
        assert await ask == DENIED
    assert await customer.content("a") == b"abc"

"""Files whose names change while they are open: what the state machine of test_sftp_confinement.py found, story by story."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.properties.sftp_model import APPEND, CREATE, READ, TRUNCATE, WRITE
from tests.properties.sftp_sessions import Session, World, status, world
from tests.unit.sftp import wire


class Customer:
    """Two sessions of one customer."""

    def __init__(self, region: World, case_id: str, sessions: tuple[Session, Session]) -> None:
        self.region, self.case_id, self.sessions = region, case_id, sessions

    async def open(self, session: int, path: str, flags: int) -> bytes:
        return (await self.sessions[session].ask(3, wire.string(path), wire.u32(flags), wire.NO_ATTRIBUTES)).handle

    async def write(self, session: int, handle: bytes, offset: int, data: bytes) -> int | None:
        return status(await self.sessions[session].ask(6, wire.string(handle), wire.u64(offset), wire.string(data)))

    async def close(self, session: int, handle: bytes) -> int | None:
        return status(await self.sessions[session].ask(4, wire.string(handle)))

    async def put(self, session: int, path: str, data: bytes) -> None:
        handle = await self.open(session, path, WRITE | CREATE | TRUNCATE)
        assert await self.write(session, handle, 0, data) == 0
        assert await self.close(session, handle) == 0

    async def rename(self, session: int, old: str, new: str) -> None:
        assert status(await self.sessions[session].ask(18, wire.string(old), wire.string(new))) == 0

    async def cut(self, session: int, handle: bytes, size: int) -> int | None:
        return status(await self.sessions[session].ask(10, wire.string(handle), wire.attributes(size=size)))

    async def stat(self, session: int, path: str) -> int | None:
        """The size; None where there is nothing of that name."""
        reply = await self.sessions[session].ask(17, wire.string(path))
        return None if status(reply) else reply.facts["size"]

    async def files(self) -> dict[str, bytes]:
        tree = await self.region.tree(self.case_id)
        names = [
            path for path, size in tree.items() if size is not None and path.split("/")[0] not in ("from-support", "receipts")
        ]
        return {path: await self.region.content(self.case_id, path) for path in names}


@pytest_asyncio.fixture
async def customer(tmp_path: Path) -> AsyncIterator[Customer]:
    async with world(tmp_path) as region:
        case_id = await region.new_case(b"from support")
        yield Customer(region, case_id, (await Session(region, case_id).hello(), await Session(region, case_id).hello()))


async def test_an_open_file_is_cut_and_read_where_another_session_moved_it_to(customer: Customer) -> None:
    handle = await customer.open(0, "x", READ | WRITE | CREATE)
    await customer.write(0, handle, 0, b"the first file")
    await customer.rename(1, "x", "y")
    await customer.put(1, "x", b"another file of the old name")
    reply = await customer.sessions[0].ask(5, wire.string(handle), wire.u64(0), wire.u32(100))
    assert reply.data == b"the first file"
    assert await customer.cut(0, handle, 9) == 0
    assert await customer.close(0, handle) == 0
    assert await customer.files() == {"x": b"another file of the old name", "y": b"the first"}


@pytest.mark.parametrize("mover", [0, 1])
async def test_a_file_that_is_open_in_a_directory_goes_with_it(customer: Customer, mover: int) -> None:
    for path in ("d", "d/e"):
        await customer.sessions[0].ask(14, wire.string(path), wire.NO_ATTRIBUTES)
    handle = await customer.open(0, "d/e/a", WRITE | CREATE)
    await customer.write(0, handle, 0, b"begun in d")
    await customer.rename(mover, "d", "f")
    assert await customer.stat(0, "d/e/a") is None
    assert await customer.stat(0, "f/e/a") == 10
    assert await customer.cut(0, handle, 5) == 0
    assert await customer.close(0, handle) == 0
    assert await customer.files() == {"f/e/a": b"begun"}


async def test_a_name_means_the_file_that_has_it_now_and_not_one_that_was_removed(customer: Customer) -> None:
    gone = await customer.open(0, "a", WRITE | CREATE)
    await customer.write(0, gone, 0, b"removed while it was open")
    assert status(await customer.sessions[1].ask(13, wire.string("a"))) == 0
    assert await customer.stat(0, "a") is None
    await customer.put(1, "a", b"new")
    assert await customer.stat(0, "a") == 3
    assert await customer.write(0, gone, 25, b"more") != 0
    assert await customer.close(0, gone) != 0
    assert await customer.files() == {"a": b"new"}


@pytest.mark.parametrize("flags", [READ, WRITE, WRITE | APPEND | CREATE])
async def test_a_file_that_was_opened_and_not_written_yet_can_be_opened_by_another(customer: Customer, flags: int) -> None:
    await customer.open(0, "a", WRITE | CREATE)
    assert await customer.stat(1, "a") == 0
    handle = await customer.open(1, "a", flags)
    if flags != READ:
        assert await customer.write(1, handle, 0, b"by the second") == 0
        assert await customer.close(1, handle) == 0
        assert await customer.files() == {"a": b"by the second"}


async def test_a_finished_file_that_was_opened_to_go_on_with_is_read_as_it_is(customer: Customer) -> None:
    await customer.put(0, "a", b"finished")
    await customer.region.pass_time(1000)
    await customer.open(0, "a", WRITE)
    reading = await customer.open(1, "a", READ)
    assert (await customer.sessions[1].ask(5, wire.string(reading), wire.u64(0), wire.u32(100))).data == b"finished"


async def test_a_file_that_was_moved_away_does_not_leave_its_earlier_version_behind(customer: Customer) -> None:
    await customer.put(0, "a", b"first")
    await customer.region.pass_time(1000)
    await customer.put(0, "a", b"second")
    await customer.rename(0, "a", "b")
    assert await customer.files() == {"b": b"second"}
    await customer.region.pass_time(1000)
    assert await customer.files() == {"b": b"second"}


async def test_a_directory_is_not_moved_to_where_its_files_would_have_names_that_are_not_allowed(customer: Customer) -> None:
    for path in ("d", "d/" + "e" * 255):
        await customer.sessions[0].ask(14, wire.string(path), wire.NO_ATTRIBUTES)
    await customer.put(0, f"d/{'e' * 255}/a", b"deep")
    deep = "/".join(["f" * 255] * 3)
    for number in (1, 2, 3):
        await customer.sessions[0].ask(14, wire.string("/".join(["f" * 255] * number)), wire.NO_ATTRIBUTES)
    reply = await customer.sessions[0].ask(18, wire.string("d"), wire.string(f"{deep}/d"))
    assert status(reply) == 3
    assert "longer than 1024 bytes" in reply.message
    assert await customer.files() == {f"d/{'e' * 255}/a": b"deep"}

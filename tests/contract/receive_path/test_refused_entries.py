"""`NAME.refused`: a file that was not taken is told of where its sender looks, and can be removed there."""

from __future__ import annotations

import hashlib

import pytest

from eft.db import uploads
from eft.domain.errors import NotFound, ReadOnly
from eft.domain.upload import UploadState
from eft.transfers import Directory, Transfers
from tests.contract.receive_path.conftest import CUSTOMER, Site

GOOD, BAD = b"what was meant", b"what came"


def sums(content: bytes, name: str = "dump.bin") -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


async def put(directory: Directory, path: str, content: bytes) -> None:
    reception = await directory.open_write("C-1", path, CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(content)
    await reception.settle(5)


async def settle(site: Site, transfers: Transfers) -> None:
    site.clock.advance(seconds=5)
    await transfers.tick()


async def listed(directory: Directory, path: str = "") -> list[str]:
    return [entry.path for entry in await directory.list("C-1", path) if not entry.is_directory]


async def text(directory: Directory, path: str) -> str:
    size = (await directory.stat("C-1", path)).size
    content = await directory.open_read("C-1", path)
    found = await content.read(0, 10_000)
    content.close()
    assert len(found) == size
    return found.decode()


async def refused(site: Site, place: str = "") -> tuple[Transfers, Directory]:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    if place:
        await directory.make("C-1", place.rstrip("/"), CUSTOMER)
    await put(directory, f"{place}dump.bin.sha256", sums(GOOD))
    await put(directory, f"{place}dump.bin", BAD)
    await settle(site, transfers)
    return transfers, directory


@pytest.mark.parametrize("place", ["", "a/"])
async def test_a_refused_file_is_told_of_with_both_digests_and_what_to_do(site: Site, place: str) -> None:
    _, directory = await refused(site, place)
    assert await listed(directory, place.rstrip("/")) == [f"{place}dump.bin.refused", f"{place}dump.bin.sha256"]
    told = await text(directory, f"{place}dump.bin.refused")
    for part in (
        hashlib.sha256(GOOD).hexdigest(),
        hashlib.sha256(BAD).hexdigest(),
        "send dump.bin again",
        "is kept until 2026-12-0",
    ):
        assert part in told
    with pytest.raises(NotFound):
        await directory.stat("C-1", f"{place}dump.bin")


async def test_sending_it_again_as_it_should_be_is_the_end_of_it(site: Site) -> None:
    transfers, directory = await refused(site)
    site.clock.advance(seconds=1)
    await put(directory, "dump.bin", GOOD)
    assert await listed(directory) == ["dump.bin", "dump.bin.sha256"]
    await settle(site, transfers)
    assert await listed(directory) == ["dump.bin", "dump.bin.sha256"]
    with pytest.raises(NotFound):
        await directory.stat("C-1", "dump.bin.refused")


async def test_an_earlier_version_stays_and_the_refused_one_is_told_of(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "dump.bin", b"first")
    await settle(site, transfers)
    site.clock.advance(seconds=1)
    await put(directory, "dump.bin.sha256", sums(GOOD))
    await put(directory, "dump.bin", BAD)
    await settle(site, transfers)
    assert await listed(directory) == ["dump.bin", "dump.bin.refused", "dump.bin.sha256"]
    assert await text(directory, "dump.bin") == "first"


async def test_removing_it_ends_the_refused_upload(site: Site) -> None:
    _, directory = await refused(site)
    identifier = (await directory.stat("C-1", "dump.bin.refused")).upload_id
    assert identifier is not None
    await directory.remove("C-1", "dump.bin.refused", CUSTOMER)
    assert await listed(directory) == ["dump.bin.sha256"]
    row = await site.database.read(lambda conn: uploads.get(conn, identifier))
    assert row is not None
    assert row.state is UploadState.EXPIRED
    with pytest.raises(NotFound):
        await directory.remove("C-1", "dump.bin.refused", CUSTOMER)


async def test_it_can_only_be_read_and_removed(site: Site) -> None:
    _, directory = await refused(site)
    for truncate in (True, False):
        with pytest.raises(ReadOnly):
            await directory.open_write("C-1", "dump.bin.refused", CUSTOMER, create=True, truncate=truncate, exclusive=False)
    with pytest.raises(ReadOnly):
        await directory.rename("C-1", "dump.bin.refused", "dump.bin", CUSTOMER, replace=True)
    with pytest.raises(ReadOnly):
        await directory.touch("C-1", "dump.bin.refused", site.clock.now())


async def test_a_file_that_is_called_so_is_a_file(site: Site) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "dump.bin.refused", b"mine")
    await put(directory, "dump.bin.sha256", sums(GOOD))
    await put(directory, "dump.bin", BAD)
    await settle(site, transfers)
    assert await text(directory, "dump.bin.refused") == "mine"
    await directory.remove("C-1", "dump.bin.refused", CUSTOMER)
    assert "was not taken" in await text(directory, "dump.bin.refused")

"""An upload that was begun at one door goes on at the other (P4)."""

from __future__ import annotations

from collections.abc import Callable
import hashlib

import pytest

from eft.domain.errors import AlreadyExists, Conflict, DigestMismatch, NotFound, WriterDisplaced
from eft.domain.upload import Completeness, Source
from eft.transfers import Directory
from tests.contract.receive_path.conftest import CUSTOMER, Site, intent, read_all

MIB = 1024 * 1024
Noise = Callable[[int], bytes]


async def paths(directory: Directory, path: str = "") -> dict[str, int]:
    return {entry.path: entry.size for entry in await directory.list("C-1", path) if not entry.is_directory}


@pytest.mark.parametrize("first", [100, MIB, 3 * MIB + 17])
async def test_what_a_browser_began_is_finished_by_an_sftp_client(site: Site, noise: Noise, first: int) -> None:
    content = noise(5 * MIB)
    transfers, other = await site.worker(), await site.worker()
    directory = site.directory_of(other)
    browser = await transfers.begin("C-1", intent("logs/dump.bin", length=len(content)))
    browser.offer(content[:first])
    await browser.commit()
    assert await paths(directory, "logs") == {"logs/dump.bin.part": first}
    assert (await directory.stat("C-1", "logs/dump.bin.part")).size == first
    with pytest.raises(NotFound):
        await directory.stat("C-1", "logs/dump.bin")

    client = await directory.open_write("C-1", "logs/dump.bin.part", CUSTOMER, create=True, truncate=False, exclusive=False)
    assert (client.upload_id, client.offset) == (browser.upload_id, first)
    with pytest.raises(WriterDisplaced):
        browser.offer(b"more")
    client.offer(content[first:])
    await client.settle(5)

    (attachment,) = (await other.attachments("C-1", None, 10))[0]
    assert (attachment.name, attachment.completeness) == ("logs/dump.bin", Completeness.DECLARED)
    assert attachment.sha256 == hashlib.sha256(content).hexdigest()
    assert await read_all(other, attachment.id) == content
    assert await paths(directory, "logs") == {"logs/dump.bin": len(content)}


async def test_a_part_that_is_closed_before_its_end_waits_for_the_rest_at_either_door(site: Site, noise: Noise) -> None:
    content = noise(3 * MIB)
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    upload = await transfers.register("C-1", intent("a.bin", length=len(content)))
    client = await directory.open_write("C-1", "a.bin.part", CUSTOMER, create=False, truncate=False, exclusive=False)
    client.offer(content[:MIB])
    await client.settle(5)
    site.clock.advance(seconds=700)
    await transfers.tick()
    assert (await transfers.attachments("C-1", None, 10))[0] == []
    assert await paths(directory) == {"a.bin.part": MIB}

    browser = await transfers.take(upload.id, case_id="C-1")
    assert browser.offset == MIB
    browser.offer(content[MIB:])
    assert await browser.finish(Completeness.DECLARED) is not None
    assert await read_all(transfers, upload.id) == content


async def test_what_an_sftp_client_began_is_finished_by_a_browser(site: Site, noise: Noise) -> None:
    content = noise(3 * MIB)
    transfers, other = await site.worker(), await site.worker()
    client = await site.directory_of(transfers).open_write("C-1", "a.bin", CUSTOMER, create=True, truncate=True, exclusive=False)
    client.offer(content[:MIB])
    await client.commit()
    (begun,) = await other.unfinished("C-1")
    browser = await other.take(begun.id, case_id="C-1")
    assert browser.offset == MIB
    await other.set_length(begun.id, len(content), case_id="C-1")
    browser.offer(content[MIB:])
    attachment = await browser.finish(Completeness.DECLARED)
    assert attachment is not None
    assert attachment.name == "a.bin"
    assert await read_all(other, attachment.id) == content


async def test_a_whole_that_is_not_what_was_declared_is_refused_at_close(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await transfers.register("C-1", intent("a.bin", length=MIB, sha256="0" * 64))
    client = await directory.open_write("C-1", "a.bin.part", CUSTOMER, create=False, truncate=False, exclusive=False)
    client.offer(noise(MIB))
    with pytest.raises(DigestMismatch):
        await client.settle(5)
    assert (await transfers.attachments("C-1", None, 10))[0] == []


async def test_a_file_that_is_really_called_so_comes_first(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    browser = await transfers.register("C-1", intent("a.bin", length=MIB))
    with pytest.raises(AlreadyExists):
        await directory.open_write("C-1", "a.bin.part", CUSTOMER, create=True, truncate=True, exclusive=True)
    client = await directory.open_write("C-1", "a.bin.part", CUSTOMER, create=True, truncate=True, exclusive=False)
    assert client.upload_id != browser.id
    client.offer(noise(10))
    await client.settle(None)
    assert await paths(directory) == {"a.bin.part": 10}
    assert {found.id for found in await transfers.unfinished("C-1")} == {browser.id, client.upload_id}
    await directory.rename("C-1", "a.bin.part", "b.bin", CUSTOMER, replace=False)
    assert await paths(directory) == {"a.bin.part": 0, "b.bin": 10}


async def test_an_unfinished_upload_of_a_browser_takes_no_name_of_a_whole_file(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    browser = await transfers.begin("C-1", intent("a.bin", length=2 * MIB))
    browser.offer(noise(MIB))
    await browser.commit()
    with pytest.raises(Conflict):
        await directory.rename("C-1", "a.bin.part", "a.bin", CUSTOMER, replace=False)
    await directory.rename("C-1", "a.bin.part", "b.bin.part", CUSTOMER, replace=False)
    assert await paths(directory) == {"b.bin.part": MIB}
    browser.offer(noise(MIB))
    attachment = await browser.finish(Completeness.DECLARED)
    assert attachment is not None
    assert attachment.name == "b.bin"


async def test_what_support_is_sending_is_not_shown(site: Site) -> None:
    transfers = await site.worker()
    await transfers.register("C-1", intent("a.bin", length=MIB, source=Source.SUPPORT))
    assert await paths(site.directory_of(transfers)) == {}

"""`/receipts` over SFTP: digests and receipts of what is finished."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from pathlib import Path
import subprocess

import pytest

from eft.domain.errors import Conflict, NotFound, ReadOnly
from eft.domain.upload import Completeness, Source
from eft.transfers import Directory, Transfers
from tests.contract.receive_path.conftest import CUSTOMER, Site, intent

Noise = Callable[[int], bytes]


async def received(transfers: Transfers, name: str, content: bytes, **more: object) -> str:
    reception = await transfers.begin("C-1", intent(name, **more))
    reception.offer(content)
    await reception.finish(Completeness.DECLARED)
    return reception.upload_id


async def text(directory: Directory, path: str) -> bytes:
    size = (await directory.stat("C-1", path)).size
    content = await directory.open_read("C-1", path)
    try:
        found = await content.read(0, 100_000)
    finally:
        content.close()
    assert len(found) == size
    return found


async def listed(directory: Directory, path: str) -> list[str]:
    return [entry.path for entry in await directory.list("C-1", path)]


async def test_each_finished_file_has_its_digest_and_its_receipt(site: Site, noise: Noise, tmp_path: Path) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    first = await received(transfers, "a.log", noise(10))
    await received(transfers, "logs/b.log", noise(50_000))
    await received(transfers, "fix.zip", noise(5), source=Source.SUPPORT)
    await transfers.register("C-1", intent("unfinished", length=5))
    assert await listed(directory, "receipts") == ["receipts/a.log.receipt", "receipts/a.log.sha256", "receipts/logs"]
    assert await listed(directory, "receipts/logs") == ["receipts/logs/b.log.receipt", "receipts/logs/b.log.sha256"]
    assert (await directory.stat("C-1", "receipts/logs")).is_directory
    signed = await text(directory, "receipts/a.log.receipt")
    assert signed == f"C-1 {first} {hashlib.sha256(noise(10)).hexdigest()}".encode()
    (tmp_path / "b.log").write_bytes(noise(50_000))
    (tmp_path / "sums").write_bytes(await text(directory, "receipts/logs/b.log.sha256"))
    subprocess.run(["sha256sum", "-c", "sums"], cwd=tmp_path, check=True)


async def test_an_empty_case_has_an_empty_directory_of_receipts(site: Site) -> None:
    directory = site.directory_of(await site.worker())
    assert await listed(directory, "") == ["from-support", "receipts"]
    assert await listed(directory, "receipts") == []
    for missing in ("receipts/a.log.sha256", "receipts/logs"):
        with pytest.raises(NotFound):
            await directory.stat("C-1", missing)


async def test_nothing_is_written_there(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await received(transfers, "a.log", noise(10))
    for path in ("receipts", "receipts/a.log.sha256", "receipts/new"):
        with pytest.raises(ReadOnly):
            await directory.open_write("C-1", path, CUSTOMER, create=True, truncate=True, exclusive=False)
        with pytest.raises(ReadOnly):
            await directory.remove("C-1", path, CUSTOMER)
        with pytest.raises(ReadOnly):
            await directory.rename("C-1", "a.log", path, CUSTOMER, replace=True)
        with pytest.raises(ReadOnly):
            await directory.make("C-1", path, CUSTOMER)
    with pytest.raises(Conflict):
        await transfers.begin("C-1", intent("receipts/x"))

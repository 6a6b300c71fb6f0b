"""All files of a case as one ZIP: on real storage, and with sizes and counts that need ZIP64."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
import io
from pathlib import Path
import subprocess
from typing import Any
import zipfile

import pytest
import pytest_asyncio

from eft.db import attachments as rows
from eft.domain.actor import Actor
from eft.domain.attachment import Attachment, AttachmentState
from eft.domain.errors import Conflict, Purged
from eft.domain.upload import Completeness, Source
from eft.transfers.archive import Archive, Receipts, plan_archive
from eft.transfers.zip_format import Entry, end, lay_out
from tests.fixtures.services import START, Services, running_services

READER = Actor("token:portal", "192.0.2.9")
GIB = 1024**3


@pytest_asyncio.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with running_services(tmp_path) as made:
        await made.open_case()
        yield made


async def planned(services: Services) -> Archive:
    case = await services.cases.get("C-1")
    receipts = Receipts(
        length=lambda attachment: services.receipts.length(attachment, case),
        of=lambda attachment: services.receipts.of(attachment, case),
    )
    return await plan_archive(services.transfers, case, READER, receipts)


async def zipped(services: Services) -> bytes:
    archive = await planned(services)
    whole = b"".join([piece async for piece in archive.pieces()])
    assert len(whole) == archive.length
    return whole


async def test_an_archive_has_every_file_with_its_digest_and_receipt(services: Services, tmp_path: Path) -> None:
    contents = {"logs/a b.log": b"a" * 100, "日本.bin": bytes(range(256)) * 10_000, "empty": b"", "x": b"x" * 40_000}
    for name, content in contents.items():
        services.clock.advance(timedelta(seconds=1))
        await services.store("C-1", name, content)
    whole = zipfile.ZipFile(io.BytesIO(await zipped(services)))
    assert whole.testzip() is None
    names = list(reversed(contents))
    assert whole.namelist() == [*(f"receipts/{name}.receipt" for name in names), *names, "SHA256SUMS"]
    for name, content in contents.items():
        assert whole.read(name) == content
        assert whole.read(f"receipts/{name}.receipt").count(b".") == 2
        assert f"{sha256(content).hexdigest()}  {name}\n" in whole.read("SHA256SUMS").decode()
    assert whole.getinfo("empty").date_time == (2026, 11, 23, 12, 0, 2)


@pytest.mark.needs("unzip")
@pytest.mark.needs("sha256sum")
async def test_unzip_and_sha256sum_find_nothing_wrong(services: Services, tmp_path: Path) -> None:
    for name in ("a.log", "a.log", "dir/é.bin", "a", "a/b", "SHA256SUMS"):
        services.clock.advance(timedelta(seconds=1))
        await services.store("C-1", name, name.encode() * 50_000)
    file, directory = tmp_path / "case.zip", tmp_path / "out"
    file.write_bytes(await zipped(services))
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    for command in (["unzip", "-tq", file], ["unzip", "-q", "-d", directory, file]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=directory, capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(": OK\n") == 6
    assert {"a.log", "a (version 1).log", "a (version 1)", "a/b", "SHA256SUMS (version 1)"} <= {
        str(path.relative_to(directory)) for path in directory.rglob("*")
    }


@pytest.mark.needs("7zz")
async def test_seven_zip_finds_nothing_wrong(services: Services, tmp_path: Path) -> None:
    await services.store("C-1", "dir/é.bin", b"x" * 3_000_000)
    file = tmp_path / "case.zip"
    file.write_bytes(await zipped(services))
    done = subprocess.run(["7zz", "t", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "Everything is Ok" in done.stdout


async def test_a_case_without_files_has_an_archive_that_says_so(services: Services) -> None:
    whole = zipfile.ZipFile(io.BytesIO(await zipped(services)))
    assert (whole.namelist(), whole.read("SHA256SUMS")) == (["SHA256SUMS"], b"")


async def test_each_file_that_was_given_is_audited(services: Services) -> None:
    ids = [(await services.store("C-1", name, b"x")).id for name in ("one", "two")]
    await zipped(services)
    entries = [entry for entry in await services.audited("C-1") if entry.action == "attachment.download"]
    assert {(entry.subject, entry.actor, str(entry.detail)) for entry in entries} == {
        (each, "token:portal", "{'archive': 'zip'}") for each in ids
    }


async def test_what_is_gone_is_not_in_the_archive(services: Services) -> None:
    await services.store("C-1", "stays", b"s")
    gone = await services.store("C-1", "goes", b"g")
    await services.transfers.delete(gone.id, actor=READER)
    assert "goes" not in zipfile.ZipFile(io.BytesIO(await zipped(services))).namelist()


async def test_a_file_that_goes_while_the_archive_is_made_leaves_no_archive(services: Services) -> None:
    await services.store("C-1", "second", b"s" * 100_000)
    last = await services.store("C-1", "first", b"f" * 5_000_000)
    sent = b""
    with pytest.raises(Purged):
        async for piece in (await planned(services)).pieces():
            sent += piece
            services.clock.advance(timedelta(seconds=10))
            await services.database.write(
                lambda conn: rows.set_state(conn, last.id, AttachmentState.TOMBSTONED, services.clock.now())
            )
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(sent))


async def test_a_receipt_that_changes_while_the_archive_is_made_leaves_no_archive(services: Services) -> None:
    made = await services.store("C-1", "a", b"x")
    archive = await planned(services)
    await services.database.write(lambda conn: rows.dispute(conn, made.id, "f" * 64))
    with pytest.raises(Conflict):
        async for _ in archive.pieces():
            pass


async def test_an_archive_that_nobody_reads_on_lets_go_of_its_file(services: Services) -> None:
    await services.store("C-1", "a", b"x" * 5_000_000)
    archive = await planned(services)
    async with aclosing(archive.pieces()) as pieces:
        await anext(pieces)
        await anext(pieces)
        assert held(services)
    assert not held(services)


def held(services: Services) -> list[Path]:
    """Files below the region's root that this process has open."""
    root = str(services.directory / "root" / "segments")
    return [link for link in Path("/proc/self/fd").iterdir() if link.exists() and str(link.resolve()).startswith(root)]


class FakeTransfers:
    """Files of zeros, which cost nothing."""

    piece = bytes(1024 * 1024)

    def __init__(self, sizes: list[int]) -> None:
        self.files = {
            f"{number:032x}": Attachment(
                id=f"{number:032x}",
                case_id="C-1",
                name=f"{number}.bin",
                size=size,
                sha256="0" * 64,
                source=Source.HTTPS,
                completeness=Completeness.DECLARED,
                state=AttachmentState.AVAILABLE,
                received_at=START,
            )
            for number, size in enumerate(sizes)
        }

    def now(self) -> datetime:
        return START

    async def attachments(self, _: str, cursor: str | None, limit: int) -> tuple[list[Attachment], str | None]:
        first = int(cursor or 0)
        page = list(self.files.values())[first : first + limit]
        return page, str(first + limit) if first + limit < len(self.files) else None

    async def attachment(self, attachment_id: str) -> Attachment:
        return self.files[attachment_id]

    async def give_out(self, attachment: Attachment, start: int, stop: int, **_: object) -> AsyncIterator[bytes]:
        async def zeros() -> AsyncIterator[bytes]:
            for at in range(start, stop, len(self.piece)):
                yield self.piece[: min(len(self.piece), stop - at)]

        return zeros()


async def written(sizes: list[int], file: Path, services: Services) -> None:
    """The archive as a file. Zeros become holes."""
    transfers: Any = FakeTransfers(sizes)
    archive = await plan_archive(transfers, await services.cases.get("C-1"), READER)
    with file.open("wb") as out:
        async for piece in archive.pieces():
            if piece is FakeTransfers.piece:
                out.seek(len(piece), 1)
            else:
                out.write(piece)
        assert out.tell() == archive.length


async def test_a_file_of_more_than_4_gib_and_what_follows_it_are_found(services: Services, tmp_path: Path) -> None:
    sizes = [4 * GIB + 5, 7, 3]
    await written(sizes, tmp_path / "large.zip", services)
    whole = zipfile.ZipFile(tmp_path / "large.zip")
    assert [whole.getinfo(f"{number}.bin").file_size for number in range(3)] == sizes
    assert whole.getinfo("1.bin").header_offset > 4 * GIB
    assert (whole.read("1.bin"), whole.read("2.bin")) == (bytes(7), bytes(3))
    assert whole.read("SHA256SUMS").count(b"\n") == 3


async def test_more_than_65535_files_are_found(services: Services, tmp_path: Path) -> None:
    await written([1] * 65_600, tmp_path / "many.zip", services)
    whole = zipfile.ZipFile(tmp_path / "many.zip")
    assert len(whole.namelist()) == 65_601
    assert whole.read("65599.bin") == b"\0"


@pytest.mark.parametrize("count", [0xFFFE, 0xFFFF, 0x10000])
def test_the_end_of_an_archive_says_how_many_entries_it_has(count: int) -> None:
    entries = [Entry(b"%d" % number, 0, START) for number in range(count)]
    layout = lay_out(entries)
    whole = b"".join(
        [*(entry.head() + entry.tail() for entry in entries), *(entry.listed() for entry in entries), end(entries, layout)]
    )
    assert len(whole) == layout.length
    assert len(zipfile.ZipFile(io.BytesIO(whole)).namelist()) == count


@pytest.mark.parametrize("year", [1969, 1980, 2038, 2107, 2200])
def test_any_time_can_be_written(year: int) -> None:
    entry = Entry(b"a", 0, datetime(year, 1, 2, 3, 4, 6, tzinfo=UTC))
    layout = lay_out([entry])
    whole = entry.head() + entry.tail() + entry.listed() + end([entry], layout)
    told = zipfile.ZipFile(io.BytesIO(whole)).getinfo("a").date_time
    assert told[0] == min(max(year, 1980), 2107)

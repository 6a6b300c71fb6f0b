"""A NAME.sha256 beside NAME, sent over SFTP (DESIGN §4.1)."""

from __future__ import annotations

from collections.abc import Callable
import hashlib

from hypothesis import given
from hypothesis import strategies as st
import pytest

from eft.domain.attachment import Attachment
from eft.domain.upload import Completeness, UploadState
from eft.transfers import Directory, Transfers
from eft.transfers.sidecars import stated_digest
from tests.contract.receive_path.conftest import CUSTOMER, Site, read_all

MIB = 1024 * 1024
Noise = Callable[[int], bytes]


async def put(directory: Directory, path: str, content: bytes) -> str:
    reception = await directory.open_write("C-1", path, CUSTOMER, create=True, truncate=True, exclusive=False)
    reception.offer(content)
    await reception.settle(5)
    return reception.upload_id


async def settle(site: Site, transfers: Transfers) -> None:
    site.clock.advance(seconds=5)
    await transfers.tick()


async def newest(transfers: Transfers, name: str) -> Attachment:
    found = (await transfers.attachments("C-1", None, 100))[0]
    return max((one for one in found if one.name == name), key=lambda one: one.version)


def sums(content: bytes, name: str) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()


@pytest.mark.parametrize("size", [10, 2 * MIB])
@pytest.mark.parametrize("first", ["file", "digest"])
async def test_a_digest_that_agrees_makes_the_file_declared(site: Site, noise: Noise, size: int, first: str) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    files = [("a/dump.bin", noise(size)), ("a/dump.bin.sha256", sums(noise(size), "dump.bin"))]
    await directory.make("C-1", "a", CUSTOMER)
    for path, content in files if first == "file" else reversed(files):
        await put(directory, path, content)
    await settle(site, transfers)
    assert (await newest(transfers, "a/dump.bin")).completeness is Completeness.DECLARED
    assert (await newest(transfers, "a/dump.bin.sha256")).completeness is Completeness.CLOSED


@pytest.mark.parametrize("size", [10, 2 * MIB])
async def test_a_digest_that_disagrees_keeps_the_file_from_being_shown(site: Site, noise: Noise, size: int) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    upload_id = await put(directory, "dump.bin", noise(size))
    await put(directory, "dump.bin.sha256", sums(b"something else", "dump.bin"))
    await settle(site, transfers)
    assert [found.name for found in (await transfers.attachments("C-1", None, 10))[0]] == ["dump.bin.sha256"]
    (refused,) = await transfers.unfinished("C-1")
    assert (refused.id, refused.state) == (upload_id, UploadState.REFUSED)
    assert refused.declared_sha256 == hashlib.sha256(b"something else").hexdigest()
    assert refused.sha256 == hashlib.sha256(noise(size)).hexdigest()
    content = await transfers.content(refused)
    assert await content.read(0, size) == noise(size)
    content.close()


@pytest.mark.parametrize("agrees", [True, False])
async def test_a_digest_that_comes_later_confirms_or_disputes(site: Site, noise: Noise, agrees: bool) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "dump.bin", noise(MIB))
    await settle(site, transfers)
    assert (await newest(transfers, "dump.bin")).completeness is Completeness.CLOSED
    stated = noise(MIB) if agrees else b"something else"
    await put(directory, "dump.bin.sha256", sums(stated, "dump.bin"))
    await settle(site, transfers)
    attachment = await newest(transfers, "dump.bin")
    assert attachment.completeness is (Completeness.DECLARED if agrees else Completeness.CLOSED)
    assert attachment.disputed_sha256 == (None if agrees else hashlib.sha256(stated).hexdigest())
    assert await read_all(transfers, attachment.id) == noise(MIB)


async def test_the_digest_of_an_earlier_version_says_nothing_of_the_next(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "dump.bin", noise(100))
    await put(directory, "dump.bin.sha256", sums(noise(100), "dump.bin"))
    await settle(site, transfers)
    await put(directory, "dump.bin", noise(200))
    await settle(site, transfers)
    assert ((await newest(transfers, "dump.bin")).size, (await newest(transfers, "dump.bin")).version) == (200, 2)
    assert (await newest(transfers, "dump.bin")).completeness is Completeness.CLOSED
    await put(directory, "dump.bin.sha256", sums(noise(200), "dump.bin"))
    await settle(site, transfers)
    assert (await newest(transfers, "dump.bin")).completeness is Completeness.DECLARED


async def test_a_dispute_ends_when_a_right_digest_follows(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    await put(directory, "dump.bin", noise(100))
    await settle(site, transfers)
    for stated in (b"something else", noise(100)):
        await put(directory, "dump.bin.sha256", sums(stated, "dump.bin"))
        await settle(site, transfers)
    attachment = await newest(transfers, "dump.bin")
    assert (attachment.completeness, attachment.disputed_sha256) == (Completeness.DECLARED, None)


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        (HEX, HEX),
        (HEX.upper() + "\r\n", HEX),
        (f"{HEX}  dump.bin\n", HEX),
        (f"{HEX} *dump.bin\n", HEX),
        (f"{HEX}  ./logs/dump.bin\n", HEX),
        (f"{HEX}  C:\\logs\\dump.bin\r\n", HEX),
        (f"SHA256 (dump.bin) = {HEX}\n", HEX),
        (f"\ufeff{HEX}  dump.bin\n", HEX),
        (f"{'1' * 64}  other.bin\n{HEX}  dump.bin\n", HEX),
        (f"{'1' * 64}  other.bin\n", None),
        (HEX[:-1], None),
        (HEX + "0", None),
        ("", None),
        ("-----BEGIN PGP SIGNED MESSAGE-----\n", None),
    ],
)
def test_what_digest_files_look_like(text: str, stated: str | None) -> None:
    assert stated_digest(text.encode(), "logs/dump.bin") == stated


@given(st.binary(max_size=300))
def test_whatever_it_holds_it_is_no_error(content: bytes) -> None:
    stated = stated_digest(content, "dump.bin")
    assert stated is None or len(stated) == 64

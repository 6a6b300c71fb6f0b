"""Bytes that are written anew, as by an editor over sshfs: the later ones count, and nothing else changes (DESIGN §4.2)."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import random

import pytest

from eft.domain.errors import NotSequential, WriterDisplaced
from eft.domain.upload import Completeness, SegmentFacts
from eft.transfers import Reception, Transfers
from eft.transfers.cover import cover, is_plain
from tests.contract.receive_path.conftest import CUSTOMER, Site, die, intent, read_all

MIB = 1024 * 1024
Noise = Callable[[int], bytes]


class Model:
    """What the file should be."""

    def __init__(self) -> None:
        self.bytes = bytearray()

    async def write(self, reception: Reception, offset: int, data: bytes) -> None:
        self.bytes[offset : offset + len(data)] = data
        if offset == reception.offset:
            reception.offer(data)
            await reception.ready()
        else:
            await reception.rewrite(offset, data)
        assert reception.size == len(self.bytes)


async def published(site: Site, transfers: Transfers, reception: Reception) -> bytes:
    await reception.settle(5)
    site.clock.advance(seconds=5)
    await transfers.tick()
    attachment = await transfers.attachment(reception.upload_id)
    content = await read_all(transfers, attachment.id)
    assert attachment.sha256 == hashlib.sha256(content).hexdigest()
    return content


@pytest.mark.parametrize("size", [1, 1000, MIB - 1, 3 * MIB + 5])
async def test_a_header_that_is_written_last(site: Site, noise: Noise, size: int) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent())
    model = Model()
    await model.write(reception, 0, bytes(size))
    await model.write(reception, 0, b"MAGIC"[:size])
    assert await published(site, transfers, reception) == bytes(model.bytes)


async def test_going_on_at_the_end_after_it(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent())
    model = Model()
    await model.write(reception, 0, noise(3 * MIB))
    await model.write(reception, MIB, b"x" * 70_000)
    await model.write(reception, MIB + 70_000, b"y" * 10)
    await model.write(reception, 3 * MIB, noise(2 * MIB))
    await model.write(reception, 3 * MIB - 100, b"z" * 3 * MIB)
    assert await published(site, transfers, reception) == bytes(model.bytes)


@pytest.mark.parametrize("seed", range(12))
async def test_any_writes_anywhere_with_pauses_takeovers_and_deaths(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent())
    model = Model()
    largest = chance.choice([50, 5_000, 300_000, 2 * MIB])
    for _ in range(chance.randrange(5, 40)):
        size = len(model.bytes)
        offset = size if chance.random() < 0.3 else chance.randrange(size + 1)
        await model.write(reception, offset, chance.randbytes(chance.randrange(1, largest)))
        event = chance.random()
        if event < 0.1:
            await reception.commit()
            content = await transfers.content(await transfers.upload(reception.upload_id, case_id="C-1"))
            assert await content.read(0, content.size) == bytes(model.bytes)
            content.close()
        elif event < 0.2:
            await reception.commit()
            transfers = await site.worker()
            former, reception = reception, await transfers.take(reception.upload_id, case_id="C-1")
            assert former.displaced.is_set()
            assert reception.offset == reception.size == len(model.bytes)
        elif event < 0.25:
            await reception.commit()
            die(transfers)
            transfers = await site.worker()
            reception = await transfers.take(reception.upload_id, case_id="C-1")
            assert reception.size == len(model.bytes)
    assert await published(site, transfers, reception) == bytes(model.bytes)
    # And a version of it, by reference, with a change of its own.
    directory = site.directory_of(transfers)
    amended = await directory.open_write("C-1", "dump.bin", CUSTOMER, create=False, truncate=False, exclusive=False)
    assert amended.size == len(model.bytes)
    await model.write(amended, len(model.bytes) // 2, b"in the middle")
    assert await published(site, transfers, amended) == bytes(model.bytes)


async def test_what_was_not_durable_of_a_rewrite_leaves_the_rest_as_it_was(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent())
    reception.offer(noise(3 * MIB))
    await reception.rewrite(MIB, b"x" * 1000)
    assert reception.durable == 3 * MIB
    die(transfers)
    successor = await site.worker()
    again = await successor.take(reception.upload_id, case_id="C-1")
    assert again.offset == 3 * MIB
    attachment = await again.finish(Completeness.DECLARED)
    assert attachment is not None
    assert await read_all(successor, attachment.id) == noise(3 * MIB)


async def test_a_writer_that_is_displaced_while_it_seeks_is_told(site: Site, noise: Noise) -> None:
    transfers, other = await site.worker(), await site.worker()
    reception = await transfers.begin("C-1", intent())
    reception.offer(noise(2 * MIB))
    await reception.rewrite(5, b"five")
    await other.take(reception.upload_id, case_id="C-1")
    with pytest.raises(WriterDisplaced):
        await reception.rewrite(7, b"seven")


async def test_too_many_places_are_refused_with_all_bytes_kept(site: Site, noise: Noise) -> None:
    transfers = await site.worker()
    reception = await transfers.begin("C-1", intent())
    reception.offer(noise(2 * MIB))
    refused = None
    count = 0
    while refused is None:
        try:
            await reception.rewrite(2 * (count % 1000), b"x")
            count += 1
        except NotSequential as error:
            refused = error
    assert count >= 250
    assert "start to end" in refused.remedy
    reader = await transfers.content(await transfers.upload(reception.upload_id, case_id="C-1"))
    assert await reader.read(0, 4) == b"x" + noise(2)[1:] + b"x" + noise(4)[3:]
    reader.close()


def piece(epoch: int, start: int, end: int | None) -> SegmentFacts:
    return SegmentFacts(upload_id="u", epoch=epoch, start=start, end=end, file_upload_id="u", file_epoch=epoch)


@pytest.mark.parametrize("seed", range(200))
def test_the_cover_is_what_writing_in_order_gives(seed: int) -> None:
    chance = random.Random(seed)
    written: dict[int, int] = {}
    segments = []
    size = 0
    for epoch in range(chance.randrange(1, 12)):
        start = chance.randrange(size + 1)
        end = start + chance.randrange(20)
        size = max(size, end)
        segments.append(piece(epoch, start, end))
        written.update(dict.fromkeys(range(start, end), epoch))
    covered = cover(segments)
    assert [byte for found in covered for byte in range(found.start, found.end or 0)] == list(range(size))
    assert {byte: found.epoch for found in covered for byte in range(found.start, found.end or 0)} == written


def test_plain_is_what_was_written_in_order() -> None:
    assert is_plain([piece(1, 0, 5), piece(2, 5, 5), piece(3, 5, 9)])
    assert not is_plain([piece(1, 0, 5), piece(2, 4, 9)])
    assert not is_plain([piece(1, 0, 5), piece(2, 5, None)])

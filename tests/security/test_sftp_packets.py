"""A fuzzer of the SFTP layer: whatever is sent, no crash, no unexpected exception, no leak, and no other case.

Ten million packets come in slices of a few minutes, each from a seed of its own, so that a run can be stopped and gone on with:
`EFT_FUZZ_SLICES=12-39 make soak ARGS=tests/security/test_sftp_packets.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
import gc
import logging
import os
import struct

import pytest

from eft.domain.actor import Actor
from eft.sftp_temp.handles import ReadableFile, WritableFile
from eft.sftp_temp.operations import Operations
from eft.sftp_temp.session import SftpSession
from eft.sftp_temp.settings import SftpSettings
from tests.contract.receive_path.conftest import CUSTOMER, Site
from tests.security.packets import Packets
from tests.unit.sftp import wire
from tests.unit.sftp.fakes import FakeChannel, FakeDirectory, FakeHost

SLICES = 40
SLICE_PACKETS = 250_000
FIRST_SLICE, LAST_SLICE = (int(number) for number in os.environ.get("EFT_FUZZ_SLICES", f"0-{SLICES - 1}").split("-"))
SHORT_SEED = 1
SECRET = b"a secret of the other case"
ACTOR = Actor("sftp:eft_us_fuzz", "192.0.2.1")


class Fuzzed:
    """One session after the other over the same directory, each ended by what it was sent or after a while."""

    def __init__(self, directory: object, clock: object, packets: Packets, case_id: str = "C-1") -> None:
        self._directory, self._clock, self._case_id = directory, clock, case_id
        self.packets = packets
        self.sent = self.answered = self.opened = self.sessions = 0

    async def session(self, most: int) -> None:
        random, packets = self.packets.random, self.packets
        settings = SftpSettings(host_keys=(), handles_per_session=8)
        host, channel = FakeHost(), FakeChannel()

        def operations() -> Operations:
            return Operations(case_id=self._case_id, actor=ACTOR, directory=self._directory, clock=self._clock, settings=settings)  # type: ignore[arg-type]

        session = channel.session = SftpSession(host, operations)
        session.connection_made(channel)
        packets.handles.clear()
        self.sessions += 1
        damaged = random.choice((0.0, 0.002, 0.1))
        channel.deliver(wire.INIT if random.random() < 0.98 else packets.next(damaged=1.0))
        while most > 0 and not host.disconnected:
            batch = [packets.next(damaged=damaged) for _ in range(random.randint(1, 20))]
            most -= len(batch)
            self.sent += len(batch)
            data = b"".join(batch)
            cut = random.randint(0, len(data))
            for part in (data[:cut], data[cut:]):
                channel.deliver(part)
            await until_idle(host)
            self._read(channel)
        if random.random() < 0.5:
            session.eof_received()
            await until_idle(host)
        session.connection_lost(None)
        await until_idle(host)
        assert host.ended == 1

    def _read(self, channel: FakeChannel) -> None:
        data = bytes(channel.written)
        channel.written.clear()
        assert SECRET not in data
        for reply in wire.replies(data):
            assert reply.kind in (2, 101, 102, 103, 104, 105, 201)
            self.answered += 1
            if reply.kind == 101:
                assert reply.code <= 8
                assert reply.code == 0 or reply.message
            elif reply.kind == 102:
                self.opened += 1
                self.packets.handles.append(reply.handle)
            elif reply.kind == 104:
                for name, _, _ in reply.names:
                    assert "\0" not in name
                    assert name.startswith("/") or "/" not in name


async def until_idle(host: FakeHost) -> None:
    """Until everything that was asked for has been done; the loop's other work comes in between."""
    await asyncio.sleep(0)
    while host.tasks:
        await asyncio.wait(set(host.tasks), timeout=30)
        await asyncio.sleep(0)


def stays_inside(directory: FakeDirectory) -> None:
    """Nothing but its own case, by names that mean what they say; and nothing is left open."""
    assert all(reception.released or reception.settled is not False for reception in directory.receptions)
    assert all(content.closed for content in directory.contents)
    assert directory.cases <= {"C-1"}
    for path in [*directory.files, *directory.directories]:
        assert path == "" or not {"", ".", ".."} & set(path.split("/")), path
        assert "\0" not in path


async def fuzz_over_fakes(count: int, clock: object, seed: int = SHORT_SEED) -> Fuzzed:
    fuzzed: Fuzzed | None = None
    packets = Packets(seed)
    sent = answered = opened = 0
    gc.collect()  # what earlier tests have left would go in the middle of this one
    before = Left.now()
    sizes = []
    while sent < count:
        directory = FakeDirectory()
        fuzzed = Fuzzed(directory, clock, packets)
        while fuzzed.sent < min(10_000, count - sent):
            await fuzzed.session(500)
        stays_inside(directory)
        sent, answered, opened = sent + fuzzed.sent, answered + fuzzed.answered, opened + fuzzed.opened
        directory.files.clear()
        gc.collect()
        assert not Left.now().has_more_than(before)
        sizes.append(resident_bytes())
    assert answered > sent / 3
    assert opened > sent / 200
    early = sizes[len(sizes) // 10]
    assert sizes[-1] - early < 32 * 2**20, sizes
    assert fuzzed is not None
    return fuzzed


@dataclass(frozen=True)
class Left:
    """What sessions that are over might leave behind: tasks, descriptors, and objects of the session's own kinds."""

    tasks: int
    descriptors: int
    objects: int

    def has_more_than(self, other: Left) -> bool:
        return self.tasks > other.tasks or self.descriptors > other.descriptors or self.objects > other.objects

    @classmethod
    def now(cls) -> Left:
        objects = sum(isinstance(each, (SftpSession, Operations, WritableFile, ReadableFile)) for each in gc.get_objects())
        return cls(len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")), objects)


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def unexpected(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Nothing but warnings may be logged by whatever the test does."""
    caplog.set_level(logging.ERROR)
    yield caplog  # type: ignore[misc]
    assert not [record.exc_info or record.getMessage() for record in caplog.records]


async def test_100_000_packets_over_fakes(site: Site, unexpected: pytest.LogCaptureFixture) -> None:
    await fuzz_over_fakes(100_000, site.clock)


async def test_2_000_packets_over_the_receive_path(site: Site, unexpected: pytest.LogCaptureFixture) -> None:
    await fuzz_over_the_receive_path(site, 2_000)


def slices(count: int) -> Sequence[int]:
    """Those of `count` slices that are to be run."""
    return range(FIRST_SLICE, min(LAST_SLICE + 1, count))


@pytest.mark.soak
@pytest.mark.parametrize("slice_", slices(SLICES))
async def test_ten_million_packets_over_fakes(site: Site, unexpected: pytest.LogCaptureFixture, slice_: int) -> None:
    await fuzz_over_fakes(SLICE_PACKETS, site.clock, seed=1000 + slice_)


@pytest.mark.soak
@pytest.mark.parametrize("slice_", slices(SLICES))
async def test_a_hundredth_of_them_over_the_receive_path(site: Site, unexpected: pytest.LogCaptureFixture, slice_: int) -> None:
    await fuzz_over_the_receive_path(site, SLICE_PACKETS // 100, seed=2000 + slice_)


async def fuzz_over_the_receive_path(site: Site, count: int, seed: int = SHORT_SEED) -> None:
    transfers = await site.worker()
    directory = site.directory_of(transfers)
    other = await directory.open_write("C-2", "secret", CUSTOMER, create=True, truncate=True, exclusive=False)
    other.offer(SECRET)
    await other.settle(0)
    site.clock.advance(seconds=1)
    await transfers.tick()
    before = await everything(directory, "C-2")
    fuzzed = Fuzzed(directory, site.clock, Packets(seed))
    while fuzzed.sent < count:
        await fuzzed.session(200)
        site.clock.advance(seconds=60)
        await transfers.tick()
        assert await everything(directory, "C-2") == before
    assert fuzzed.opened > count / 400
    content = await directory.open_read("C-2", "secret")
    assert await content.read(0, 100) == SECRET


async def everything(directory: object, case_id: str, path: str = "") -> list[tuple[str, int]]:
    """Every name below `path`, with its size."""
    found: list[tuple[str, int]] = []
    for entry in await directory.list(case_id, path):  # type: ignore[attr-defined]
        found.append((entry.path, entry.size))
        if entry.kind == "directory":
            found += await everything(directory, case_id, entry.path)
    return found


def test_the_same_seed_makes_the_same_packets() -> None:
    first, second = Packets(7), Packets(7)
    made = [first.next(damaged=0.5) for _ in range(500)]
    assert made == [second.next(damaged=0.5) for _ in range(500)]
    assert {struct.unpack_from(">B", packet, 4)[0] for packet in made if len(packet) > 4} >= {3, 4, 5, 6, 18, 200}

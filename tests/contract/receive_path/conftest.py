"""The receive path on a real database and a real disk, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from eft.db import cases, uploads
from eft.db.engine import Database
from eft.domain.actor import Actor
from eft.domain.case import Case, CaseStatus
from eft.domain.upload import Source
from eft.storage.files import RegionFiles
from eft.storage.keys import SlotFileKeyStore
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.master_key import MasterKeyFile
from eft.transfers import Bus, Directory, Intent, Resources, Transfers, TransferSettings
from eft.transfers.directory import Space
from tests.fixtures.receipts import UnsignedReceipts

CUSTOMER = Actor("test:customer", "192.0.2.1")
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class MovableClock:
    """Stands still until it is moved."""

    instant: datetime = START
    seconds: float = 1000.0

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, **span: float) -> None:
        step = timedelta(**span)
        self.instant += step
        self.seconds += step.total_seconds()


@dataclass
class Site:
    """One region: its database, disk and keys, and as many workers as a test starts."""

    directory: Path
    database: Database
    store: LocalDiskSegments
    keys: SlotFileKeyStore
    clock: MovableClock
    workers: list[Transfers] = field(default_factory=list)
    pools: list[ThreadPoolExecutor] = field(default_factory=list)

    async def worker(self, **settings: object) -> Transfers:
        """A worker, open for work."""
        resources = self.resources(**settings)
        transfers = Transfers(resources)
        await transfers.open()
        self.workers.append(transfers)
        return transfers

    def resources(self, **settings: object) -> Resources:
        pool = ThreadPoolExecutor(4)
        self.pools.append(pool)
        return Resources(
            region="us",
            database=self.database,
            segments=self.store,
            keys=self.keys,
            clock=self.clock,
            bus=Bus(self.directory / "run"),
            pool=pool,
            settings=TransferSettings(**settings),  # type: ignore[arg-type]
        )

    def directory_of(self, transfers: Transfers) -> Directory:
        return Directory(transfers._r, transfers, UnsignedReceipts(), settle_s=5, space=lambda: Space(1, 1))

    async def open_case(self, case_id: str) -> None:
        """A new case of that name, of at most 16 bytes."""
        case = Case(
            id=case_id,
            uid=case_id.encode().hex().ljust(32, "0"),
            organisation="Example",
            subject="Test",
            status=CaseStatus.OPEN,
            created_at=START,
        )
        await self.database.write(lambda conn: cases.insert(conn, case))

    async def change_case(self, case_id: str, **changes: object) -> None:
        def work(conn):  # type: ignore[no-untyped-def]
            case = cases.lock(conn, case_id)
            cases.save(conn, replace(case, **changes))

        await self.database.write(work)

    async def close_case(self, case_id: str) -> None:
        await self.change_case(case_id, status=CaseStatus.CLOSED, closed_at=self.clock.now())
        now = self.clock.now()
        await self.database.write(lambda conn: uploads.freeze_case(conn, case_id, now))

    async def reopen_case(self, case_id: str) -> None:
        await self.change_case(case_id, status=CaseStatus.OPEN, closed_at=None)
        now = self.clock.now()
        await self.database.write(lambda conn: uploads.thaw_case(conn, case_id, now))

    def files(self) -> list[Path]:
        return list((self.directory / "root").rglob("*.seg"))


def die(transfers: Transfers) -> None:
    """The worker is gone, as by kill -9: nothing is committed or told, its socket answers no more."""
    bus = transfers._r.bus
    import asyncio

    assert bus._socket is not None
    asyncio.get_running_loop().remove_reader(bus._socket.fileno())
    bus._socket.close()
    bus._socket = None
    for hold in list(transfers.holders._holds.values()):
        hold._stop_timer()
    transfers.holders._holds.clear()


def intent(name: str = "dump.bin", **more: object) -> Intent:
    return Intent(**{"name": name, "source": Source.HTTPS, "actor": CUSTOMER, **more})  # type: ignore[arg-type]


async def read_all(transfers: Transfers, attachment_id: str) -> bytes:
    attachment = await transfers.attachment(attachment_id)
    return b"".join([piece async for piece in transfers.read(attachment, 0, attachment.size)])


@asynccontextmanager
async def opened_site(tmp_path: Path) -> AsyncIterator[Site]:
    """A region in that directory, with the cases C-1 and C-2."""
    root = tmp_path / "root"
    root.mkdir()
    database = Database(f"sqlite:///{tmp_path}/eft.db")
    database.upgrade()
    await database.open()
    files = RegionFiles(root)
    (tmp_path / "secrets").mkdir()
    master = MasterKeyFile.at(tmp_path / "secrets" / "master.key")
    master.create()
    keys = SlotFileKeyStore.create(files, master, "us")
    made = Site(tmp_path, database, LocalDiskSegments(files, "us"), keys, MovableClock())
    for case_id in ("C-1", "C-2"):
        await made.open_case(case_id)
    yield made
    for transfers in made.workers:
        if transfers._r.bus._socket is not None:
            await transfers.close()
    for pool in made.pools:
        pool.shutdown(wait=True)
    await database.close()


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with opened_site(tmp_path) as made:
        yield made


@pytest.fixture
def noise() -> Callable[[int], bytes]:
    """Bytes that do not repeat in step with blocks."""

    def make(size: int) -> bytes:
        pattern = bytes(range(251)) * 17
        return (pattern * (size // len(pattern) + 1))[:size]

    return make

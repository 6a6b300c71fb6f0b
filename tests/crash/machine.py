"""A machine whose power goes at a chosen step, and the lives of the gateway on it.

A step is an operation that changes a file, or a commit of the database; they are counted in the order in which they happen. The
power goes before a step, so that all that was told after the step before it stands; then nothing that the processes do has any
effect. What is left is the disk after its lost and torn writes, and the database with exactly what was committed: SQLite's own
durability is for test_order_of_syncs.py to show.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
import copy
from dataclasses import dataclass
from datetime import timedelta
import errno
import itertools
from pathlib import Path
import random
import shutil
import sqlite3
from typing import Any, TypeVar

from eft.cases.service import Cases
from eft.db.engine import Connection, Database
from eft.domain.case import CaseStatus
from eft.retention.purge import Purge
from eft.storage.keys import SlotFileKeyStore
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.master_key import MasterKeyFile
from eft.transfers import Bus, Directory, Resources, Space, Transfers, TransferSettings
from tests.crash.lossy_files import LossyFiles, PowerCut
from tests.fixtures.receipts import UnsignedReceipts
from tests.fixtures.services import STAFF, MovableClock

T = TypeVar("T")
D = TypeVar("D", bound="Disk")

CASE = "C-1"
SETTLE_S = 5.0
LONGEST_S = 60
"""A life that takes longer hangs."""

SETTINGS = TransferSettings(commit_bytes=150_000, commit_s=3600, linger_s=3600, release_s=0.05)
"""No timer has a part in a life, so that the same steps come in the same order each time."""


class Disk(LossyFiles):
    """Goes off before the step `cut_at`: all that was acknowledged until then stands."""

    cut_at: int | None = None
    on_cut: Callable[[], None] | None = None

    def step(self) -> None:
        """Something happens that is no file operation: a commit of the database."""
        with self._changing():
            pass

    @property
    def is_off(self) -> bool:
        return self._off

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._mutex:
            if not self._off and self.operations == self.cut_at:
                self._off = True
                if self.on_cut is not None:
                    self.on_cut()
            with super()._changing():
                yield

    def after_power_cut(self, rng: random.Random) -> Disk:
        """What may be left; asked again, another answer."""
        return Disk(rng, None, self.crash(rng)._root)

    def after_kill(self) -> Disk:
        """The processes are gone, the machine is not: what they had written is seen, and not on the disk yet."""
        return Disk(self.rng, None, copy.deepcopy(self._root))

    def beside(self, kind: type[D]) -> D:
        """The same machine for another process, which may be killed by itself."""
        other = kind(self.rng, None, self._root)
        other._mutex, other._locks = self._mutex, self._locks
        return other


class SteppedDatabase(Database):
    """A real SQLite file, whose commits are steps: when the power goes before one, nothing of its transaction is there."""

    def __init__(self, file: Path, disk: Disk) -> None:
        super().__init__(f"sqlite:///{file}")
        self._disk = disk

    async def write(self, work: Callable[[Connection], T]) -> T:
        def before_commit(conn: Connection) -> T:
            result = work(conn)
            try:
                self._disk.step()
            except OSError as error:
                raise _as_sqlite_says_it(error) from error
            return result

        return await super().write(before_commit)


def _as_sqlite_says_it(error: OSError) -> sqlite3.OperationalError:
    said = sqlite3.OperationalError(error.strerror)
    said.sqlite_errorcode = sqlite3.SQLITE_FULL if error.errno == errno.ENOSPC else sqlite3.SQLITE_IOERR
    return said


@dataclass
class Machine:
    """What outlives a process: the disk, the database's file in `directory`, and the time."""

    directory: Path
    disk: Disk
    clock: MovableClock

    @property
    def database_file(self) -> Path:
        return self.directory / "eft.db"

    def twin(self, disk: Disk) -> Machine:
        """Another machine with this one's database, as it is now."""
        directory = new_directory(self.directory.parent)
        for name in ("eft.db", "eft.db-wal"):
            if (self.directory / name).exists():
                shutil.copyfile(self.directory / name, directory / name)
        return Machine(directory, disk, MovableClock(self.clock.instant))


@dataclass
class Worker:
    """One process of the gateway."""

    transfers: Transfers
    files: Directory
    resources: Resources
    pool: ThreadPoolExecutor
    database: Database
    disk: Disk

    async def die(self) -> None:
        """As by kill -9: it commits nothing, tells nobody, and its socket is gone."""
        self.disk._off = True
        bus = self.resources.bus
        if bus._socket is not None:
            asyncio.get_running_loop().remove_reader(bus._socket.fileno())
            bus._socket.close()
            bus._socket = None
        await asyncio.to_thread(self.pool.shutdown, cancel_futures=True)
        await self.database.close()


class Site:
    """One life of the gateway on a machine: as many workers as the story starts, all with the same database."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.clock = machine, machine.clock
        self.workers: list[Worker] = []

    @property
    def first(self) -> Worker:
        return self.workers[0]

    @property
    def transfers(self) -> Transfers:
        return self.first.transfers

    @property
    def files(self) -> Directory:
        """The client's directory, as the SFTP door has it."""
        return self.first.files

    @property
    def database(self) -> Database:
        return self.first.database

    @property
    def cases(self) -> Cases:
        return Cases(database=self.database, clock=self.clock)

    @property
    def purge(self) -> Purge:
        found = self.first.resources
        return Purge(
            database=self.database, keys=found.keys, segments=found.segments, clock=self.clock, reader_grace_s=0, sleep=no_sleep
        )

    async def start_worker(
        self, disk: Disk | None = None, *, kind: type[SteppedDatabase] = SteppedDatabase, run: str = "run"
    ) -> Worker:
        """As bootstrap does it: first the tombstones, then recovery, then work. `run`: where workers hear each other."""
        disk = disk or self.machine.disk
        database = kind(self.machine.database_file, disk)
        await database.open()
        pool = ThreadPoolExecutor(2)
        resources = Resources(
            region="us",
            database=database,
            segments=LocalDiskSegments(disk, "us"),
            keys=SlotFileKeyStore(disk, MasterKeyFile(disk, "master.key"), "us"),
            clock=self.clock,
            bus=Bus(self.machine.directory / run),
            pool=pool,
            settings=SETTINGS,
        )
        transfers = Transfers(resources)
        files = Directory(resources, transfers, UnsignedReceipts(), settle_s=SETTLE_S, space=lambda: Space(1, 1))
        worker = Worker(transfers, files, resources, pool, database, disk)
        self.workers.append(worker)
        await self.purge.apply_tombstones()
        await transfers.open()
        return worker

    async def time_passes(self, **span: float) -> None:
        """All workers do what time brings."""
        self.clock.advance(timedelta(**span))
        for worker in self.workers:
            if not worker.disk.is_off:
                await worker.transfers.tick()
                while reading := list(worker.transfers.holders.publication._reading.values()):
                    await asyncio.wait(reading)


async def no_sleep(_: float) -> None:
    """Time is the test's to move."""


@asynccontextmanager
async def alive(machine: Machine, *, orderly: bool) -> AsyncIterator[Site]:
    """A site with one worker. At the end it stops in order, or is simply gone."""
    site = Site(machine)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_end, site, orderly)
        await site.start_worker()
        yield site


async def _end(site: Site, orderly: bool) -> None:
    for worker in site.workers:
        if orderly and not worker.disk.is_off:
            await worker.transfers.close()
        was_off = worker.disk.is_off
        await worker.die()
        worker.disk._off = was_off


Story = Callable[[Site], Awaitable[Any]]


def live(machine: Machine, story: Story, *, cut_at: int | None = None, orderly: bool = False) -> bool:
    """Starts the gateway and lets the story happen in an event loop of its own. False where the power went first."""
    disk = machine.disk
    disk.operations, disk.cut_at = 0, cut_at
    with asyncio.Runner() as runner:
        return runner.run(_live(machine, story, orderly))


async def _live(machine: Machine, story: Story, orderly: bool) -> bool:
    loop = asyncio.get_running_loop()
    # Whoever still runs when the power goes ends with PowerCut, and nobody is left to ask.
    loop.set_exception_handler(_unless_power_cut)
    gone = asyncio.Event()
    machine.disk.on_cut = lambda: loop.call_soon_threadsafe(gone.set)

    async def whole_life() -> None:
        async with alive(machine, orderly=orderly) as site:
            await story(site)

    living, watching = asyncio.create_task(whole_life()), asyncio.create_task(gone.wait())
    done, _ = await asyncio.wait({living, watching}, timeout=LONGEST_S, return_when=asyncio.FIRST_COMPLETED)
    survived = living in done and not machine.disk.is_off
    for task in (living, watching):
        task.cancel()
    await asyncio.wait({living})
    assert done, "the gateway hangs"
    failure = None if living.cancelled() else living.exception()
    if survived and failure is not None:
        raise failure
    return survived


def _unless_power_cut(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), PowerCut):
        loop.default_exception_handler(context)


_NUMBERS = itertools.count()


def new_directory(below: Path) -> Path:
    directory = below / f"machine-{next(_NUMBERS)}"
    directory.mkdir()
    return directory


def new_machine(below: Path) -> Machine:
    """A region with its keys and one open case, all of it on the disk."""
    machine = Machine(new_directory(below), Disk(random.Random(0)), MovableClock())
    Database(f"sqlite:///{machine.database_file}").upgrade()
    master_keys = MasterKeyFile(machine.disk, "master.key")
    master_keys.create()
    SlotFileKeyStore.create(machine.disk, master_keys, "us")

    async def story(site: Site) -> None:
        await site.cases.put(CASE, organisation="E", subject="S", status=CaseStatus.OPEN, closed_at=None, actor=STAFF)

    assert live(machine, story, orderly=True)
    return machine

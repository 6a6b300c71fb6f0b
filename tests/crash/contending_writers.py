"""Writers in processes of their own on one real disk, SQLite file and set of uploads; they are killed at random moments.

Run as a program: `python -m tests.crash.contending_writers DIRECTORY SEED KILLS`. It forks two writers, each of which sends parts
of whatever upload it likes, and so takes over from the other all the time; kills one of them now and then with SIGKILL, and forks
another. Whatever a writer was told it says on a pipe. At the end everything that was told must be so. Exits with 0, or says why
not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import hashlib
import json
import os
from pathlib import Path
import random
import selectors
import signal
import sys
import time
import traceback
from typing import Any

from eft.cases.service import Cases
from eft.db.engine import Database
from eft.domain.actor import Actor
from eft.domain.attachment import AttachmentState
from eft.domain.case import CaseStatus
from eft.domain.digests import PartCheck
from eft.domain.errors import AlreadyFinished, ChecksumMismatch, EftError, WriterDisplaced
from eft.domain.upload import Completeness, Source, UploadState
from eft.observability import SystemClock
from eft.storage.files import RegionFiles
from eft.storage.keys import SlotFileKeyStore
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.master_key import MasterKeyFile
from eft.transfers import Bus, Directory, Intent, Resources, Space, Transfers, TransferSettings
from tests.fixtures.receipts import UnsignedReceipts

CASE, WHO = "C-1", Actor("test:customer", "127.0.0.1")
SIZES = (1, 20_000, 33_000, 400_000, 1_500_000, 5_000_000)
AT_ONCE = 5
WRITERS = 2
SETTLE_S = 0.2


def content(name: str, size: int) -> bytes:
    """What a file of that name has: the same in every process."""
    return random.Random(name).randbytes(size)


def size_of(name: str) -> int:
    return SIZES[random.Random(name).randrange(len(SIZES))]


@asynccontextmanager
async def gateway(directory: Path) -> AsyncIterator[tuple[Transfers, Directory]]:
    """The receive path of one worker."""
    database = Database(f"sqlite:///{directory}/eft.db")
    await database.open()
    files = RegionFiles(directory / "root")
    pool = ThreadPoolExecutor(3)
    resources = Resources(
        region="us",
        database=database,
        segments=LocalDiskSegments(files, "us"),
        keys=SlotFileKeyStore(files, MasterKeyFile.at(directory / "secrets" / "master.key"), "us"),
        clock=SystemClock(),
        bus=Bus(directory / "run"),
        pool=pool,
        settings=TransferSettings(commit_bytes=700_000, linger_s=0.5),
    )
    transfers = Transfers(resources)
    await transfers.open()
    try:
        yield transfers, Directory(resources, transfers, UnsignedReceipts(), settle_s=SETTLE_S, space=lambda: Space(1, 1))
    finally:
        await transfers.close()
        pool.shutdown()
        await database.close()


def prepare(directory: Path) -> None:
    """An empty region with one open case."""
    for name in ("root", "secrets"):
        (directory / name).mkdir(mode=0o700)
    Database(f"sqlite:///{directory}/eft.db").upgrade()
    master_keys = MasterKeyFile.at(directory / "secrets" / "master.key")
    master_keys.create()
    SlotFileKeyStore.create(RegionFiles(directory / "root"), master_keys, "us")

    async def open_case() -> None:
        database = Database(f"sqlite:///{directory}/eft.db")
        await database.open()
        cases = Cases(database=database, clock=SystemClock())
        await cases.put(CASE, organisation="E", subject="S", status=CaseStatus.OPEN, closed_at=None, actor=WHO)
        await database.close()

    asyncio.run(open_case())


# In a writer.


class Writer:
    """Sends parts of whatever upload it likes, for ever."""

    def __init__(self, transfers: Transfers, files: Directory, rng: random.Random, pipe: int) -> None:
        self._transfers, self._files, self._rng, self._pipe = transfers, files, rng, pipe

    async def goes_on(self) -> None:
        while True:
            unfinished = [u for u in await self._transfers.unfinished(CASE) if u.state is UploadState.RECEIVING]
            chosen = self._rng.random()
            try:
                if chosen < 0.2:
                    await self._put()
                elif len(unfinished) < AT_ONCE:
                    await self._begin()
                else:
                    upload = self._rng.choice(unfinished)
                    await (self._patch(upload.id, upload.name) if upload.source is Source.HTTPS else self._put(upload.name))
            except (WriterDisplaced, AlreadyFinished, ChecksumMismatch):
                continue  # the other one has it now, or it was ours to be refused

    def _tell(self, **fact: Any) -> None:
        os.write(self._pipe, json.dumps(fact).encode() + b"\n")

    async def _begin(self) -> None:
        name = f"https-{self._rng.getrandbits(60):x}"
        upload = await self._transfers.register(CASE, Intent(name=name, source=Source.HTTPS, actor=WHO, length=size_of(name)))
        self._tell(id=upload.id, name=name, offset=0)

    async def _patch(self, upload_id: str, name: str) -> None:
        whole = content(name, size_of(name))
        reception = await self._transfers.take(upload_id, case_id=CASE)
        try:
            self._tell(id=upload_id, name=name, offset=reception.durable)
            stop = min(len(whole), reception.offset + self._rng.choice((1, 10_000, 300_000, 2_000_000)))
            part = whole[reception.offset : stop]
            if self._rng.random() < 0.3:
                damaged = self._rng.random() < 0.3
                reception.expect(PartCheck.of("sha1", hashlib.sha1(part + b"?" * damaged).digest()))
            for at in range(0, len(part), 65_536):
                reception.offer(part[at : at + 65_536])
                if reception.full:
                    await reception.ready()
            if self._rng.random() < 0.1:
                return
            if stop == len(whole):
                await reception.finish(Completeness.DECLARED)
                self._tell(name=name, whole=stop)
            else:
                self._tell(id=upload_id, name=name, offset=await reception.commit())
        finally:
            await reception.release()

    async def _put(self, name: str = "") -> None:
        """A whole file by the SFTP door's way, or the rest of one."""
        name = name or f"sftp-{self._rng.getrandbits(60):x}"
        whole = content(name, size_of(name))
        reception = await self._files.open_write(CASE, name, WHO, create=True, truncate=False, exclusive=False)
        try:
            for at in range(reception.offset, len(whole), 255 * 1024):
                reception.offer(whole[at : at + 255 * 1024])
                if reception.full:
                    await reception.ready()
            await reception.settle(SETTLE_S)
            self._tell(name=name, whole=len(whole))
        finally:
            await reception.release()


async def write_for_ever(directory: Path, seed: int, pipe: int) -> None:
    async with gateway(directory) as (transfers, files):

        async def ticks() -> None:
            while True:
                await transfers.tick()
                await asyncio.sleep(0.1)

        ticking = asyncio.create_task(ticks())
        await asyncio.wait(
            {ticking, asyncio.create_task(Writer(transfers, files, random.Random(seed), pipe).goes_on())},
            return_when=asyncio.FIRST_EXCEPTION,
        )
        raise AssertionError("a writer ended by itself") from ticking.exception() if ticking.done() else None


# In the parent.


@dataclass
class Told:
    """All that any writer was told: offsets by upload, and names of files that are whole."""

    offsets: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)

    def note(self, line: bytes) -> None:
        fact = json.loads(line)
        if "whole" in fact:
            self.whole.add(fact["name"])
        else:
            self.offsets[fact["id"]] = max(fact["offset"], self.offsets.get(fact["id"], 0))
            self.names[fact["id"]] = fact["name"]


@dataclass
class Child:
    pid: int
    pipe: int
    rest: bytes = b""

    def read(self, told: Told) -> bool:
        """Notes what it said. False at its end; of a line that it died in nothing counts."""
        data = os.read(self.pipe, 65_536)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            told.note(line)
        return bool(data)


def fork(directory: Path, seed: int) -> Child:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, reading)
    code = 1
    try:
        os.close(reading)
        asyncio.run(write_for_ever(directory, seed, writing))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def kill_now_and_then(directory: Path, rng: random.Random, kills: int) -> Told:
    told = Told()
    children = [fork(directory, rng.getrandbits(32)) for _ in range(WRITERS)]
    while kills:
        until = time.monotonic() + rng.uniform(0.05, 0.5)
        with selectors.DefaultSelector() as selector:
            for child in children:
                selector.register(child.pipe, selectors.EVENT_READ, child)
            while (left := until - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    assert key.data.read(told), "a writer died by itself"
        end(children.pop(rng.randrange(len(children))), told)
        children.append(fork(directory, rng.getrandbits(32)))
        kills -= 1
    for child in children:
        end(child, told)
    return told


def end(child: Child, told: Told) -> None:
    os.kill(child.pid, signal.SIGKILL)
    while child.read(told):
        continue
    os.waitpid(child.pid, 0)
    os.close(child.pipe)


def difference(read: bytes, whole: bytes) -> str:
    """Where two contents part, and where they meet again."""
    differing = [at for at in range(min(len(read), len(whole))) if read[at] != whole[at]]
    where = f"bytes {differing[0]} to {differing[-1]}, {len(differing)} of them" if differing else "none of the common bytes"
    return f"{len(read)} bytes for {len(whole)}, {where} differ"


async def all_that_was_told_is_so(directory: Path, told: Told) -> None:
    async with gateway(directory) as (transfers, _):
        for upload_id, offset in told.offsets.items():
            name = told.names[upload_id]
            found = await transfers.progress(upload_id, case_id=CASE)
            assert found.offset >= offset, f"{name}: {offset} bytes were acknowledged, {found.offset} are there"
            if found.state is UploadState.RECEIVING:
                whole = content(name, size_of(name))
                reception = await transfers.take(upload_id, case_id=CASE)
                reception.offer(whole[reception.offset :])
                await reception.finish(Completeness.DECLARED)
            told.whole.add(name)
        await asyncio.sleep(SETTLE_S)
        await transfers.tick()
        seen: set[str] = set()
        cursor: str | None = None
        while cursor is not None or not seen:
            page, cursor = await transfers.attachments(CASE, cursor, 100)
            for attachment in page:
                whole = content(attachment.name, size_of(attachment.name))
                read = b"".join([piece async for piece in transfers.read(attachment, 0, attachment.size)])
                assert attachment.state is AttachmentState.AVAILABLE
                assert read == whole, f"{attachment.name} is shown as whole and is not: {difference(read, whole)}"
                assert attachment.sha256 == hashlib.sha256(whole).hexdigest()
                seen.add(attachment.name)
            if not page:
                break
        assert told.whole <= seen, f"received and not there: {told.whole - seen}"
        sys.stdout.write(f"{len(told.offsets)} uploads by parts, {len(seen)} files whole\n")


def main(directory: Path, seed: int, kills: int) -> None:
    prepare(directory)
    try:
        told = kill_now_and_then(directory, random.Random(seed), kills)
        asyncio.run(all_that_was_told_is_so(directory, told))
    except EftError as error:
        raise AssertionError(repr(error)) from error


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

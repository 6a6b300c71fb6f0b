"""Simulated crashes of segments: random appends, commits, rollbacks and takeovers, cut at any operation.

What must hold after each: every acknowledged byte is there and exact, nothing is believed that no commit stated, the digest state
is that of the durable bytes, and no nonce was used twice under one key.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
import errno
import hashlib
import os
import random

import pytest

from eft.domain.digests import RunningDigest
from eft.domain.errors import NotFound, StorageFailed, StorageFull
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.ports import SegmentId, SegmentReader, SegmentWriter
from eft.storage.segment_format import BLOCK
from tests.crash.lossy_files import Faults, LossyFiles, PowerCut
from tests.crash.nonces import watched_nonces

CRASHES = int(os.environ.get("EFT_CRASHES", "5000"))
SEEDS = 10
CASE, UPLOAD, KEY = "c" * 32, "a" * 32, bytes(range(32))
SIZES = (1, 100, 5000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 200_000)


@dataclass
class Upload:
    """What the client was told, and what it sent: the model that storage is held against. `acknowledged` is the whole upload
    so far; `attempted` what commits since then would have made it, had they been acknowledged; `closed` the segments of earlier
    writers, with their ends."""

    acknowledged: bytes = b""
    attempted: list[bytes] = field(default_factory=list)
    closed: list[tuple[int, int]] = field(default_factory=list)
    epoch: int | None = None
    start: int = 0

    def acknowledge(self, content: bytes) -> None:
        self.acknowledged, self.attempted = content, []


class Run:
    """One life of a machine: one upload on one disk until the power goes."""

    def __init__(self, rng: random.Random, files: LossyFiles, upload: Upload) -> None:
        self.rng, self.files, self.upload = rng, files, upload
        self.store = LocalDiskSegments(files, "us")
        self.pending = b""
        self.writer: SegmentWriter | None = None

    def live(self, steps: int) -> None:
        self.take_over()
        actions = (self.append, self.append, self.append, self.commit, self.commit, self.roll_back, self.look, self.take_over)
        for _ in range(steps):
            try:
                self.rng.choice(actions)()
            except (StorageFull, StorageFailed) as error:
                self.mend(error)

    def mend(self, error: Exception) -> None:
        """After a failed write a rollback mends the writer; after a failed sync there is a new one."""
        try:
            if self.writer is not None:
                assert self.writer.rollback() == len(self.upload.acknowledged)
                self.pending = b""
                return
        except StorageFailed:
            assert isinstance(error, StorageFailed)
        self.writer = None
        try:
            self.take_over()
        except (StorageFull, StorageFailed):
            self.writer = None

    def append(self) -> None:
        if self.writer is not None:
            data = self.rng.randbytes(self.rng.choice(SIZES))
            cut = self.rng.randrange(len(data) + 1)
            self.writer.append([data[:cut], data[cut:]])
            self.pending += data

    def commit(self) -> None:
        if self.writer is not None:
            content = self.upload.acknowledged + self.pending
            running = RunningDigest()
            running.update(content)
            self.upload.attempted.append(content)
            assert self.writer.commit(running.export()) == len(content)
            self.upload.acknowledge(content)
            self.pending = b""

    def roll_back(self) -> None:
        if self.writer is not None:
            assert self.writer.rollback() == len(self.upload.acknowledged)
            self.pending = b""

    def look(self) -> None:
        """A reader beside the writer sees what was acknowledged, or a commit that failed after it was written."""
        if self.upload.epoch is not None:
            check(self.store, self.upload, settle=False)

    def take_over(self) -> None:
        """A new writer settles the old segment and goes on in its own, whether or not the old one was ever closed."""
        upload = self.upload
        if upload.epoch is not None:
            upload.acknowledge(check(self.store, upload, settle=True))
            upload.closed.append((upload.epoch, len(upload.acknowledged)))
        if upload.closed and self.rng.random() < 0.2:
            check_closed(self.store, upload)
        upload.epoch, upload.start = None, len(upload.acknowledged)
        self.pending, self.writer = b"", None
        epoch = max([*self.store.epochs(CASE, UPLOAD), *(closed for closed, _ in upload.closed), 0]) + 1
        upload.epoch = epoch
        self.writer = self.store.create(SegmentId(CASE, UPLOAD, epoch), KEY, upload.start)


def check(store: LocalDiskSegments, upload: Upload, *, settle: bool) -> bytes:
    """The upload as storage has it, held against the model. Raises what storage raises."""
    assert upload.epoch is not None
    try:
        reader = store.open(SegmentId(CASE, UPLOAD, upload.epoch), KEY, settle=settle)
    except NotFound:
        assert len(upload.acknowledged) == upload.start, "acknowledged, and not even the file is there"
        return upload.acknowledged
    try:
        return held_against(upload, reader)
    finally:
        reader.close()


def held_against(upload: Upload, reader: SegmentReader) -> bytes:
    durable = reader.durable
    assert durable.start == upload.start
    assert durable.end >= len(upload.acknowledged), "acknowledged bytes are lost"
    content = upload.acknowledged[: upload.start] + reader.read(durable.start, durable.end)
    assert content in (upload.acknowledged, *upload.attempted), "bytes are wrong, or believed that no commit stated"
    if durable.end > upload.start:
        assert durable.digest is not None
        restored = RunningDigest.restore(durable.digest)
        assert restored is not None
        assert restored.hexdigest() == hashlib.sha256(content).hexdigest()
    return content


def check_closed(store: LocalDiskSegments, upload: Upload) -> None:
    """Segments of earlier writers hold what they held when they were taken over."""
    reached = 0
    for epoch, end in upload.closed:
        if end > reached:
            reader = store.open(SegmentId(CASE, UPLOAD, epoch), KEY, end=end)
            assert (reader.durable.start, reader.durable.end) == (reached, end)
            assert reader.read(reached, end) == upload.acknowledged[reached:end]
            reader.close()
        reached = end


def some_faults(rng: random.Random) -> Faults:
    errors: dict[int, int] = {}
    while rng.random() < 0.3:
        errors[rng.randrange(3, 60)] = rng.choice((errno.ENOSPC, errno.EDQUOT, errno.EIO))
    return Faults(cut_at=rng.randrange(60), errors=errors)


def copy_of(upload: Upload) -> Upload:
    return Upload(upload.acknowledged, list(upload.attempted), list(upload.closed), upload.epoch, upload.start)


@pytest.mark.skipif(RunningDigest().export() is None, reason="this interpreter has no libcrypto to export digest states from")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_crash_loses_or_alters_what_was_acknowledged(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if seed % 3 == 0:
        monkeypatch.setattr("eft.storage.segment_writer.UNSYNCED_BLOCKS", 1)
    rng = random.Random(seed)
    crashes = 0
    with watched_nonces():
        while crashes < CRASHES // SEEDS:
            files, upload = LossyFiles(rng, some_faults(rng)), Upload()
            for _ in range(rng.randrange(1, 5)):
                lives_until_the_power_goes(rng, files, upload)
                outcomes = [(files.crash(rng), copy_of(upload)) for _ in range(4)]
                for disk, model in outcomes:
                    crashes += 1
                    recovers(disk, model)
                files, upload = outcomes[0]
                files.faults = some_faults(rng)
                files.operations = 0


def lives_until_the_power_goes(rng: random.Random, files: LossyFiles, upload: Upload) -> None:
    try:
        Run(rng, files, upload).live(steps=rng.randrange(5, 40))
    except (PowerCut, StorageFull, StorageFailed):
        return


def recovers(disk: LossyFiles, upload: Upload) -> None:
    store = LocalDiskSegments(disk, "us")
    if upload.epoch is not None:
        content = check(store, upload, settle=True)
        upload.acknowledge(content)
        # What recovery found is durable now: another crash takes nothing of it.
        again = LocalDiskSegments(disk.crash(disk.rng), "us")
        assert check(again, copy_of(upload), settle=True) == content
    check_closed(store, upload)


@pytest.mark.parametrize("seed", range(60))
def test_pages_that_turn_to_rubbish_on_the_way_take_nothing_acknowledged(seed: int) -> None:
    """No page that holds acknowledged bytes is ever written again, so a power cut may do what it likes to those that are."""
    rng = random.Random(seed)
    files, upload = LossyFiles(rng), Upload()
    run = Run(rng, files, upload)
    run.take_over()
    run.append()
    run.commit()
    files.faults = Faults(cut_at=files.operations + rng.randrange(1, 40))
    with suppress(PowerCut):
        while True:
            rng.choice((run.append, run.append, run.commit, run.roll_back))()
    for _ in range(4):
        disk, model = files.crash(rng, garble=True), copy_of(upload)
        check(LocalDiskSegments(disk, "us"), model, settle=True)


def test_a_writer_whose_sync_failed_is_dead_and_a_new_one_goes_on() -> None:
    files = LossyFiles(random.Random(1))
    run = Run(random.Random(1), files, Upload())
    run.take_over()
    run.append()
    run.commit()
    run.append()
    files.faults.errors[files.operations + 1] = errno.EIO
    with pytest.raises(StorageFailed):
        run.commit()
    writer = run.writer
    assert writer is not None
    for call in (lambda: writer.append([b"x"]), lambda: writer.commit(None), writer.rollback):
        with pytest.raises(StorageFailed):
            call()
    writer.close()
    run.take_over()
    run.append()
    run.commit()
    check_closed(LocalDiskSegments(files.crash(random.Random(2)), "us"), run.upload)


def test_settling_saves_what_a_failed_sync_left_in_memory_alone() -> None:
    """After a failed fsync Linux shows pages that the disk does not have, and takes them for clean."""
    for seed in range(50):
        rng = random.Random(seed)
        files = LossyFiles(rng)
        run = Run(rng, files, Upload())
        run.take_over()
        run.append()
        run.commit()
        run.append()
        run.append()
        files.faults.errors[files.operations + 1] = errno.EIO
        with pytest.raises(StorageFailed):
            run.commit()
        shown = check(run.store, run.upload, settle=True)
        run.upload.acknowledge(shown)
        assert check(LocalDiskSegments(files.crash(rng), "us"), run.upload, settle=True) == shown


def test_a_full_disk_leaves_the_writer_usable_after_a_rollback() -> None:
    files = LossyFiles(random.Random(1))
    run = Run(random.Random(1), files, Upload())
    run.take_over()
    run.append()
    run.commit()
    assert run.writer is not None
    files.faults.errors[files.operations] = errno.ENOSPC
    with pytest.raises(StorageFull):
        run.writer.append([bytes(3 * BLOCK)])
    for call in (lambda: run.writer and run.writer.append([b"x"]), lambda: run.writer and run.writer.commit(None)):
        with pytest.raises(StorageFailed):
            call()
    run.roll_back()
    run.append()
    run.commit()
    check(LocalDiskSegments(files.crash(random.Random(2)), "us"), run.upload, settle=True)


def test_a_segment_that_was_never_synced_may_vanish_with_its_file() -> None:
    files = LossyFiles(random.Random(1))
    run = Run(random.Random(1), files, Upload())
    run.take_over()
    run.append()
    seen = set()
    for seed in range(40):
        store = LocalDiskSegments(files.crash(random.Random(seed)), "us")
        try:
            seen.add(store.open(SegmentId(CASE, UPLOAD, 1), KEY, settle=True).durable.end)
        except NotFound:
            seen.add(None)
    assert seen == {None, 0}


@pytest.mark.parametrize("seed", range(20))
def test_blocks_from_before_a_rollback_are_not_taken_for_those_of_the_commit(seed: int) -> None:
    """Both were sealed for the same place, under the same key: only their nonces tell them apart."""
    rng = random.Random(seed)
    files = LossyFiles(rng)
    run = Run(rng, files, Upload())
    run.take_over()
    if seed % 2:
        run.append()
        run.commit()
    assert run.writer is not None
    for content in (rng.randbytes(2 * BLOCK), rng.randbytes(2 * BLOCK)):
        run.roll_back()
        run.writer.append([content])
        run.pending = content
    files.faults.cut_at = files.operations + 1
    with pytest.raises(PowerCut):
        run.commit()
    for _ in range(40):
        check(LocalDiskSegments(files.crash(rng), "us"), copy_of(run.upload), settle=True)

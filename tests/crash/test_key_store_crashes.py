"""Simulated crashes of the key store: no live key is lost, and no destroyed one comes back, at whatever step the power goes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
import errno
import os
import random

import pytest

from eft.domain.errors import KeyUnavailable, Purged, StorageFailed, StorageFull
from eft.storage.key_format import CHUNK, HALF, Kind, half_at
from eft.storage.keys import SlotFileKeyStore
from eft.storage.master_key import MasterKeyFile
from eft.storage.ports import Tombstone
from eft.storage.segment_format import PAGE
from tests.crash.lossy_files import Faults, LossyFiles, PowerCut
from tests.crash.nonces import watched_nonces

CRASHES = max(200, int(os.environ.get("EFT_CRASHES", "5000")) // 5)
SEEDS = 5
AT = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass
class Model:
    """What callers were told. A slot that is being destroyed or erased when the power goes may be either."""

    keys: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    secrets: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    tombstones: dict[int, str] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    made: int = 0

    def copy(self) -> Model:
        return Model(dict(self.keys), dict(self.secrets), dict(self.tombstones), set(self.unsure), self.made)


@pytest.fixture(autouse=True)
def _growing_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen slots at a time, so that growing is among what is cut."""
    monkeypatch.setattr("eft.storage.slot_file.GROWTH", 2 * CHUNK)


def opened(files: LossyFiles) -> SlotFileKeyStore:
    return SlotFileKeyStore(files, MasterKeyFile(files, "master.key"), "us")


class Run:
    def __init__(self, rng: random.Random, files: LossyFiles, model: Model) -> None:
        self.rng, self.model = rng, model
        self.store = opened(files)

    def live(self, steps: int) -> None:
        actions = (self.create, self.create, self.put, self.put, self.destroy, self.erase, self.rotate, self.store.tombstones)
        for _ in range(steps):
            try:
                self.rng.choice(actions)()
            except (StorageFailed, StorageFull):
                continue

    def create(self) -> None:
        case = self._name()
        slot = self.store.create_case_key(case)
        self.model.keys[slot] = (case, self.store.case_key(slot, case))

    def put(self) -> None:
        owner, secret = self._name(), self.rng.randbytes(20)
        slot = self.store.put_secret(owner, secret)
        self.model.secrets[slot] = (owner, secret)

    def destroy(self) -> None:
        if self.model.keys:
            slot = self.rng.choice(sorted(self.model.keys))
            case, _ = self.model.keys[slot]
            self.model.unsure.add(slot)
            self.store.destroy_case_key(slot, case, AT)
            del self.model.keys[slot]
            self.model.unsure.discard(slot)
            self.model.tombstones[slot] = case

    def erase(self) -> None:
        if self.model.secrets:
            slot = self.rng.choice(sorted(self.model.secrets))
            owner, _ = self.model.secrets[slot]
            self.model.unsure.add(slot)
            self.store.erase_secret(slot, owner)
            del self.model.secrets[slot]
            self.model.unsure.discard(slot)

    def rotate(self) -> None:
        self.store.rotate()

    def _name(self) -> str:
        self.model.made += 1
        return f"{self.model.made:032x}"


def check(store: SlotFileKeyStore, model: Model) -> None:
    stones = store.tombstones()
    assert all(Tombstone(case, AT) in stones for case in model.tombstones.values())
    assert len(stones) <= len(model.tombstones) + len(model.unsure)
    for slot, case in model.tombstones.items():
        with pytest.raises(Purged):
            store.case_key(slot, case)
    for slot, (case, key) in list(model.keys.items()):
        try:
            assert store.case_key(slot, case) == key
        except Purged:
            assert slot in model.unsure, "a live key is lost"
            assert Tombstone(case, AT) in stones
            del model.keys[slot]
            model.tombstones[slot] = case
    for slot, (owner, secret) in list(model.secrets.items()):
        try:
            assert store.secret(slot, owner) == secret
        except KeyUnavailable:
            assert slot in model.unsure, "a secret is lost"
            del model.secrets[slot]
    model.unsure.clear()
    assert store.check().broken == ()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_crash_loses_a_live_key_or_brings_a_destroyed_one_back(seed: int) -> None:
    rng = random.Random(seed)
    crashes = 0
    with watched_nonces():
        while crashes < CRASHES // SEEDS:
            files, model = new_place(rng), Model()
            for _ in range(rng.randrange(1, 6)):
                errors = {rng.randrange(5, 80): rng.choice((errno.EIO, errno.ENOSPC)) for _ in range(rng.choice((0, 0, 1, 3)))}
                files.faults, files.operations = Faults(rng.randrange(100), errors), 0
                lives_until_the_power_goes(rng, files, model)
                outcomes = [(files.crash(rng), model.copy()) for _ in range(4)]
                for disk, after in outcomes:
                    crashes += 1
                    store = opened(disk)
                    check(store, after)
                    store.rotate()
                    check(store, after)
                    report = store.check()
                    assert (report.rotating, report.broken, report.single) == (False, (), ())
                files, model = outcomes[0]


def new_place(rng: random.Random) -> LossyFiles:
    files = LossyFiles(rng)
    MasterKeyFile(files, "master.key").create()
    SlotFileKeyStore.create(files, MasterKeyFile(files, "master.key"), "us")
    return files


def lives_until_the_power_goes(rng: random.Random, files: LossyFiles, model: Model) -> None:
    try:
        Run(rng, files, model).live(steps=rng.randrange(5, 40))
    except PowerCut:
        return


def test_a_rotation_cut_at_any_step_is_finished_by_the_next() -> None:
    rng = random.Random(1)
    original = new_place(rng)
    run = Run(rng, original, Model())
    for action in (run.create, run.create, run.put, run.create, run.destroy):
        action()
    steps = 0
    while True:
        disk = original.crash(rng, Faults(cut_at=steps))
        try:
            opened(disk).rotate()
        except PowerCut:
            pass
        else:
            break
        for _ in range(10):
            again = disk.crash(rng)
            model = run.model.copy()
            check(opened(again), model)
            store = opened(again)
            assert store.rotate() in (2, 3)
            check(store, model)
            assert not store.check().rotating
        steps += 1
    assert steps > 10


@pytest.mark.parametrize("damaged", [0, 1])
def test_a_rotation_with_damaged_copies_survives_pages_that_turn_to_rubbish(damaged: int) -> None:
    """One copy of a slot and of the header is bad already: the good one is never the first to be written."""
    rng = random.Random(damaged)
    original = new_place(rng)
    run = Run(rng, original, Model())
    for action in (run.create, run.create, run.put, run.create, run.destroy):
        action()
    file = original.open(("keys", "slots"), writable=True)
    for at in (damaged * PAGE, half_at(sorted(run.model.keys)[0], damaged)):
        file.write_at(rng.randbytes(HALF), at)
    file.sync()
    steps = 0
    while True:
        disk = original.crash(rng, Faults(cut_at=steps // 4))
        try:
            opened(disk).rotate()
        except PowerCut:
            pass
        else:
            break
        for _ in range(10):
            check(opened(disk.crash(rng, garble=True)), run.model.copy())
        steps += 1
    assert steps > 40


def test_a_destruction_cut_half_way_counts_and_is_completed_at_the_next_start() -> None:
    seen = set()
    for steps in range(4):
        for seed in range(20):
            rng = random.Random(seed)
            files = new_place(rng)
            store = opened(files)
            slot = store.create_case_key("c" * 32)
            files.faults.cut_at = files.operations + steps
            with suppress(PowerCut):
                store.destroy_case_key(slot, "c" * 32, AT)
            disk = files.crash(rng)
            keys_left = len(sealed_in(disk))
            seen.add(keys_left)
            stones = opened(disk).tombstones()
            assert stones == ([] if keys_left == 2 else [Tombstone("c" * 32, AT)])
            if stones:
                assert sealed_in(disk.crash(rng)) == []
                with pytest.raises(Purged):
                    opened(disk).case_key(slot, "c" * 32)
    assert seen == {0, 1, 2}


def test_the_making_of_a_key_store_cut_at_any_step_can_be_repeated() -> None:
    rng = random.Random(1)
    steps = 0
    while True:
        files = LossyFiles(rng, Faults(cut_at=steps))
        try:
            MasterKeyFile(files, "master.key").create()
            SlotFileKeyStore.create(files, MasterKeyFile(files, "master.key"), "us")
        except PowerCut:
            pass
        else:
            break
        for _ in range(20):
            again = files.crash(rng)
            master_keys = MasterKeyFile(again, "master.key")
            with suppress(FileExistsError):
                master_keys.create()
            with suppress(FileExistsError):
                SlotFileKeyStore.create(again, master_keys, "us")
            store = opened(again)
            assert store.case_key(store.create_case_key("c" * 32), "c" * 32)
        steps += 1
    assert steps > 8


@pytest.mark.parametrize("failing", range(4))
def test_what_a_failed_sync_left_on_the_disk_is_gone_when_the_destruction_is_repeated(failing: int) -> None:
    """After a failed fsync the tombstone is seen, and the key is still on the disk."""
    for seed in range(20):
        rng = random.Random(seed)
        files = new_place(rng)
        store = opened(files)
        case, account = store.create_case_key("c" * 32), store.put_secret("account", b"word")
        sealed = [piece for piece in sealed_in(files) if piece]
        for act in (
            lambda store=store, slot=case: store.destroy_case_key(slot, "c" * 32, AT),
            lambda store=store, slot=account: store.erase_secret(slot, "account"),
        ):
            files.faults.errors = {files.operations + failing: errno.EIO}
            with suppress(StorageFailed):
                act()
            files.faults.errors = {}
            act()
        left = sealed_in(files.crash(rng))
        assert len(sealed) == 4
        assert not set(sealed) & set(left)


def sealed_in(files: LossyFiles) -> list[bytes]:
    """What the slots hold, but for their kind and owner."""
    file = files.open(("keys", "slots"))
    found = []
    for slot in range(16):
        for half in (0, 1):
            content = file.read_at(HALF, half_at(slot, half))
            if content[1] in (Kind.CASE_KEY, Kind.SECRET):
                found.append(content[16:28])
    return found

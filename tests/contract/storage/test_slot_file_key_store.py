"""What the key store on disk promises beyond the port: wrong or missing master keys, several processes, traces of a key."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
import gc
import multiprocessing
import os
from pathlib import Path
import random

import pytest

from eft.domain.errors import KeyUnavailable, Purged
from eft.storage.files import RegionFiles
from eft.storage.key_format import CHUNK, HALF, Slot, half_at, slots_in
from eft.storage.keys import SlotFileKeyStore
from eft.storage.master_key import MasterKeyFile
from eft.storage.ports import Tombstone

CASE = "c" * 32
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("eft.storage.slot_file.GROWTH", 8 * CHUNK)
    for name in ("root", "secrets"):
        (tmp_path / name).mkdir()
    MasterKeyFile.at(tmp_path / "secrets" / "master.key").create()
    SlotFileKeyStore.create(RegionFiles(tmp_path / "root"), master_keys(tmp_path), "us")
    return tmp_path


def master_keys(place: Path) -> MasterKeyFile:
    return MasterKeyFile.at(place / "secrets" / "master.key")


def opened(place: Path) -> SlotFileKeyStore:
    return SlotFileKeyStore(RegionFiles(place / "root"), master_keys(place), "us")


def slots(place: Path) -> Path:
    return place / "root" / "keys" / "slots"


def test_nothing_starts_without_the_master_key(place: Path) -> None:
    (place / "secrets" / "master.key").unlink()
    with pytest.raises(KeyUnavailable, match="does not exist"):
        opened(place)
    with pytest.raises(KeyUnavailable, match="directory"):
        MasterKeyFile.at(place / "nowhere" / "master.key")


def test_nothing_starts_with_another_master_key(place: Path) -> None:
    (place / "secrets" / "master.key").unlink()
    master_keys(place).create()
    with pytest.raises(KeyUnavailable, match="not the one"):
        opened(place)


def test_nothing_starts_without_the_key_store_or_with_another_regions(place: Path) -> None:
    with pytest.raises(KeyUnavailable, match="region us"):
        SlotFileKeyStore(RegionFiles(place / "root"), master_keys(place), "emea")
    slots(place).unlink()
    with pytest.raises(KeyUnavailable, match="no key store"):
        opened(place)


def test_a_key_store_is_never_made_over_another(place: Path) -> None:
    slot = opened(place).create_case_key(CASE)
    with pytest.raises(FileExistsError):
        SlotFileKeyStore.create(RegionFiles(place / "root"), master_keys(place), "us")
    with pytest.raises(FileExistsError):
        master_keys(place).create()
    assert opened(place).case_key(slot, CASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_master_key_file_that_others_can_use_is_refused(place: Path, mode: int) -> None:
    file = place / "secrets" / "master.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(mode)
    with pytest.raises(KeyUnavailable, match="others"):
        opened(place)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"format": "other", "generations": {}}', '{"format": "eft master key 1", "generations": {"1": "QQ=="}}'],
)
def test_a_damaged_master_key_file_is_refused(place: Path, content: str) -> None:
    (place / "secrets" / "master.key").write_text(content)
    with pytest.raises(KeyUnavailable, match="damaged"):
        opened(place)


def test_no_key_is_readable_in_the_slot_file(place: Path) -> None:
    store = opened(place)
    slot, secret = store.create_case_key(CASE), store.put_secret("account", b"a password")
    stored = slots(place).read_bytes()
    assert store.case_key(slot, CASE) not in stored
    assert store.secret(secret, "account") not in stored
    assert slots(place).stat().st_mode & 0o777 == 0o600


def test_a_destroyed_key_is_overwritten_in_both_halves(place: Path) -> None:
    store = opened(place)
    slot = store.create_case_key(CASE)
    before = slots(place).read_bytes()
    store.destroy_case_key(slot, CASE, AT)
    after = slots(place).read_bytes()
    for half in (0, 1):
        at = half_at(slot, half)
        assert before[at + 30 : at + 400].strip(b"\0")[32:] not in after
    assert len(before) == len(after)


def test_a_destroyed_key_is_kept_nowhere_in_memory_not_even_sealed(place: Path) -> None:
    """Who has the memory of a worker has the master key too (P6)."""
    store = opened(place)
    slot = store.create_case_key(CASE)
    for _ in range(3):
        store.case_key(slot, CASE)
    store.destroy_case_key(slot, CASE, AT)
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Slot) and each.owner == CASE and each.sealed]


def test_an_erased_secret_leaves_zeros(place: Path) -> None:
    store = opened(place)
    slot = store.put_secret("account", b"a password")
    store.erase_secret(slot, "account")
    stored = slots(place).read_bytes()
    assert all(stored[half_at(slot, half) : half_at(slot, half) + HALF] == bytes(HALF) for half in (0, 1))


@pytest.mark.parametrize("half", [0, 1])
def test_one_damaged_half_costs_nothing_and_is_mended_by_a_rotation(place: Path, half: int) -> None:
    store = opened(place)
    slot = store.create_case_key(CASE)
    key = store.case_key(slot, CASE)
    overwrite(place, half_at(slot, half), random.Random(1).randbytes(HALF))
    assert opened(place).case_key(slot, CASE) == key
    assert store.check().single == (slot,)
    store.rotate()
    assert (store.check().single, store.case_key(slot, CASE)) == ((), key)


def test_a_rotation_does_not_drop_the_old_master_key_over_a_damaged_slot(place: Path) -> None:
    store = opened(place)
    slot, other = store.create_case_key(CASE), store.create_case_key("d" * 32)
    saved = slots(place).read_bytes()
    for half in (0, 1):
        overwrite(place, half_at(slot, half), b"damage")
    assert store.check().broken == (slot,)
    with pytest.raises(KeyUnavailable, match="damaged"):
        store.case_key(slot, CASE)
    with pytest.raises(KeyUnavailable, match="not destroyed"):
        store.rotate()
    assert store.check().rotating
    assert store.case_key(other, "d" * 32)
    for half in (0, 1):
        overwrite(place, half_at(slot, half), saved[half_at(slot, half) : half_at(slot, half) + HALF])
    store.rotate()
    assert not store.check().rotating
    assert store.case_key(slot, CASE)


def test_slots_cannot_be_swapped(place: Path) -> None:
    store = opened(place)
    first, second = store.create_case_key(CASE), store.create_case_key("d" * 32)
    stored = slots(place).read_bytes()
    for half in (0, 1):
        overwrite(place, half_at(second, half), stored[half_at(first, half) : half_at(first, half) + HALF])
    with pytest.raises(KeyUnavailable):
        store.case_key(second, CASE)


def test_a_rotation_leaves_nothing_that_the_old_master_key_opens(place: Path) -> None:
    store = opened(place)
    slot, old = store.create_case_key(CASE), (place / "secrets" / "master.key").read_bytes()
    copy = slots(place).read_bytes()
    store.rotate()
    store.rotate()
    assert list(master_keys(place).generations()) == [3]
    (place / "secrets" / "master.key").write_bytes(old)
    with pytest.raises(KeyUnavailable):
        opened(place)
    slots(place).write_bytes(copy)
    assert opened(place).case_key(slot, CASE)


def test_the_old_master_key_file_is_overwritten_and_not_just_unlinked(place: Path) -> None:
    file = place / "secrets" / "master.key"
    with file.open("rb") as old:
        opened(place).rotate()
        assert old.read().strip(b"\0") == b""
    assert [entry.name for entry in (place / "secrets").iterdir()] == ["master.key"]


def test_another_process_notices_a_rotation(place: Path) -> None:
    here, elsewhere = opened(place), opened(place)
    slot = here.create_case_key(CASE)
    key = elsewhere.case_key(slot, CASE)
    for _ in range(3):
        here.rotate()
        assert elsewhere.case_key(slot, CASE) == key
        later = elsewhere.create_case_key("d" * 32)
        assert here.case_key(later, "d" * 32) == elsewhere.case_key(later, "d" * 32)
    elsewhere.destroy_case_key(slot, CASE, AT)
    with pytest.raises(Purged):
        here.case_key(slot, CASE)
    assert here.tombstones() == [Tombstone(CASE, AT)]


def test_the_file_grows_and_never_shrinks(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eft.storage.slot_file.GROWTH", CHUNK)
    store = opened(place)
    size = slots(place).stat().st_size
    numbers = [store.put_secret(f"account {number}", b"word") for number in range(slots_in(size) + 10)]
    assert slots(place).stat().st_size == size + 2 * CHUNK
    for number, slot in enumerate(numbers):
        store.erase_secret(slot, f"account {number}")
    assert slots(place).stat().st_size == size + 2 * CHUNK
    assert (store.check().secrets, opened(place).put_secret("again", b"word")) == (0, 0)


def test_an_export_opens_with_the_master_key_alone(place: Path) -> None:
    store = opened(place)
    slot = store.create_case_key(CASE)
    key = store.case_key(slot, CASE)
    store.export(place / "backup")
    slots(place).unlink()
    slots(place).write_bytes((place / "backup").read_bytes())
    assert opened(place).case_key(slot, CASE) == key


def create_some(place: Path, worker: int) -> list[tuple[int, str, bytes]]:
    store, made = opened(place), []
    for number in range(25):
        case = f"{worker:016x}{number:016x}"
        slot = store.create_case_key(case)
        made.append((slot, case, store.case_key(slot, case)))
        if number == 10 and worker == 0:
            store.rotate()
    return made


def test_processes_create_slots_at_once_beside_a_rotation(place: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        made = [entry for result in processes.map(create_some, [place] * 4, range(4)) for entry in result]
    assert len({slot for slot, _, _ in made}) == len({key for _, _, key in made}) == 100
    store = opened(place)
    assert all(store.case_key(slot, case) == key for slot, case, key in made)
    assert (store.check().live, store.check().generation) == (100, 2)


def overwrite(place: Path, at: int, content: bytes) -> None:
    descriptor = os.open(slots(place), os.O_WRONLY)
    os.pwrite(descriptor, content, at)
    os.close(descriptor)

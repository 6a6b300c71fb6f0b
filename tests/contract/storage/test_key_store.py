"""What every key store promises."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
import random
import stat

import pytest

from eft.domain.errors import KeyUnavailable, Purged
from eft.storage.files import Files, RegionFiles
from eft.storage.keys import SlotFileKeyStore
from eft.storage.master_key import MasterKeyFile
from eft.storage.memory import MemoryKeyStore
from eft.storage.ports import KeyStore, Tombstone
from tests.crash.lossy_files import LossyFiles

CASE, OTHER_CASE = "c" * 32, "d" * 32
AT = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


def new_store(files: Files) -> KeyStore:
    master_keys = MasterKeyFile(files, "master.key")
    master_keys.create()
    return SlotFileKeyStore.create(files, master_keys, "us")


@pytest.fixture(params=["local disk", "lossy disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    (tmp_path / "root").mkdir()
    makers: dict[str, Callable[[], KeyStore]] = {
        "local disk": lambda: new_store(RegionFiles(tmp_path / "root")),
        "lossy disk": lambda: new_store(LossyFiles(random.Random(1))),
        "memory": MemoryKeyStore,
    }
    return makers[request.param]()


def test_a_case_key_is_random_and_comes_back(store: KeyStore) -> None:
    first, second = store.create_case_key(CASE), store.create_case_key(OTHER_CASE)
    assert first != second
    assert len(store.case_key(first, CASE)) == 32
    assert store.case_key(first, CASE) == store.case_key(first, CASE) != store.case_key(second, OTHER_CASE)


def test_a_slot_answers_only_for_its_owner(store: KeyStore) -> None:
    slot, secret = store.create_case_key(CASE), store.put_secret("account", b"word")
    for number, owner in ((slot, OTHER_CASE), (secret, CASE), (secret, "account"), (secret + 1, CASE), (10**9, CASE), (-1, CASE)):
        with pytest.raises(KeyUnavailable):
            store.case_key(number, owner)
    for number, owner in ((slot, CASE), (secret, "other"), (secret + 1, "account")):
        with pytest.raises(KeyUnavailable):
            store.secret(number, owner)


def test_a_destroyed_key_is_gone_and_leaves_a_tombstone(store: KeyStore) -> None:
    slot, other = store.create_case_key(CASE), store.create_case_key(OTHER_CASE)
    store.destroy_case_key(slot, CASE, AT)
    with pytest.raises(Purged) as refused:
        store.case_key(slot, CASE)
    assert refused.value.at == AT
    assert store.tombstones() == [Tombstone(CASE, AT)]
    assert store.case_key(other, OTHER_CASE)


def test_destroying_again_changes_nothing(store: KeyStore) -> None:
    slot = store.create_case_key(CASE)
    store.destroy_case_key(slot, CASE, AT)
    store.destroy_case_key(slot, CASE, AT + timedelta(days=1))
    assert store.tombstones() == [Tombstone(CASE, AT)]


def test_nobody_elses_key_is_destroyed(store: KeyStore) -> None:
    slot, secret = store.create_case_key(CASE), store.put_secret(OTHER_CASE, b"word")
    for number in (slot, secret):
        with pytest.raises(KeyUnavailable):
            store.destroy_case_key(number, OTHER_CASE, AT)
    assert store.case_key(slot, CASE)
    assert store.secret(secret, OTHER_CASE) == b"word"
    assert store.tombstones() == []


def test_the_slot_of_a_tombstone_is_never_used_again(store: KeyStore) -> None:
    slot = store.create_case_key(CASE)
    store.destroy_case_key(slot, CASE, AT)
    assert slot not in {store.create_case_key(CASE) for _ in range(20)}
    store.erase_secret(slot, CASE)
    assert store.tombstones() == [Tombstone(CASE, AT)]


def test_a_secret_comes_back_until_it_is_erased(store: KeyStore) -> None:
    slot = store.put_secret("account", b"pass\0word")
    assert store.secret(slot, "account") == b"pass\0word"
    store.erase_secret(slot, "other")
    assert store.secret(slot, "account") == b"pass\0word"
    store.erase_secret(slot, "account")
    store.erase_secret(slot, "account")
    with pytest.raises(KeyUnavailable):
        store.secret(slot, "account")


def test_an_erased_slot_is_used_again_and_not_erased_by_its_old_owner(store: KeyStore) -> None:
    slot = store.put_secret("first", b"1")
    store.erase_secret(slot, "first")
    assert store.put_secret("second", b"2") == slot
    store.erase_secret(slot, "first")
    assert store.secret(slot, "second") == b"2"


def test_a_secret_that_is_too_long_is_refused(store: KeyStore) -> None:
    assert store.secret(store.put_secret("x" * 128, b"y" * 256), "x" * 128) == b"y" * 256
    with pytest.raises(ValueError):
        store.put_secret("account", bytes(257))
    with pytest.raises(ValueError):
        store.put_secret("x" * 129, b"word")


def test_rotation_keeps_everything(store: KeyStore) -> None:
    cases = {store.create_case_key(f"{number:032x}"): f"{number:032x}" for number in range(30)}
    keys = {slot: store.case_key(slot, case) for slot, case in cases.items()}
    secret = store.put_secret("account", b"word")
    gone = store.create_case_key(CASE)
    store.destroy_case_key(gone, CASE, AT)
    before = store.check().generation
    assert store.rotate() == before + 1
    assert store.rotate() == before + 2
    assert {slot: store.case_key(slot, case) for slot, case in cases.items()} == keys
    assert store.secret(secret, "account") == b"word"
    assert store.tombstones() == [Tombstone(CASE, AT)]
    report = store.check()
    assert (report.generation, report.live, report.secrets, report.tombstones) == (before + 2, 30, 1, 1)
    assert (report.rotating, report.broken, report.single) == (False, (), ())


def test_threads_get_slots_of_their_own(store: KeyStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        slots = list(threads.map(lambda number: store.create_case_key(f"{number:032x}"), range(60)))
    assert len(set(slots)) == 60
    assert len({store.case_key(slot, f"{number:032x}") for number, slot in enumerate(slots)}) == 60


def test_an_export_is_for_its_owner_alone_and_never_overwrites(store: KeyStore, tmp_path: Path) -> None:
    slot = store.create_case_key(CASE)
    target = tmp_path / "keys.backup"
    store.export(target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert store.case_key(slot, CASE) not in target.read_bytes()
    with pytest.raises(FileExistsError):
        store.export(target)

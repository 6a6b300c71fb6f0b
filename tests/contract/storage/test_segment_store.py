"""What every segment store promises."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
from pathlib import Path
import random

import pytest

from eft.domain.digests import RunningDigest
from eft.domain.errors import NotFound, StorageFailed, Tampered
from eft.storage.files import RegionFiles
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.memory import MemorySegments
from eft.storage.ports import Durable, SegmentId, SegmentStore
from eft.storage.segment_format import BLOCK
from tests.crash.lossy_files import LossyFiles

CASE, OTHER_CASE = "c" * 32, "d" * 32
UPLOAD, OTHER_UPLOAD = "a" * 32, "b" * 32
FIRST = SegmentId(CASE, UPLOAD, 1)
KEY = bytes(range(32))
SIZES = (0, 1, 100, 65_535, 65_536, 65_537, BLOCK - 1, BLOCK, BLOCK + 1, 16 * BLOCK, 16 * BLOCK + 1, 3_000_000)


@pytest.fixture(params=["local disk", "lossy disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SegmentStore:
    makers: dict[str, Callable[[], SegmentStore]] = {
        "local disk": lambda: LocalDiskSegments(RegionFiles(tmp_path), "us"),
        "lossy disk": lambda: LocalDiskSegments(LossyFiles(random.Random(1)), "us"),
        "memory": MemorySegments,
    }
    return makers[request.param]()


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def content(store: SegmentStore, id: SegmentId = FIRST, *, settle: bool = False, end: int | None = None) -> tuple[Durable, bytes]:
    reader = store.open(id, KEY, settle=settle, end=end)
    try:
        return reader.durable, reader.read(reader.durable.start, reader.durable.end)
    finally:
        reader.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("start", [0, 7, 10 * BLOCK + 3])
def test_what_was_committed_reads_back_exactly(store: SegmentStore, size: int, start: int) -> None:
    data = some_bytes(size)
    writer = store.create(FIRST, KEY, start)
    writer.append([data[: size // 3], b"", data[size // 3 :]])
    assert writer.position == start + size
    assert writer.durable == start
    assert writer.commit(b"state") == start + size == writer.durable
    for settle in (False, True):
        assert content(store, settle=settle) == (Durable(start, start + size, b"state"), data)


def test_any_range_reads_back_exactly(store: SegmentStore) -> None:
    data, start = some_bytes(5 * BLOCK + 17), 1000
    writer = store.create(FIRST, KEY, start)
    writer.append([data])
    writer.commit(None)
    reader = store.open(FIRST, KEY)
    edges = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK, 5 * BLOCK + 1, len(data)]
    for first in edges:
        for last in edges:
            if first <= last:
                assert reader.read(start + first, start + last) == data[first:last]


def test_a_read_outside_of_what_is_durable_is_refused(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 10)
    writer.append([b"0123456789"])
    writer.commit(None)
    reader = store.open(FIRST, KEY)
    for start, stop in ((9, 12), (15, 21), (16, 15)):
        with pytest.raises(ValueError):
            reader.read(start, stop)


def test_many_small_appends_equal_one_large(store: SegmentStore) -> None:
    data = some_bytes(300_000)
    writer = store.create(FIRST, KEY, 0)
    for at in range(0, len(data), 7919):
        writer.append([data[at : at + 7919]])
        if at % 5 == 0:
            writer.commit(None)
    writer.commit(None)
    assert content(store)[1] == data


def test_nothing_is_durable_before_the_commit(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 5)
    writer.append([some_bytes(200_000)])
    assert content(store) == (Durable(5, 5, None), b"")
    writer.commit(b"one")
    writer.append([some_bytes(200_000)])
    assert content(store)[0] == Durable(5, 200_005, b"one")


def test_rollback_forgets_what_was_not_committed(store: SegmentStore) -> None:
    kept, dropped, then = some_bytes(100_001, 1), some_bytes(300_000, 2), some_bytes(250_000, 3)
    writer = store.create(FIRST, KEY, 0)
    writer.append([kept])
    writer.commit(b"kept")
    writer.append([dropped])
    assert writer.rollback() == len(kept) == writer.position
    assert content(store) == (Durable(0, len(kept), b"kept"), kept)
    writer.append([then])
    writer.commit(b"then")
    assert content(store) == (Durable(0, 350_001, b"then"), kept + then)


def test_rollback_before_any_commit_leaves_an_empty_segment(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 42)
    writer.append([some_bytes(100_000)])
    assert writer.rollback() == 42
    writer.append([b"x"])
    writer.commit(None)
    assert content(store) == (Durable(42, 43, None), b"x")


def test_the_digest_state_can_be_dropped(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 0)
    writer.append([b"abc"])
    writer.commit(b"state")
    writer.commit(None)
    assert content(store)[0] == Durable(0, 3, None)


def test_the_digest_goes_on_from_its_state(store: SegmentStore) -> None:
    data = some_bytes(100_003)
    running = RunningDigest()
    running.update(data)
    writer = store.create(FIRST, KEY, 0)
    writer.append([data])
    writer.commit(running.export())
    state = content(store)[0].digest
    assert state is not None
    restored = RunningDigest.restore(state)
    assert restored is not None
    restored.update(b"more")
    assert restored.hexdigest() == hashlib.sha256(data + b"more").hexdigest()


def test_a_digest_state_that_is_too_long_is_refused(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 0)
    with pytest.raises(ValueError):
        writer.commit(bytes(1000))


def test_an_open_reader_does_not_see_later_commits(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 0)
    writer.append([b"one"])
    writer.commit(None)
    reader = store.open(FIRST, KEY)
    for _ in range(5):
        writer.append([some_bytes(70_000)])
        writer.commit(None)
    assert reader.durable == Durable(0, 3, None)
    assert reader.read(0, 3) == b"one"


def test_a_known_end_is_where_the_segment_ends(store: SegmentStore) -> None:
    data = some_bytes(200_000)
    writer = store.create(FIRST, KEY, 100)
    writer.append([data[:150_000]])
    writer.commit(b"first")
    writer.append([data[150_000:]])
    writer.commit(b"second")
    assert content(store, end=200_100) == (Durable(100, 200_100, b"second"), data)
    end, read = content(store, end=150_100)
    assert (end.start, end.end, read) == (100, 150_100, data[:150_000])
    assert content(store, end=120_000) == (Durable(100, 120_000, None), data[:119_900])
    assert content(store, end=100) == (Durable(100, 100, None), b"")


def test_a_segment_that_ends_before_its_known_end_is_tampered(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 0)
    writer.append([b"abc"])
    writer.commit(None)
    with pytest.raises(Tampered):
        store.open(FIRST, KEY, end=4)
    with pytest.raises(Tampered):
        store.open(FIRST, bytes(32), end=3)


def test_another_key_opens_nothing(store: SegmentStore) -> None:
    store.create(FIRST, KEY, 0).commit(None)
    with pytest.raises(Tampered):
        store.open(FIRST, bytes(32))


def test_an_epoch_is_created_once(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 0)
    writer.append([b"abc"])
    writer.commit(None)
    with pytest.raises(FileExistsError):
        store.create(FIRST, KEY, 0)
    assert content(store)[1] == b"abc"


def test_what_is_not_there_is_not_found(store: SegmentStore) -> None:
    with pytest.raises(NotFound):
        store.open(FIRST, KEY)
    with pytest.raises(NotFound):
        store.open(FIRST, KEY, settle=True, end=7)


def test_epochs_are_listed_in_order_for_their_upload_alone(store: SegmentStore) -> None:
    assert store.epochs(CASE, UPLOAD) == []
    for epoch in (10, 2, 0):
        store.create(SegmentId(CASE, UPLOAD, epoch), KEY, 0).close()
    store.create(SegmentId(CASE, OTHER_UPLOAD, 5), KEY, 0).close()
    assert store.epochs(CASE, UPLOAD) == [0, 2, 10]
    assert store.epochs(CASE, OTHER_UPLOAD) == [5]
    assert store.epochs(OTHER_CASE, UPLOAD) == []


def test_delete_takes_one_segment_and_can_be_repeated(store: SegmentStore) -> None:
    for epoch in (1, 2):
        store.create(SegmentId(CASE, UPLOAD, epoch), KEY, 0).close()
    store.delete(FIRST)
    store.delete(FIRST)
    assert store.epochs(CASE, UPLOAD) == [2]
    store.delete(SegmentId(OTHER_CASE, UPLOAD, 1))


def test_delete_case_takes_all_of_it_and_can_be_repeated(store: SegmentStore) -> None:
    for case in (CASE, OTHER_CASE):
        for upload in (UPLOAD, OTHER_UPLOAD):
            writer = store.create(SegmentId(case, upload, 1), KEY, 0)
            writer.append([some_bytes(100_000)])
            writer.commit(None)
            writer.close()
    assert store.cases() == [CASE, OTHER_CASE]
    assert not store.absent(CASE)
    store.delete_case(CASE)
    store.delete_case(CASE)
    assert store.absent(CASE)
    assert not store.absent(OTHER_CASE)
    assert store.cases() == [OTHER_CASE]
    assert content(store, SegmentId(OTHER_CASE, UPLOAD, 1))[1] == some_bytes(100_000)
    store.create(FIRST, KEY, 0).close()
    assert store.cases() == [CASE, OTHER_CASE]


def test_ids_that_were_not_generated_are_refused(store: SegmentStore) -> None:
    for bad in ("", "..", "../x", "A" * 32, "a" * 31, "a" * 33, "a" * 31 + "/", "a" * 31 + "\0", "a" * 32 + "\n"):
        with pytest.raises(ValueError):
            store.create(SegmentId(bad, UPLOAD, 1), KEY, 0)
        with pytest.raises(ValueError):
            store.open(SegmentId(CASE, bad, 1), KEY)
        with pytest.raises(ValueError):
            store.epochs(bad, UPLOAD)
        with pytest.raises(ValueError):
            store.delete_case(bad)
        with pytest.raises(ValueError):
            store.absent(bad)
    with pytest.raises(ValueError):
        store.create(SegmentId(CASE, UPLOAD, -1), KEY, 0)


def test_a_closed_writer_takes_nothing(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 0)
    writer.close()
    writer.close()
    for call in (lambda: writer.append([b"x"]), lambda: writer.commit(None), writer.rollback):
        with pytest.raises(StorageFailed):
            call()


def test_a_closed_reader_reads_nothing(store: SegmentStore) -> None:
    writer = store.create(FIRST, KEY, 0)
    writer.append([some_bytes(100_000)])
    writer.commit(None)
    reader = store.open(FIRST, KEY)
    reader.close()
    reader.close()
    with pytest.raises(StorageFailed):
        reader.read(0, 100_000)

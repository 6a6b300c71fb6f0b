"""What segments on a local disk promise beyond the port: that damage is found, and that nothing outside the root is opened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
import random
import subprocess
import sys
import textwrap

import pytest

from eft.domain.errors import NotFound, Tampered
from eft.storage.files import RegionFiles
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.ports import SegmentId
from eft.storage.segment_format import BLOCK, HEADER, STORED, block_at, slot_at

CASE, UPLOAD, KEY = "c" * 32, "a" * 32, bytes(range(32))
ID = SegmentId(CASE, UPLOAD, 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def segment(
    root: Path, size: int = 5 * BLOCK + 1000, id: SegmentId = ID, commits: int = 2, region: str = "us"
) -> tuple[Path, bytes]:
    """A finished segment: its file and its content."""
    data = random.Random(1).randbytes(size)
    writer = LocalDiskSegments(RegionFiles(root), region).create(id, KEY, 0)
    for number in range(commits):
        writer.append([data[size * number // commits : size * (number + 1) // commits]])
        writer.commit(b"state")
    writer.close()
    return root / "segments" / id.case / f"{id.upload}-{id.epoch}.seg", data


def read_all(root: Path, size: int, id: SegmentId = ID, region: str = "us", end: int | None = None) -> bytes:
    return LocalDiskSegments(RegionFiles(root), region).open(id, KEY, end=end).read(0, size)


def flip(file: Path, at: int) -> None:
    with file.open("r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)
        handle.seek(at)
        handle.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("at", [0, 1, 8, 40, 56, 79, 87, HEADER - 1])
def test_an_altered_header_is_found(root: Path, at: int) -> None:
    file, data = segment(root)
    flip(file, at)
    with pytest.raises(Tampered):
        read_all(root, len(data))


@pytest.mark.parametrize("block", range(5))
@pytest.mark.parametrize("at", [0, 11, 12, 40_000, STORED - 1])
def test_an_altered_block_is_not_given_out(root: Path, block: int, at: int) -> None:
    file, data = segment(root)
    flip(file, block_at(block) + at)
    with pytest.raises(Tampered):
        read_all(root, len(data), end=len(data))
    reader = LocalDiskSegments(RegionFiles(root), "us").open(ID, KEY, end=len(data))
    for other in range(5):
        if other != block:
            assert reader.read(other * BLOCK, (other + 1) * BLOCK) == data[other * BLOCK : (other + 1) * BLOCK]


def test_blocks_that_changed_places_are_found(root: Path) -> None:
    file, data = segment(root)
    stored = bytearray(file.read_bytes())
    first, second = block_at(0), block_at(1)
    stored[first : first + STORED], stored[second : second + STORED] = (
        stored[second : second + STORED],
        stored[first : first + STORED],
    )
    file.write_bytes(stored)
    with pytest.raises(Tampered):
        read_all(root, len(data), end=len(data))


def test_slots_that_changed_places_are_found(root: Path) -> None:
    file, data = segment(root)
    stored = bytearray(file.read_bytes())
    size = slot_at(1) - slot_at(0)
    stored[slot_at(0) : slot_at(1)], stored[slot_at(1) : slot_at(1) + size] = (
        stored[slot_at(1) : slot_at(1) + size],
        stored[slot_at(0) : slot_at(1)],
    )
    file.write_bytes(stored)
    with pytest.raises(Tampered):
        read_all(root, len(data))


def test_a_segment_under_another_name_or_region_is_found(root: Path) -> None:
    file, data = segment(root)
    for other in (SegmentId(CASE, UPLOAD, 2), SegmentId(CASE, "b" * 32, 1), SegmentId("d" * 32, UPLOAD, 1)):
        target = root / "segments" / other.case / f"{other.upload}-{other.epoch}.seg"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes())
        with pytest.raises(Tampered):
            read_all(root, len(data), other)
    with pytest.raises(Tampered):
        read_all(root, len(data), region="emea")


def test_a_file_cut_short_is_found(root: Path) -> None:
    file, data = segment(root)
    os.truncate(file, block_at(2))
    with pytest.raises(Tampered):
        read_all(root, len(data), end=len(data))


def test_without_its_newest_record_the_commit_before_counts(root: Path) -> None:
    file, data = segment(root)
    flip(file, slot_at(1) + 100)
    reader = LocalDiskSegments(RegionFiles(root), "us").open(ID, KEY)
    assert reader.durable.end == len(data) // 2
    with pytest.raises(Tampered):
        read_all(root, len(data), end=len(data))


def test_a_segment_that_lost_both_records_is_not_taken_for_an_empty_one(root: Path) -> None:
    file, _ = segment(root)
    flip(file, slot_at(0) + 100)
    flip(file, slot_at(1) + 100)
    with pytest.raises(Tampered):
        read_all(root, 0)


def test_a_file_without_a_header_is_not_found(root: Path) -> None:
    file, _ = segment(root, commits=1)
    for size in (0, 10, HEADER - 1):
        os.truncate(file, size)
        with pytest.raises(NotFound):
            read_all(root, 0)
    os.truncate(file, 0)
    os.truncate(file, slot_at(1))
    with pytest.raises(NotFound):
        read_all(root, 0)


def test_nothing_readable_is_in_the_file(root: Path) -> None:
    writer = LocalDiskSegments(RegionFiles(root), "us").create(ID, KEY, 0)
    writer.append([b"a secret of the customer" * 10_000])
    writer.commit(None)
    stored = (root / "segments" / CASE / f"{UPLOAD}-1.seg").read_bytes()
    assert b"secret of the" not in stored
    assert KEY not in stored


def test_files_and_directories_are_for_their_owner_alone(root: Path) -> None:
    file, _ = segment(root)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_reader_beside_a_writer_always_sees_a_whole_commit(root: Path) -> None:
    data = random.Random(3).randbytes(4_000_000)
    store = LocalDiskSegments(RegionFiles(root), "us")
    writer = store.create(ID, KEY, 0)
    writer.append([data[:1]])
    writer.commit(b"")

    def write() -> None:
        for at in range(1, len(data), 20_011):
            writer.append([data[at : at + 20_011]])
            writer.commit(b"")

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(write)
        last = 0
        while not done.done():
            reader = store.open(ID, KEY)
            end = reader.durable.end
            assert end >= last
            assert reader.read(max(0, end - 100_000), end) == data[max(0, end - 100_000) : end]
            reader.close()
            last = end
        done.result()
    assert read_all(root, len(data)) == data


def test_links_are_not_followed(root: Path) -> None:
    outside = root / "outside"
    outside.mkdir()
    inside = root / "inside"
    inside.mkdir()
    files = RegionFiles(inside)
    (inside / "link").symlink_to(outside)
    (outside / "file").write_text("x")
    (inside / "file").symlink_to(outside / "file")
    for act in (
        lambda: files.open(("file",)),
        lambda: files.create(("file",)),
        lambda: files.open(("link", "file")),
        lambda: files.create(("link", "new")),
        lambda: files.list(("link",)),
        lambda: files.make_directory(("link",)),
        lambda: files.sync_directory(("link",)),
        lambda: files.lock(("file",)).__enter__(),
    ):
        with pytest.raises(OSError):
            act()
    assert sorted(entry.name for entry in outside.iterdir()) == ["file"]


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "/etc", "a\0b"])
def test_a_component_that_is_no_name_is_refused(root: Path, bad: str) -> None:
    files = RegionFiles(root)
    for act in (
        files.open,
        files.create,
        files.list,
        files.make_directory,
        files.remove,
        files.remove_directory,
        files.sync_directory,
    ):
        for where in ((bad,), (bad, "x"), ("x", bad)):
            with pytest.raises(ValueError):
                act(where)
    with pytest.raises(ValueError):
        files.replace(("x",), (bad,))


def test_storage_opens_nothing_outside_of_its_root(root: Path) -> None:
    """Every path handed to the operating system is one bare component, and the working directory is one that no longer exists:
    what is opened can only be below the root's descriptor."""
    program = textwrap.dedent("""
        import os, sys
        from datetime import UTC, datetime
        from eft.storage.files import RegionFiles
        from eft.storage.keys import SlotFileKeyStore
        from eft.storage.local_disk import LocalDiskSegments
        from eft.storage.master_key import MasterKeyFile
        from eft.storage.ports import SegmentId

        watching, seen = False, []
        PATHS = {"open": 1, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.rename": 2, "os.listdir": 1, "os.scandir": 1,
                 "os.link": 2, "os.symlink": 2, "os.truncate": 1, "os.chmod": 1, "os.chdir": 1}

        def watch(event, arguments):
            if watching and event in PATHS:
                seen.extend((event, path) for path in arguments[: PATHS[event]] if not isinstance(path, int))

        def work(store, keys, id):
            slot = keys.create_case_key(id.case)
            key = keys.case_key(slot, id.case)
            writer = store.create(id, key, 0)
            writer.append([bytes(200_000)])
            writer.commit(None)
            writer.close()
            reader = store.open(id, key, settle=True)
            assert reader.read(0, 200_000) == bytes(200_000)
            reader.close()
            store.epochs(id.case, id.upload), store.cases()
            keys.rotate(), keys.check(), keys.tombstones()
            keys.destroy_case_key(slot, id.case, datetime(2026, 1, 1, tzinfo=UTC))
            store.delete(id)
            store.delete_case(id.case)
            assert store.absent(id.case)

        root, nowhere = sys.argv[1:]
        files = RegionFiles(root)
        master_keys = MasterKeyFile(files, "master.key")
        master_keys.create()
        keys = SlotFileKeyStore.create(files, master_keys, "us")
        store = LocalDiskSegments(files, "us")
        work(store, keys, SegmentId("c" * 32, "a" * 32, 1))
        sys.addaudithook(watch)
        os.mkdir(nowhere)
        os.chdir(nowhere)
        os.rmdir(nowhere)
        watching = True
        work(store, keys, SegmentId("d" * 32, "b" * 32, 1))
        watching = False
        events = {event for event, _ in seen}
        assert {"open", "os.mkdir", "os.remove", "os.rmdir", "os.rename"} <= events, events
        wrong = [(event, path) for event, path in seen if "/" in path or path in (".", "..", "")]
        assert not wrong, wrong
        print(len(seen))
    """)
    (root / "region").mkdir()
    arguments = [sys.executable, "-c", program, str(root / "region"), str(root / "nowhere")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50

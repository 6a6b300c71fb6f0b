"""The space that uploads leave to the database."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from eft.domain.errors import StorageFailed, StorageFull
from eft.storage.memory import MemorySegments
from eft.storage.ports import SegmentId
from eft.storage.reserve import Reserve, ReservingSegments

MIB = 1024 * 1024
ID = SegmentId("a" * 32, "b" * 32, 1)
KEY = bytes(32)


class Disk:
    """A file system of so many bytes, as the operating system tells it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int, free: int) -> None:
        self.free = free
        monkeypatch.setattr(
            os, "statvfs", lambda _: SimpleNamespace(f_blocks=size // 4096, f_frsize=4096, f_bavail=self.free // 4096)
        )


@pytest.mark.parametrize(
    ("size", "reserve"), [(64 * MIB, 4 * MIB), (4096 * MIB, 256 * MIB), (1024 * 1024 * MIB, 256 * MIB)], ids=str
)
def test_the_reserve_is_a_sixteenth_and_at_most_256_mib(monkeypatch: pytest.MonkeyPatch, size: int, reserve: int) -> None:
    disk = Disk(monkeypatch, size, reserve)
    Reserve(Path("/")).check()
    with pytest.raises(StorageFull):
        Reserve(Path("/")).check(4096)
    disk.free = reserve - 4096
    with pytest.raises(StorageFull):
        Reserve(Path("/")).check()


def test_what_is_set_counts_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, 64 * MIB, MIB)
    Reserve(Path("/"), 0).check(MIB)
    with pytest.raises(StorageFull):
        Reserve(Path("/"), MIB).check(1)


def test_a_file_system_that_cannot_be_asked_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        Reserve(tmp_path / "gone").check()


def test_only_what_takes_space_is_refused_and_what_was_taken_can_be_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, 64 * MIB, 32 * MIB)
    store = ReservingSegments(MemorySegments(), Reserve(Path("/")))
    writer = store.create(ID, KEY, 0)
    writer.append([b"abc"])
    disk.free = 4 * MIB - 4096
    with pytest.raises(StorageFull):
        writer.append([b"def"])
    assert (writer.position, writer.commit(None)) == (3, 3)
    with pytest.raises(StorageFull):
        store.create(SegmentId("a" * 32, "b" * 32, 2), KEY, 3)
    assert store.open(ID, KEY).read(0, 3) == b"abc"
    assert (store.epochs(ID.case, ID.upload), store.cases(), store.absent(ID.case)) == ([1], [ID.case], False)
    writer.close()
    store.delete(ID)
    assert store.epochs(ID.case, ID.upload) == []

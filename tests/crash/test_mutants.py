"""The crash tests can fail: each of these gateways lacks one thing that durability hangs on, and is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eft.storage.key_format import Slot
from eft.storage.local_disk import LocalDiskSegments
from eft.storage.segment_writer import SegmentFileWriter
from eft.storage.slot_file import Halves, SlotFile, pack_slot
from eft.transfers import publication
from eft.transfers.reception import Reception
from tests.crash.crashes import Violation, crashes
from tests.crash.machine import Machine
from tests.crash.stories import STORIES
from tests.crash.test_fencing import orders

POWER_CUTS = 4


def is_found_out(region: Machine, name: str) -> None:
    """Somewhere in the story."""
    (story,) = (story for story in STORIES if story.name == name)
    with pytest.raises(Violation):
        for crash in crashes(region, story, power_cuts=POWER_CUTS):
            crash.recovers()
            crash.and_keeps_its_word()


@pytest.mark.parametrize("name", ["a large file in one POST", "parts", "put of a large file"])
def test_without_the_fsync_of_the_directory(region: Machine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(LocalDiskSegments, "_publish", lambda *_: None)
    is_found_out(region, name)


@pytest.mark.parametrize("name", ["a large file in one POST", "parts", "commits of tails", "put of a large file"])
def test_without_the_fdatasync_of_the_segment(region: Machine, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def hasty(writer: SegmentFileWriter, sync: Callable[[], None]) -> None:
        if sync == writer._publish:
            sync()

    monkeypatch.setattr(SegmentFileWriter, "_sync", hasty)
    is_found_out(region, name)


def test_without_the_fence(region: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_to_all(*_: object) -> None:
        return

    monkeypatch.setattr("eft.transfers.hold.check_fence", open_to_all)
    with pytest.raises(AssertionError, match="acknowledged"):
        list(orders(region, taker_goes_on=False))


def test_with_a_taker_that_believes_what_it_sees_in_memory(region: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = LocalDiskSegments.open

    def hasty(store: LocalDiskSegments, *args: Any, settle: bool = False, end: int | None = None) -> Any:
        return honest(store, *args, settle=False, end=end)

    monkeypatch.setattr(LocalDiskSegments, "open", hasty)
    is_found_out(region, "commits of tails")


def test_with_a_key_that_is_not_synced(region: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(slots: SlotFile, before: Halves, content: Slot | None) -> None:
        assert content is not None
        for half in (0, 1):
            slots.write_half(before.number, half, pack_slot(before.number, content))

    monkeypatch.setattr(SlotFile, "write", hasty)
    is_found_out(region, "a small file in one POST")


def test_with_a_recovery_that_takes_for_whole_what_is_there(region: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reception, "length", property(lambda reception: reception.offset))
    monkeypatch.setattr(publication, "check_whole", lambda length, size: None)
    is_found_out(region, "parts")

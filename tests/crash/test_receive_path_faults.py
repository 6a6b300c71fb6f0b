"""The disk fails or is full at each step of a story: the right error is told, nothing acknowledged is lost, and the customer goes
on afterwards in the same life of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
import copy
from dataclasses import dataclass, field
import errno
import os
import random
import shutil

import pytest

from eft.domain.errors import EftError, StorageFailed, StorageFull
from tests.crash.aftermath import nothing_is_lost_and_all_comes_to_a_right_end, what_was_told_still_holds
from tests.crash.crashes import prepared
from tests.crash.customer import Customer
from tests.crash.machine import Machine, Site, live
from tests.crash.nonces import watched_nonces
from tests.crash.stories import STORIES, Story

NAMES = (
    "a small file in one POST",
    "a large file in one POST",
    "parts",
    "parts with checksums, one of them damaged",
    "parts on two workers",
    "closing and reopening the case",
    "put of a small file",
    "put of a large file",
    "a small file resumed while it settles",
    "a large file resumed after publication",
    "a settling file overwritten",
    "a rename from a temporary name",
    "termination",
    "deletion of the version that refers to another",
    "purge",
)
SOME = [story for story in STORIES if story.name in NAMES]
RIGHT = {errno.ENOSPC: (StorageFull, StorageFailed), errno.EIO: (StorageFailed,)}
"""What the customer may hear. A sync that says that the disk is full has failed like any other."""


@dataclass
class FaultyLife:
    """The story with some of its steps failing; then the disk is well again, and the customer goes on."""

    story: Story
    failing: range
    error: int
    machine: Machine
    customer: Customer
    told: list[EftError] = field(default_factory=list)
    reached: bool = False

    async def happens(self, site: Site) -> None:
        disk = self.machine.disk
        begins = disk.operations
        disk.faults.errors = {begins + step: self.error for step in self.failing}
        try:
            await self.story.happens(site, self.customer)
        except EftError as failure:
            self.told.append(failure)
        self.reached = disk.operations > begins + self.failing.start
        disk.faults.errors = {}
        await nothing_is_lost_and_all_comes_to_a_right_end(site, self.customer)

    def __str__(self) -> str:
        return f"{self.story.name}, steps {self.failing}: {os.strerror(self.error)}; told: {self.told}"


def faulty_lives(region: Machine, story: Story, error: int, *, lasting: int) -> Iterator[FaultyLife]:
    """One for each step of the story, at which the error begins."""
    start, customer = prepared(region, story)
    life = FaultyLife(story, range(-1, 0), error, start, customer, reached=True)
    while life.reached:
        failing = range(life.failing.start + 1, life.failing.start + 1 + lasting)
        life = FaultyLife(story, failing, error, start.twin(start.disk.after_kill()), copy.deepcopy(customer))
        try:
            assert live(life.machine, life.happens)
        except Exception as failure:
            raise AssertionError(str(life)) from failure
        assert all(isinstance(failure, RIGHT[error]) for failure in life.told), str(life)
        yield life
        shutil.rmtree(life.machine.directory)
    shutil.rmtree(start.directory)


@pytest.mark.parametrize("error", RIGHT, ids=errno.errorcode.get)
@pytest.mark.parametrize("story", SOME, ids=lambda story: story.name)
def test_a_step_that_fails_loses_nothing_and_the_upload_goes_on(region: Machine, story: Story, error: int) -> None:
    with watched_nonces():
        for life in faulty_lives(region, story, error, lasting=1):
            after = life.machine.twin(life.machine.disk.after_power_cut(random.Random(str(life))))
            assert live(after, lambda site, life=life: what_was_told_still_holds(site, life.customer))  # type: ignore[misc]
            shutil.rmtree(after.directory)


@pytest.mark.parametrize("story", SOME[1:8], ids=lambda story: story.name)
def test_a_disk_that_stays_full_for_a_while_loses_nothing_either(region: Machine, story: Story) -> None:
    for _ in faulty_lives(region, story, errno.ENOSPC, lasting=9):
        continue

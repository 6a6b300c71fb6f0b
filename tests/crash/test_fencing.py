"""Two writers of one upload whose steps come in any order, and one that is killed at any step while another lives.

The first writer is halted at each of its steps in turn; the second takes over and goes on; then the first is let on. It hears of
nothing: only the epoch in the database is between the two (DESIGN §4.2, fencing).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
import copy
import random
import shutil
import threading
from typing import TypeVar

import pytest

from eft.db.engine import Connection
from eft.domain.errors import AlreadyFinished, EftError
from eft.domain.upload import Completeness
from tests.crash.aftermath import nothing_is_lost_and_all_comes_to_a_right_end, what_was_told_still_holds
from tests.crash.crashes import prepared
from tests.crash.customer import Customer, Sent, offer
from tests.crash.machine import CASE, Disk, Machine, Site, SteppedDatabase, Worker, live
from tests.crash.nonces import watched_nonces
from tests.crash.stories import LARGE, STORIES, Story, some_of_it

T = TypeVar("T")

WHOLE = LARGE + 1
"""Told that the file is received."""


class Gate:
    """Lets every step pass but one, which it holds until it is opened."""

    def __init__(self, halt_at: int) -> None:
        self._halt_at, self._passed = halt_at, 0
        self._lock = threading.Lock()
        self._opened = threading.Event()
        self.halts = threading.Event()

    def open(self) -> None:
        self._opened.set()

    def step(self) -> None:
        with self._lock:
            number, self._passed = self._passed, self._passed + 1
        if number == self._halt_at:
            self.halts.set()
            assert self._opened.wait(30)


class GatedDisk(Disk):
    """One process's view of the machine. Each of its changes passes the gate first."""

    gate = Gate(-1)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self.gate.step()
        with super()._changing():
            yield

    def step(self) -> None:
        """Transactions have gates around them: who is halted holds no lock of the database."""


class GatedDatabase(SteppedDatabase):
    gate = Gate(-1)

    async def read(self, work: Callable[[Connection], T], *, snapshot: bool = True) -> T:
        return await self._between_gates(super().read(work, snapshot=snapshot))

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._between_gates(super().write(work))

    async def _between_gates(self, work: Awaitable[T]) -> T:
        await asyncio.to_thread(self.gate.step)
        result = await work
        await asyncio.to_thread(self.gate.step)
        return result


async def deaf_worker(site: Site, gate: Gate) -> Worker:
    """One that nobody can ask to let go, and that is halted at a step."""
    disk = site.machine.disk.beside(GatedDisk)
    worker = await site.start_worker(disk, kind=GatedDatabase, run="elsewhere")
    assert isinstance(worker.database, GatedDatabase)
    disk.gate = worker.database.gate = gate
    return worker


async def write_all(worker: Worker, sent: Sent, told: list[int]) -> None:
    """In parts; notes what is acknowledged, the whole file at last."""
    reception = await worker.transfers.take(sent.upload_id, case_id=CASE)
    try:
        for stop in (300_000, 301_000, LARGE):
            await offer(reception, sent.content[reception.offset : stop])
            told.append(await reception.commit())
        await reception.finish(Completeness.DECLARED)
        told.append(WHOLE)
    finally:
        await reception.release()


async def contend(site: Site, sent: Sent, *, halt_at: int, taker_goes_on: bool) -> bool:
    """False where the first writer has no such step. What either was told is what `sent` was told."""
    gate, told = Gate(halt_at), list[int]()
    first = await deaf_worker(site, gate)
    writing = asyncio.create_task(write_all(first, sent, told))
    halting = asyncio.create_task(asyncio.to_thread(gate.halts.wait))
    await asyncio.wait({writing, halting}, return_when=asyncio.FIRST_COMPLETED)
    halted = gate.halts.is_set()
    gate.halts.set()
    with suppress(AlreadyFinished):
        taker = await site.transfers.take(sent.upload_id, case_id=CASE)
        assert all(offset <= taker.offset for offset in told), "a taker finds less than was acknowledged"
        sent.told(taker.offset)
        if taker_goes_on:
            await offer(taker, sent.content[taker.offset : taker.offset + 10_000])
            sent.told(await taker.commit())
        gate.open()
        await asyncio.wait({writing})
        await taker.release()
    gate.open()
    await asyncio.wait({writing})
    sent.received = WHOLE in told
    sent.told(max((offset for offset in told if offset != WHOLE), default=0))
    failure = writing.exception()
    assert failure is None or isinstance(failure, EftError), failure
    site.workers.remove(first)
    await first.die()
    return halted


def orders(region: Machine, *, taker_goes_on: bool) -> Iterator[int]:
    """Contends once for each step of the first writer, and lets the customer come to an end. Raises Violation."""
    start, customer = prepared(region, Story("contention", some_of_it, some_of_it))
    step, halted = 0, True
    while halted:
        machine, model = start.twin(start.disk.after_kill()), copy.deepcopy(customer)

        async def life(site: Site, model: Customer = model, step: int = step) -> None:
            nonlocal halted
            halted = await contend(site, model.files[0], halt_at=step, taker_goes_on=taker_goes_on)
            await nothing_is_lost_and_all_comes_to_a_right_end(site, model)

        assert live(machine, life)
        shutil.rmtree(machine.directory)
        yield step
        step += 1
    shutil.rmtree(start.directory)


@pytest.mark.parametrize("taker_goes_on", [False, True], ids=["a taker that waits", "a taker that goes on"])
def test_whatever_the_order_of_their_steps_a_displaced_writer_is_told_nothing(region: Machine, taker_goes_on: bool) -> None:
    with watched_nonces():
        assert len(list(orders(region, taker_goes_on=taker_goes_on))) > 20


ALONE = (
    "a large file in one POST",
    "parts",
    "commits of tails",
    "parts with checksums, one of them damaged",
    "put of a large file",
    "a small file resumed while it settles",
    "a large file resumed after publication",
)


@pytest.mark.parametrize("story", [story for story in STORIES if story.name in ALONE], ids=lambda story: story.name)
def test_a_worker_that_is_killed_at_any_step_leaves_its_uploads_to_another(region: Machine, story: Story) -> None:
    """And what was told then outlives a power cut."""
    start, customer = prepared(region, story)
    step, survived = 0, False
    while not survived:
        machine, model = start.twin(start.disk.after_kill()), copy.deepcopy(customer)

        async def life(site: Site, model: Customer = model, step: int = step) -> None:
            nonlocal survived
            survived = await killed_at(site, story, model, step)
            await nothing_is_lost_and_all_comes_to_a_right_end(site, model)

        assert live(machine, life), step
        after = machine.twin(machine.disk.after_power_cut(random.Random(step)))
        assert live(after, lambda site, model=model: what_was_told_still_holds(site, model)), step  # type: ignore[misc]
        for left in (machine, after):
            shutil.rmtree(left.directory)
        step += 1
    shutil.rmtree(start.directory)


async def killed_at(site: Site, story: Story, customer: Customer, step: int) -> bool:
    """A second worker of the site carries the story, and dies at the step. Whether it had come to the end."""
    disk = site.machine.disk.beside(Disk)
    worker = await site.start_worker(disk)
    site.workers.remove(worker)
    alone = Site(site.machine)
    alone.workers.append(worker)
    dead, loop = asyncio.Event(), asyncio.get_running_loop()
    disk.on_cut = lambda: loop.call_soon_threadsafe(dead.set)
    disk.cut_at = disk.operations + step
    carrying, dying = asyncio.create_task(story.happens(alone, customer)), asyncio.create_task(dead.wait())
    await asyncio.wait({carrying, dying}, return_when=asyncio.FIRST_COMPLETED)
    survived = not disk.is_off
    for task in (carrying, dying):
        task.cancel()
    await asyncio.wait({carrying, dying})
    await worker.die()
    return survived

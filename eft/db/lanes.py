"""Threads that carry out database work for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Protocol

from sqlalchemy import Connection


@dataclass(slots=True, eq=False)
class Unit:
    """One piece of work, and who waits for it. After it was run, `error` says that it failed, otherwise `result` counts."""

    work: Callable[[Connection], Any]
    snapshot: bool
    loop: asyncio.AbstractEventLoop
    waiting: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class Session(Protocol):
    """What one thread of a lane works with. It connects when it first must, and anew after a failure."""

    def run(self, units: list[Unit]) -> None:
        """Carries out the units and fills in how each ended; what is committed is durable on return. Raises nothing."""

    def close(self) -> None: ...


class Tally:
    """Counts from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.count = 0

    def add(self) -> None:
        with self._lock:
            self.count += 1


class Lane:
    """A queue of units and the threads that take from it, up to `most` units in one go.

    A unit that was submitted runs to its end, whatever becomes of the task that waits for it.
    """

    def __init__(self, name: str, session: Callable[[], Session], *, threads: int, most: int = 1) -> None:
        self._queue: SimpleQueue[Unit | None] = SimpleQueue()
        self._session = session
        self._most = most
        self._closed = False
        self._threads = [Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[Connection], Any], *, snapshot: bool) -> asyncio.Future[Any]:
        """The future of the work's result. Raises RuntimeError on a closed lane."""
        if self._closed:
            raise RuntimeError("the database is closed")
        loop = asyncio.get_running_loop()
        unit = Unit(work, snapshot, loop, loop.create_future())
        self._queue.put(unit)
        return unit.waiting

    def close(self) -> None:
        """Returns when all that was submitted is done. Idempotent."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        session = self._session()
        goes_on = True
        while goes_on:
            units, goes_on = self._take()
            if units:
                try:
                    session.run(units)
                except BaseException as error:  # a bug in a session: nobody may wait for ever because of it
                    for unit in units:
                        unit.error = unit.error or error
                _answer(units)
        session.close()

    def _take(self) -> tuple[list[Unit], bool]:
        """The next units, at least one unless the lane was closed, and whether to come again."""
        units: list[Unit] = []
        try:
            unit = self._queue.get()
            while unit is not None:
                units.append(unit)
                if len(units) == self._most:
                    return units, True
                unit = self._queue.get_nowait()
        except Empty:
            return units, True
        return units, False


def _answer(units: list[Unit]) -> None:
    """Wakes who waits: one call into each event loop, however many units there were."""
    for loop in {unit.loop for unit in units}:
        try:
            loop.call_soon_threadsafe(_settle, [unit for unit in units if unit.loop is loop])
        except RuntimeError:  # that loop is closed: nobody waits there any more
            continue


def _settle(units: Iterable[Unit]) -> None:
    for unit in units:
        if unit.waiting.done():  # its task was cancelled
            continue
        if unit.error is None:
            unit.waiting.set_result(unit.result)
        elif isinstance(unit.error, StopIteration):  # which a future cannot carry
            unit.waiting.set_exception(RuntimeError("database work raised StopIteration"))
        else:
            unit.waiting.set_exception(unit.error)

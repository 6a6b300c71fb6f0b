"""Several files at the same time, and one end for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import queue
import threading
from typing import Generic, TypeVar

from eft.client.errors import ClientError, Interrupted

T = TypeVar("T")
R = TypeVar("R")

_FAREWELL_S = 3.0


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """How it went with one of them: `result`, or what was wrong."""

    item: T
    result: R | None
    error: ClientError | None


def work_through(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    at_once: int,
    stop: threading.Event,
    ended: Callable[[Outcome[T, R]], None],
) -> list[Outcome[T, R]]:
    """Does `work` on all items, `at_once` at a time; `ended` is called for each, in the calling thread.

    What is wrong with one does not keep the others, unless it concerns all. Ctrl-C sets `stop`, waits a moment for the
    threads and raises KeyboardInterrupt.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    outcomes: queue.SimpleQueue[Outcome[T, R]] = queue.SimpleQueue()

    def loop() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                outcome = Outcome(item, work(item), None)
            except ClientError as error:
                outcome = Outcome[T, R](item, None, error)
            except Exception as error:
                outcome = Outcome[T, R](item, None, ClientError(f"Unexpected: {type(error).__name__}: {error}", "Report this."))
            outcomes.put(outcome)

    # Daemons: a thread that waits for a dead line does not keep the program.
    threads = [threading.Thread(target=loop, daemon=True) for _ in range(min(at_once, len(items)))]
    for thread in threads:
        thread.start()
    done: list[Outcome[T, R]] = []
    try:
        while any(thread.is_alive() for thread in threads) or not outcomes.empty():
            try:
                outcome = outcomes.get(timeout=0.1)
            except queue.Empty:
                continue
            done.append(outcome)
            if not isinstance(outcome.error, Interrupted):
                ended(outcome)
            if outcome.error is not None and outcome.error.concerns_all:
                stop.set()
    except KeyboardInterrupt:
        stop.set()
        for thread in threads:
            thread.join(_FAREWELL_S)
        raise
    return done

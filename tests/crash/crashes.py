"""Every way in which a story can be cut: each of its steps, and what may be left of the disk then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
import copy
from dataclasses import dataclass
import logging
import os
import random
import shutil

from tests.crash.aftermath import nothing_is_lost_and_all_comes_to_a_right_end, what_was_told_still_holds
from tests.crash.customer import Customer
from tests.crash.machine import Machine, Site, live
from tests.crash.stories import Story

POWER_CUTS = max(1, int(os.environ.get("EFT_CRASHES", "5000")) // 5000)
"""Outcomes of lost and torn writes that are tried at each step."""


class Violation(AssertionError):
    """A promise was broken. Says where."""


@dataclass
class Crash:
    """A machine that is off, and a customer who remembers what was told before."""

    story: Story
    step: int
    how: str
    machine: Machine
    customer: Customer
    rng: random.Random

    def recovers(self) -> None:
        """Started again, with no hand, the gateway keeps its word and brings all to its end. Raises Violation."""
        self._lives(nothing_is_lost_and_all_comes_to_a_right_end)

    def and_keeps_its_word(self) -> None:
        """What was told since is true after another power cut."""
        self._power_goes()
        self._lives(what_was_told_still_holds)

    def recovers_at_the_second_attempt(self) -> None:
        """The power goes once more while it recovers."""
        believed = self.customer
        cut_at = self.rng.randrange(40)
        live(self.machine, lambda site: nothing_is_lost_and_all_comes_to_a_right_end(site, believed), cut_at=cut_at)
        self.how += f", and again at step {cut_at} after that"
        self._power_goes()
        self._lives(nothing_is_lost_and_all_comes_to_a_right_end)

    def _power_goes(self) -> None:
        after = self.machine.twin(self.machine.disk.after_power_cut(self.rng))
        shutil.rmtree(self.machine.directory)
        self.machine = after

    def _lives(self, story: Callable[[Site, Customer], Awaitable[None]]) -> None:
        try:
            with no_job_fails():
                assert live(self.machine, lambda site: story(site, self.customer))
        except Exception as error:
            raise Violation(f"{self.story.name}, step {self.step}, {self.how}: {error!r}") from error


@contextmanager
def no_job_fails() -> Iterator[None]:
    """What jobs of the receive path only log is an error here."""
    failures: list[logging.LogRecord] = []
    watch = logging.Handler(logging.ERROR)
    watch.emit = failures.append  # type: ignore[method-assign]
    logger = logging.getLogger("eft.transfers.jobs")
    logger.addHandler(watch)
    try:
        yield
    finally:
        logger.removeHandler(watch)
    assert not failures, failures[0].exc_text or str(failures[0].exc_info)


def prepared(region: Machine, story: Story) -> tuple[Machine, Customer]:
    """The story's beginning has happened, and the gateway was stopped in order."""
    machine, customer = region.twin(region.disk.after_kill()), Customer()
    assert live(machine, lambda site: story.beginning(site, customer), orderly=True)
    return machine, customer


def crashes(region: Machine, story: Story, *, power_cuts: int = POWER_CUTS) -> Iterator[Crash]:
    """All crashes of the story, those at its end included: at every step the processes are killed, and the power goes."""
    start, customer = prepared(region, story)
    step, survived = 0, False
    while not survived:
        machine, model = start.twin(start.disk.after_kill()), copy.deepcopy(customer)
        survived = live(machine, lambda site, model=model: story.happens(site, model), cut_at=step)  # type: ignore[misc]
        for number in range(power_cuts + 1):
            rng = random.Random(f"{story.name} {step} {number}")
            how = f"power cut {number}" if number else "killed"
            left = machine.twin(machine.disk.after_power_cut(rng) if number else machine.disk.after_kill())
            crash = Crash(story, step, how, left, copy.deepcopy(model), rng)
            yield crash
            shutil.rmtree(crash.machine.directory)
        shutil.rmtree(machine.directory)
        step += 1
    shutil.rmtree(start.directory)

"""How often somebody may ask, by a clock that the test moves."""

from __future__ import annotations

from datetime import timedelta

from eft.http_resumable.pace import Pace
from eft.http_resumable.rates import Buckets
from tests.fixtures.services import MovableClock


def test_a_bucket_refills_evenly_and_never_overflows() -> None:
    clock = MovableClock()
    buckets = Buckets(6, clock)
    assert [buckets.take("a") for _ in range(8)] == [0, 0, 0, 0, 0, 0, 10, 10]
    clock.advance(timedelta(seconds=4))
    assert buckets.take("a") == 6
    clock.advance(timedelta(seconds=6))
    assert [buckets.take("a"), buckets.take("a")] == [0, 10]
    clock.advance(timedelta(hours=5))
    assert [buckets.take("a") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]


def test_what_was_refused_is_not_counted() -> None:
    clock = MovableClock()
    buckets = Buckets(1, clock)
    assert [buckets.take("a") for _ in range(5)] == [0, 60, 60, 60, 60]
    clock.advance(timedelta(seconds=60))
    assert buckets.take("a") == 0


def test_any_number_of_strangers_costs_bounded_memory() -> None:
    buckets = Buckets(1, MovableClock())
    for number in range(40_000):
        assert buckets.take(str(number)) == 0
    assert len(buckets._left) <= 16_384


def test_only_the_time_that_somebody_waited_counts_against_a_peer() -> None:
    pace = Pace(minimum=10, window_s=5)
    pace.waits(0)
    pace.came(1, 1)  # one second waited; then nobody waits for long
    assert not pace.is_too_slow(1000)
    pace.waits(1000)
    assert not pace.is_too_slow(1003.9)
    assert pace.is_too_slow(1004)


def test_a_window_in_which_enough_came_does_not_help_the_next() -> None:
    pace = Pace(minimum=10, window_s=5)
    pace.waits(0)
    pace.came(1, 1_000_000)
    pace.waits(1)
    assert not pace.is_too_slow(5)
    assert not pace.is_too_slow(9)
    assert pace.is_too_slow(10)


def test_without_a_minimum_only_silence_is_too_slow() -> None:
    pace = Pace(minimum=0, window_s=5)
    pace.waits(0)
    pace.came(4, 1)
    pace.waits(4)
    assert not pace.is_too_slow(6)
    assert pace.is_too_slow(11)

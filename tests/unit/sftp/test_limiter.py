"""Failed sign-ins are remembered by address, and forgotten."""

from __future__ import annotations

from datetime import UTC, datetime

from eft.sftp_temp import limiter
from eft.sftp_temp.limiter import AddressLimiter


class StillClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


def new(limit: int = 3) -> tuple[AddressLimiter, StillClock]:
    clock = StillClock()
    return AddressLimiter(clock, limit=limit, forgotten_after_s=10.0), clock


def test_an_address_is_blocked_at_the_limit_and_let_in_again() -> None:
    failures, clock = new()
    for _ in range(3):
        assert not failures.blocked("192.0.2.1")
        failures.failed("192.0.2.1")
    clock.seconds = 9.9
    assert failures.blocked("192.0.2.1")
    assert not failures.blocked("192.0.2.2")
    clock.seconds = 10.1
    assert not failures.blocked("192.0.2.1")


def test_what_turned_out_well_is_taken_back() -> None:
    failures, _ = new(limit=1)
    failures.failed("192.0.2.1")
    failures.forgive("192.0.2.1")
    assert not failures.blocked("192.0.2.1")
    failures.forgive("192.0.2.1")
    failures.failed("192.0.2.1")
    assert failures.blocked("192.0.2.1")


def test_a_network_of_64_bits_counts_as_one_address() -> None:
    failures, _ = new(limit=2)
    failures.failed("2001:db8::1")
    failures.failed("2001:db8::2%eth0")
    assert failures.blocked("2001:db8:0:0:ffff::3")
    assert not failures.blocked("2001:db8:0:1::1")
    failures.failed("::ffff:192.0.2.1")
    failures.failed("192.0.2.1")
    assert failures.blocked("::ffff:192.0.2.1")


def test_memory_is_bounded() -> None:
    failures, _ = new()
    for number in range(limiter.ADDRESSES + 100):
        failures.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(failures._failures) == limiter.ADDRESSES

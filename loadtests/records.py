"""What a load test saw, request by request, and what is said of it: failures, percentiles, throughput."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import math

MIB = 1024 * 1024
FILE = "FILE "
"""Kinds that begin so are whole files, from creation to verified end; all others are single requests."""


@dataclass(frozen=True)
class Record:
    """`at_s` seconds after the start it ended; it took `took_ms` and moved `size` bytes. `failure` is empty if all was well."""

    at_s: float
    kind: str
    took_ms: float
    size: int
    failure: str

    @property
    def is_file(self) -> bool:
        return self.kind.startswith(FILE)


@dataclass(frozen=True)
class Kind:
    """All requests of one kind. Times in milliseconds, of those that did not fail."""

    name: str
    count: int
    failed: int
    p50: float
    p95: float
    p99: float
    slowest: float


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that is not exceeded by `percent` of all (nearest rank); 0 where there is none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1]


def by_kind(records: Iterable[Record]) -> list[Kind]:
    """In alphabetical order, whole files first."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.kind, []).append(record)
    kinds = []
    for name in sorted(found, key=lambda name: (not name.startswith(FILE), name)):
        took = [each.took_ms for each in found[name] if not each.failure]
        failed = len(found[name]) - len(took)
        middle, high, higher = (percentile(took, percent) for percent in (50, 95, 99))
        kinds.append(Kind(name, len(found[name]), failed, middle, high, higher, max(took, default=0.0)))
    return kinds


def failures(records: Iterable[Record]) -> list[tuple[str, str, int]]:
    """Kind, what was said, how often; the most frequent first."""
    counted = Counter((each.kind, each.failure) for each in records if each.failure)
    return [(kind, said, count) for (kind, said), count in counted.most_common()]


def per_second(records: Iterable[Record], seconds: float, *, width_s: float = 1.0) -> list[tuple[float, float, float]]:
    """For each `width_s` from the start: when it begins, MiB/s of whole files that ended in it, and requests a second."""
    slots = max(1, math.ceil(seconds / width_s))
    moved, asked = [0.0] * slots, [0] * slots
    for record in records:
        slot = min(slots - 1, int(record.at_s / width_s))
        if record.is_file:
            moved[slot] += 0 if record.failure else record.size
        else:
            asked[slot] += 1
    return [(slot * width_s, moved[slot] / MIB / width_s, asked[slot] / width_s) for slot in range(slots)]


def table(kinds: Iterable[Kind]) -> list[str]:
    lines = ["| what | how many | failed | p50, ms | p95, ms | p99, ms | slowest, ms |", "|---|---|---|---|---|---|---|"]
    for each in kinds:
        times = " | ".join(f"{value:.0f}" for value in (each.p50, each.p95, each.p99, each.slowest))
        lines.append(f"| {each.name} | {each.count} | {each.failed} | {times} |")
    return lines

"""Whether something stays flat: a straight line through samples, and how much it rises in an hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import statistics

HOUR_S = 3600.0


@dataclass(frozen=True)
class Fit:
    """`per_hour`: how much the line rises in an hour; `middle`: the median of the samples; `most`: the largest of them."""

    per_hour: float
    middle: float
    most: float

    def is_flat(self, share: float, at_least: float) -> bool:
        """Whether it rises in an hour by no more than `share` of the median, or by `at_least` where that is more."""
        return self.per_hour <= max(share * self.middle, at_least)


def fit(samples: Sequence[tuple[float, float]], *, after_s: float = 0.0) -> Fit:
    """Least squares over the samples (seconds, value) from `after_s` on. Raises ValueError where there are fewer than two."""
    chosen = [(at, value) for at, value in samples if at >= after_s]
    if len(chosen) < 2:
        raise ValueError("a line needs two samples")
    times, values = [at for at, _ in chosen], [value for _, value in chosen]
    slope = statistics.linear_regression(times, values).slope
    return Fit(slope * HOUR_S, statistics.median(values), max(values))

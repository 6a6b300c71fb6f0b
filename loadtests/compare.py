"""One slice of a bench: a workload, done by several servers in turn, and the rows that it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
import statistics
import subprocess
import time
from typing import Any, Protocol

from loadtests.measure import Figure, run
from loadtests.servers import fate


class Failed(Exception):
    """A server did not do what the workload asks; the reason."""


class Server(Protocol):
    """What is measured, whatever it speaks."""

    name: str
    pid: int

    def clear(self) -> None: ...


@dataclass
class Outcome:
    """What a slice measured. `unit`: "GiB", or the thing that is counted; `units`: how many of them a run moves."""

    title: str
    unit: str
    units: float
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Outcome:
        figures = {server: [Figure(**one) for one in found] for server, found in told["figures"].items()}
        return cls(told["title"], told["unit"], told["units"], figures, told["failed"], told["took_s"])


@dataclass(frozen=True)
class Against:
    """Whom a table compares with: the best of those of `servers` that were measured."""

    heading: str
    servers: tuple[str, ...]


def alternate(
    outcome: Outcome,
    targets: list[Any],
    warm: Callable[[Any], float | None],
    work: Callable[[Any], float | None],
    *,
    rounds: int,
    seconds: float,
    clear: bool,
    say: Callable[[str], None],
) -> None:
    """Every round all servers in turn, after one that is smaller and does not count. Ends early when another round would be over
    after more than `seconds`; one round is always made. `clear`: what a run left is deleted. A server that fails is left out
    from then on, and named."""
    began, longest, left = time.monotonic(), 0.0, list(targets)
    for attempt in range(rounds + 1):
        if attempt > 1 and time.monotonic() - began + longest > seconds:
            say(f"{outcome.title}: {attempt - 1} of {rounds} rounds, for want of time")
            break
        round_began = time.monotonic()
        for target in list(left):
            try:
                figure = run(partial(work if attempt else warm, target), target.pid)
                if clear:
                    target.clear()
            except (Failed, OSError, subprocess.SubprocessError) as failure:
                why = outcome.failed[target.name] = f"{failure}{fate(target.pid)}"
                left.remove(target)
                say(f"{outcome.title}: {target.name} FAILED: {why}")
                continue
            if attempt:
                outcome.figures.setdefault(target.name, []).append(figure)
                speed = f"{speed_of(outcome, figure):.0f} {'MiB/s' if outcome.unit == 'GiB' else outcome.unit + 's/s'}"
                say(f"{outcome.title}, round {attempt} of {rounds}: {target.name}, {speed} in {figure.wall_s:.1f} s")
        if attempt:
            longest = max(longest, time.monotonic() - round_began)
    outcome.took_s = time.monotonic() - began


def speed_of(outcome: Outcome, figure: Figure) -> float:
    """MiB/s, or things a second."""
    return outcome.units * (1024 if outcome.unit == "GiB" else 1) / figure.wall_s


def cost_of(outcome: Outcome, figure: Figure) -> float:
    """CPU seconds for each GiB, or CPU milliseconds for each thing."""
    return figure.cpu_s / outcome.units * (1 if outcome.unit == "GiB" else 1000)


def head(against: list[Against]) -> list[str]:
    cells = ["workload", "server"]
    cells += [f"speed against {one.heading}" for one in against] + [f"CPU against {one.heading}" for one in against]
    cells += ["MiB/s, or things/s (lowest to highest)", "server CPU s/GiB, or ms each (lowest to highest)"]
    cells += ["largest RSS, MiB", "rounds"]
    return [_line(cells), _line(["---"] * len(cells))]


def rows(outcome: Outcome, against: list[Against]) -> list[str]:
    """One for each server: ratios of medians first, then medians and their spread."""
    speeds = {server: [speed_of(outcome, one) for one in found] for server, found in outcome.figures.items()}
    costs = {server: [cost_of(outcome, one) for one in found] for server, found in outcome.figures.items()}
    speed = {server: statistics.median(found) for server, found in speeds.items()}
    cost = {server: statistics.median(found) for server, found in costs.items()}
    lines = []
    for server, found in outcome.figures.items():
        cells = [outcome.title, server]
        cells += [_ratio(speed[server], [speed[one] for one in each.servers if one in speed], max) for each in against]
        cells += [_ratio(cost[server], [cost[one] for one in each.servers if one in cost], min) for each in against]
        cells += [_spread(speeds[server], 0), _spread(costs[server], 2)]
        cells += [f"{max(one.rss_mib for one in found):.0f}", str(len(found))]
        lines.append(_line(cells))
    return lines


def _ratio(own: float, others: list[float], best: Callable[[list[float]], float]) -> str:
    """Two digits; a dash where there is nobody to compare with."""
    return f"{own / best(others):.2f}" if others and best(others) else "-"


def _spread(values: list[float], digits: int) -> str:
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"

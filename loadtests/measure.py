"""How a run is measured: wall time of the client, CPU time and memory of the server's processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import os
from pathlib import Path
import statistics
import time

TICKS = os.sysconf("SC_CLK_TCK")
GIB = 1024**3
MIB = 1024**2


@dataclass(frozen=True)
class Figure:
    """One run: seconds of wall time, seconds of server CPU, and the server's largest resident set in MiB since its start."""

    wall_s: float
    cpu_s: float
    rss_mib: float


@dataclass(frozen=True)
class Summary:
    """Medians over the runs, and the spread of throughput."""

    mib_s: float
    low_mib_s: float
    high_mib_s: float
    cpu_s_gib: float
    rss_mib: float

    @classmethod
    def of(cls, figures: list[Figure], size: int) -> Summary:
        speeds = [size / MIB / figure.wall_s for figure in figures]
        cpu = statistics.median(figure.cpu_s * GIB / size for figure in figures)
        return cls(statistics.median(speeds), min(speeds), max(speeds), cpu, max(figure.rss_mib for figure in figures))


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, as they are now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo.extend(children.get(one, []))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree below `pid`, with children that have ended and were waited for."""
    total = 0
    for one in tree(pid):
        fields = _stat(one)
        if fields:
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def peak_rss_mib(pid: int) -> float:
    """The largest resident set that any process of the tree has had, in MiB."""
    largest = 0
    for one in tree(pid):
        try:
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    largest = max(largest, int(line.split()[1]))
        except OSError:
            continue
    return largest / 1024


def run(work: Callable[[], None], server_pid: int) -> Figure:
    """One run of `work` against the server whose processes descend from `server_pid`."""
    before = cpu_seconds(server_pid)
    began = time.perf_counter()
    work()
    wall = time.perf_counter() - began
    time.sleep(0.3)
    return Figure(wall, cpu_seconds(server_pid) - before, peak_rss_mib(server_pid))


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []

"""How a run is measured: wall time of the client, CPU time and memory of the server's processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import os
from pathlib import Path
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
GIB = 1024**3
MIB = 1024**2

WATCH_S = 0.25
"""How often memory is looked at while a run goes on: a process that lives shorter may be missed."""


@dataclass(frozen=True)
class Figure:
    """One run: seconds of wall time, seconds of server CPU, and the largest resident set of one server process in MiB."""

    wall_s: float
    cpu_s: float
    rss_mib: float


@dataclass(frozen=True)
class Load:
    """What the processes of a server take now: MiB resident together, open file descriptors, threads."""

    rss_mib: float
    descriptors: int
    threads: int


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
    """The largest resident set that any process of the tree has had since `forget_peaks`, in MiB."""
    return max((_status(one).get("VmHWM", 0) for one in tree(pid)), default=0) / 1024


def forget_peaks(pid: int) -> None:
    """What is largest counts from now on (proc_pid_clear_refs(5), value 5)."""
    for one in tree(pid):
        try:
            Path(f"/proc/{one}/clear_refs").write_text("5")
        except OSError:
            continue


def load(pid: int) -> Load:
    """Of all processes of the tree."""
    rss = descriptors = threads = 0
    for one in tree(pid):
        try:
            descriptors += len(os.listdir(f"/proc/{one}/fd"))
        except OSError:
            continue
        status = _status(one)
        rss += status.get("VmRSS", 0)
        threads += status.get("Threads", 0)
    return Load(rss / 1024, descriptors, threads)


def worker_of(pid: int) -> int:
    """The process of the tree that is the largest: of a gateway with one worker, that worker."""
    return max(tree(pid), key=lambda one: _status(one).get("VmRSS", 0))


class Peaks:
    """Looks at the memory of a server while something runs, its short-lived processes included."""

    def __init__(self, pid: int) -> None:
        self._pid, self._ended = pid, threading.Event()
        self.rss_mib = 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peaks:
        forget_peaks(self._pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.rss_mib = max(self.rss_mib, peak_rss_mib(self._pid))

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_S):
            self.rss_mib = max(self.rss_mib, peak_rss_mib(self._pid))


def run(work: Callable[[], float | None], server_pid: int) -> Figure:
    """One run of `work` against the server whose processes descend from `server_pid`. `work` may give its own seconds.

    What others left to be written is on the disk before it begins, so that nobody waits for another's pages.
    """
    os.sync()
    with Peaks(server_pid) as peaks:
        before = cpu_seconds(server_pid)
        began = time.perf_counter()
        told = work()
        wall = time.perf_counter() - began
        time.sleep(0.3)
        cpu = cpu_seconds(server_pid) - before
    return Figure(wall if told is None else told, cpu, peaks.rss_mib)


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _status(pid: int) -> dict[str, int]:
    """The numbers of /proc/PID/status: sizes in KiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        first = rest.split()[:1]
        if first and first[0].isdigit():
            found[name] = int(first[0])
    return found

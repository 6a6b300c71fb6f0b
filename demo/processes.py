"""The demo's processes: started apart from the terminal, remembered by id and birth, ended with all their children."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import signal
import subprocess
import time


@dataclass(frozen=True)
class Process:
    """A process that the demo started. `born` is its start time in clock ticks since boot: ids are used again, births are not."""

    name: str
    pid: int
    born: int

    @property
    def is_alive(self) -> bool:
        return born(self.pid) == self.born


def born(pid: int) -> int | None:
    """When a process was started, or None where there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def start(name: str, command: list[str], log: Path) -> Process:
    """Starts `command` in a process group of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, close_fds=True
        )
    return Process(name, child.pid, born(child.pid) or 0)


def stop(processes: list[Process], patience_s: float = 15.0) -> None:
    """Asks them to end, and after `patience_s` seconds ends them, with what they started."""
    alive = [process for process in processes if process.is_alive]
    for process in alive:
        os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while any(process.is_alive for process in alive) and time.monotonic() < deadline:
        _reap()
        time.sleep(0.05)
    for process in alive:
        if process.is_alive:
            os.killpg(process.pid, signal.SIGKILL)
    _reap()


def remember(file: Path, processes: list[Process]) -> None:
    replacement = file.with_suffix(".new")
    replacement.write_text(json.dumps([asdict(process) for process in processes]))
    replacement.replace(file)


def remembered(file: Path) -> list[Process]:
    """The processes of an earlier start that still live."""
    try:
        found = [Process(**entry) for entry in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError):
        return []
    return [process for process in found if process.is_alive]


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return

"""How far it is: bars with speed and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from eft.client.clock import MonotonicClock

LINE_EVERY_S = 10.0
_NAME_WIDTH = 32


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Quiet:
    """Says nothing."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return

    def at(self, item: Named, offset: int, size: int | None) -> None:
        return

    def note(self, item: Named, text: str) -> None:
        return

    def ended(self, item: Named, line: str) -> None:
        return

    def say(self, text: str) -> None:
        return


class Bars(Quiet):
    """One bar for each file on its way, and one for all where there are several."""

    def __init__(self, total: int, files: int) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            refresh_per_second=5,
        )
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._offsets: dict[str, int] = {}
        self._all = self._progress.add_task(f"{files} files", total=total or None) if files > 1 else None

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def at(self, item: Named, offset: int, size: int | None) -> None:
        with self._lock:
            if item.name not in self._tasks:
                self._tasks[item.name] = self._progress.add_task(_short(item.name), total=size, completed=offset)
            moved = offset - self._offsets.get(item.name, 0)
            self._offsets[item.name] = offset
            self._progress.update(self._tasks[item.name], completed=offset, total=size)
            if self._all is not None:
                self._progress.advance(self._all, moved)

    def note(self, item: Named, text: str) -> None:
        self.say(f"{item.name}: {text}")

    def ended(self, item: Named, line: str) -> None:
        with self._lock:
            task = self._tasks.pop(item.name, None)
        if task is not None:
            self._progress.remove_task(task)
        self.say(line)

    def say(self, text: str) -> None:
        # A file's name may hold what rich or the terminal would obey.
        self._console.print(Text(printable(text)), soft_wrap=True, highlight=False)


class Lines(Quiet):
    """A line for what happens, and every ten seconds one for each file on its way. For logs."""

    def __init__(self, clock: MonotonicClock) -> None:
        self._console = Console(stderr=True, force_terminal=False, no_color=True)
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> Lines:
        return self

    def at(self, item: Named, offset: int, size: int | None) -> None:
        now = self._clock.monotonic()
        with self._lock:
            at, before = self._last.setdefault(item.name, (now, offset))
            if now - at < LINE_EVERY_S:
                return
            self._last[item.name] = (now, offset)
        speed = max(0.0, (offset - before) / (now - at))
        mib = 1024 * 1024
        if size is None:
            self.say(f"{item.name}: {offset / mib:.0f} MiB, {speed / mib:.1f} MiB/s")
            return
        left = f", {_span((size - offset) / speed)} left" if speed else ""
        self.say(
            f"{item.name}: {100 * offset // max(size, 1)} % of {size / mib:.0f} MiB, {speed / mib:.1f} MiB/s{left}",
        )

    def note(self, item: Named, text: str) -> None:
        self.say(f"{item.name}: {text}")

    def ended(self, item: Named, line: str) -> None:
        with self._lock:
            self._last.pop(item.name, None)
        self.say(line)

    def say(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True, highlight=False)


def printable(text: str) -> str:
    """`text` without what would steer a terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _NAME_WIDTH else "…" + name[1 - _NAME_WIDTH :]


def _span(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"

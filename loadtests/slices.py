"""The slices of a bench: what each measures, its figures kept in var/bench, and the table that is written of all that there are.

Every slice ends within its minutes, so that a bench can be made by hand, slice by slice, on a machine that is quiet for a while
only; a slice that is made again replaces its figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
import json
from pathlib import Path
import resource
import signal
import sys
import tempfile
import time
from typing import Any

from loadtests.compare import Against, Outcome, alternate, head, rows
from loadtests.machine import described
from loadtests.servers import ROOT, Absent

RESULTS = Path(__file__).parent / "results"
KEPT = ROOT / "var" / "bench"

ROUNDS, SIZE_MIB, FILES, MINUTES = 5, 1024, 10_000, 9.0
QUICK_ROUNDS, QUICK_SIZE_MIB, QUICK_FILES, QUICK_MINUTES = 1, 128, 2000, 0.5
NOT_QUICK = frozenset({"without-streams", "without-small", "put-chacha", "get-chacha", "asyncssh"})
"""What a quick bench leaves out unless it is asked for."""

METHOD = (
    "All servers in turn in each round, after a smaller round that does not count; medians, and in brackets the lowest and the "
    "highest. What runs left to be written is on the disk before the next begins. CPU is the server's processes alone; RSS is "
    "the largest resident set of one of them in a run of that workload. eft verifies (SHA-256), seals (AES-256-GCM) and makes "
    "durable (fdatasync, and its database's) what it takes; the peers do none of the three, and store in files. On a virtual "
    "machine page faults cost more than on metal, which flatters servers of one process."
)


@dataclass(frozen=True)
class Slice:
    """A workload: `units` of `unit` in a run. `warm` is done once and does not count. `clear`: what a run left can be deleted."""

    title: str
    unit: str
    units: float
    targets: Sequence[str]
    warm: Callable[[Any], float | None]
    work: Callable[[Any], float | None]
    clear: bool = True


@dataclass(frozen=True)
class Door:
    """What is measured over one protocol. `slice_of` makes a slice: its name, the options, and a directory for its clients."""

    name: str
    summary: str
    starts: Mapping[str, Callable[[Path], AbstractContextManager[Any]]]
    slices: tuple[str, ...]
    slice_of: Callable[[str, Any, Path], Slice]
    against: list[Against]


@dataclass
class Bench:
    """The figures of one day, in a file that every slice is written to."""

    door: Door
    label: str
    is_quick: bool
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    machine: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return KEPT / f"{self.label}-{self.door.name}.json"

    @property
    def report(self) -> Path:
        return RESULTS / f"{self.label}-{self.door.name}.md"

    def read(self) -> None:
        if self.file.exists():
            told = json.loads(self.file.read_text())
            self.outcomes = {name: Outcome.of_json(each) for name, each in told["outcomes"].items()}
            self.absent = told["absent"]

    def write(self) -> None:
        """The figures, and the table of them."""
        KEPT.mkdir(parents=True, exist_ok=True)
        told = {"outcomes": {name: each.as_json() for name, each in self.outcomes.items()}, "absent": self.absent}
        self.file.write_text(json.dumps(told))
        RESULTS.mkdir(exist_ok=True)
        self.report.write_text("\n".join(self.lines()))

    def lines(self) -> list[str]:
        lines = [f"# {self.door.name.upper()}, {self.label}", "", self.door.summary, "", METHOD, "", *self.machine]
        if self.is_quick:
            lines.append(
                "- Quick: servers are kept between slices, so that RSS has what earlier slices left. No figures to quote."
            )
        lines += [f"- Absent: {name}: {reason.splitlines()[0]}." for name, reason in self.absent.items()]
        made = [name for name in self.door.slices if name in self.outcomes]
        for without in (False, True):
            chosen = [self.outcomes[name] for name in made if name.startswith("without") is without]
            if chosen:
                against = [Against("eft", ("eft",)), *self.door.against] if without else self.door.against
                lines += ["", "## With parts taken away" if without else "## Side by side", "", *head(against)]
                for outcome in chosen:
                    lines += rows(outcome, against)
        failed = [(each.title, *one) for each in self.outcomes.values() for one in each.failed.items()]
        lines += ["", "Failed:", "", *(f"- {title}, {server}: {why}" for title, server, why in failed)] if failed else []
        return [*lines, ""]


def arguments(description: str, prog: str) -> argparse.ArgumentParser:
    """What every bench can be told."""
    options = argparse.ArgumentParser(prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="small sizes, one round: to see that it works")
    options.add_argument("--rounds", type=int, help=f"that count ({ROUNDS}; quick {QUICK_ROUNDS})")
    options.add_argument("--size-mib", type=int, help=f"of a large file ({SIZE_MIB}, SFTP half of it; quick {QUICK_SIZE_MIB})")
    options.add_argument("--files", type=int, help=f"small files in a run ({FILES:,}, SFTP a fifth of it; quick {QUICK_FILES:,})")
    options.add_argument(
        "--minutes", type=float, help=f"for a slice; rounds are left out for it ({MINUTES:g}; quick {QUICK_MINUTES:g})"
    )
    options.add_argument("--workloads", nargs="+", help="some slices alone")
    options.add_argument("--targets", nargs="+", help="some servers alone, or others than a slice would take")
    options.add_argument("--resume", action="store_true", help="leave out slices of the day that are there already")
    options.add_argument("--label", help="the first words of the results' names, instead of the day")
    options.add_argument("--scratch", type=Path, help="a directory on the disk to measure")
    return options


def completed(options: Any) -> Any:
    """With what was not said."""
    quick = options.quick
    options.rounds = options.rounds or (QUICK_ROUNDS if quick else ROUNDS)
    options.size_mib = options.size_mib or (QUICK_SIZE_MIB if quick else SIZE_MIB)
    options.files = options.files or (QUICK_FILES if quick else FILES)
    options.minutes = options.minutes or (QUICK_MINUTES if quick else MINUTES)
    options.label = options.label or f"{datetime.now(UTC):%Y-%m-%d}{'-quick' if quick else ''}"
    return options


def defaults() -> Any:
    return completed(arguments("", "").parse_args([]))


class Servers:
    """Servers, started when they are first asked for, each in a directory of its own; all end together."""

    def __init__(self, door: Door, base: Path, absent: dict[str, str]) -> None:
        self._door, self._absent = door, absent
        self._stack = ExitStack()
        self._scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=base, prefix="bench-")))
        self._started: dict[str, Any] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def those(self, names: Sequence[str]) -> list[Any]:
        """The ones that can be had; who is absent is noted."""
        for name in names:
            if name in self._started:
                continue
            try:
                directory = self._scratch / name.replace(":", "-")
                self._started[name] = self._stack.enter_context(self._door.starts[name](directory))
                self._absent.pop(name, None)
            except Absent as reason:
                self._absent[name] = str(reason)
                say(f"{name} is absent: {reason}")
        return [self._started[name] for name in names if name in self._started]


def measure(door: Door, options: Any) -> Path:
    """Every slice that is asked for, each with servers of its own, but for quick ones. Returns where the table is."""
    bench = Bench(door, options.label, options.quick)
    bench.read()
    base = options.scratch or ROOT / "var"
    base.mkdir(parents=True, exist_ok=True)
    bench.machine = described(base)
    usual = [name for name in door.slices if not (options.quick and name in NOT_QUICK)]
    names = [name for name in options.workloads or usual if not (options.resume and name in bench.outcomes)]
    for some in [names] if options.quick else [[name] for name in names]:
        with Servers(door, base, bench.absent) as servers:
            for name in some:
                _measure_slice(bench, name, options, servers, base)
    return bench.report


def _measure_slice(bench: Bench, name: str, options: Any, servers: Servers, base: Path) -> None:
    with tempfile.TemporaryDirectory(dir=base, prefix="bench-") as scratch:
        made = bench.door.slice_of(name, options, Path(scratch))
        outcome = Outcome(made.title, made.unit, made.units)
        targets = servers.those(options.targets or made.targets)
        seconds = options.minutes * 60
        alternate(outcome, targets, made.warm, made.work, rounds=options.rounds, seconds=seconds, clear=made.clear, say=say)
    bench.outcomes[name] = outcome
    bench.write()


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(door: Door) -> None:
    """One door's bench as a command."""
    options = completed(
        arguments(f"The bench of {door.name}: {', '.join(door.slices)}.", f"python -m loadtests.{door.name}_bench").parse_args()
    )
    prepare_process()
    check_names(door, options)
    finish(measure(door, options))


def finish(report: Path) -> None:
    print(f"{report.read_text()}\nWritten to {report.relative_to(ROOT)}", flush=True)


def check_names(door: Door, options: Any) -> None:
    for name in options.workloads or ():
        if name not in door.slices:
            raise SystemExit(f"There is no workload {name} of {door.name}; there are {', '.join(door.slices)}.")
    for name in options.targets or ():
        if name not in door.starts:
            raise SystemExit(f"There is no server {name} of {door.name}; there are {', '.join(door.starts)}.")


def prepare_process() -> None:
    """A thousand clients need as many descriptors; what this process starts inherits the limit. Told to end, it ends what it
    started, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

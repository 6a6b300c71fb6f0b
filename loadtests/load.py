"""`make load USERS=50 MINUTES=2`: a fresh gateway, and Locust's users on it: loadtests/locustfile.py says what they do.

Ends with 1 where a request failed, a file was damaged or the gateway had an error of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time

from loadtests import https_servers, slices
from loadtests.https_servers import Target
from loadtests.machine import described
from loadtests.measure import Load, cpu_seconds, load
from loadtests.records import Record, by_kind, failures, per_second, percentile, table
from loadtests.servers import ROOT
from loadtests.sftp_servers import Gateway

CASES = 200
STARTED_IN_S = 5
"""All users are there after so many seconds."""

LAST_REQUESTS_S = 30
"""What is under way at the end may take so long yet."""


class Sampler:
    """What a server takes, every `every_s` seconds: seconds since the start, its processes' memory, and CPU seconds so far."""

    def __init__(self, pid: int, every_s: float = 1.0) -> None:
        self._pid, self._every_s = pid, every_s
        self._ended = threading.Event()
        self.samples: list[tuple[float, Load, float]] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        began, before = time.monotonic(), cpu_seconds(self._pid)
        while True:
            self.samples.append((time.monotonic() - began, load(self._pid), cpu_seconds(self._pid) - before))
            if self._ended.wait(self._every_s):
                return


def make_cases(gateway: Gateway, count: int) -> list[str]:
    names = [f"LOAD-{number}" for number in range(1, count + 1)]
    for name in names:
        gateway.call("PUT", f"cases/{name}", {"organisation": "Load", "subject": "Load", "status": "open"})
    return names


def run_users(
    gateway: Gateway,
    cases: list[str],
    users: int,
    seconds: float,
    scratch: Path,
    pause_s: tuple[float, float],
    *,
    finish: bool = True,
) -> list[Record]:
    """Locust's users for so many seconds. `pause_s`: how long one waits between two files. Without `finish` half of the larger
    files are given up before their end, so that a long test needs no large disk. Raises SystemExit where Locust cannot run."""
    told, records = scratch / "load.json", scratch / "records.json"
    told.touch(mode=0o600)
    told.write_text(
        json.dumps(
            {
                "url": f"https://localhost:{gateway.ports[0]}",
                "ca": str(gateway.ca),
                "api_token": gateway.token,
                "cases": cases,
                "pause_s": pause_s,
                "finish": finish,
                "records": str(records),
            }
        )
    )
    records.unlink(missing_ok=True)
    words = [sys.executable, "-m", "locust", "-f", str(Path(__file__).parent / "locustfile.py"), "--headless", "--only-summary"]
    words += ["-u", str(users), "-r", str(max(1, users // STARTED_IN_S)), "-t", f"{seconds:.0f}s", "--loglevel", "WARNING"]
    words += ["--stop-timeout", str(LAST_REQUESTS_S), "--reset-stats", "--exit-code-on-error", "0"]
    said = scratch / "locust.log"
    with said.open("wb") as log:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "EFT_LOAD": str(told)},
            cwd=scratch,
            timeout=seconds + LAST_REQUESTS_S + 60,
        )
    if done.returncode or not records.exists():
        raise SystemExit(f"locust ended with {done.returncode}:\n{said.read_text()[-3000:]}")
    return [Record(*each) for each in json.loads(records.read_text())]


def errors_of_the_gateway(directory: Path) -> list[str]:
    """What it logged as an error of its own."""
    found = []
    for line in (directory / "log").read_text(errors="replace").splitlines():
        try:
            level = json.loads(line).get("level", "")
        except (ValueError, AttributeError):
            level = "ERROR"
        if str(level).upper() in ("ERROR", "CRITICAL"):
            found.append(line[:300])
    return found


@contextmanager
def fresh_gateway(workers: int) -> Iterator[tuple[Target, Path]]:
    """A fresh one, with a directory for the run; both are gone afterwards."""
    base = ROOT / "var"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix="bench-") as directory:
        scratch = Path(directory)
        with https_servers.eft(scratch / "eft", workers=workers) as target:
            yield target, scratch


def summary(
    records: list[Record], samples: list[tuple[float, Load, float]], seconds: float, users: int, workers: int, errors: list[str]
) -> list[str]:
    """Lines of Markdown."""
    files = [each for each in records if each.is_file and not each.failure]
    asked = [each for each in records if not each.is_file]
    failed, cut = failures(records), sum("that is cut" in each.kind for each in records)
    moved, gib = sum(each.size for each in files), 1024**3
    lines = [
        f"{users} users for {seconds:.0f} s, {workers} workers. {len(files):,} files arrived whole, {moved / gib:.2f} GiB, each "
        f"compared with its sender's SHA-256; {cut} requests were cut in the middle of their body and their files resumed.",
        "",
        f"- **Failures: {sum(count for _, _, count in failed)}** of {len(asked):,} requests; errors in the gateway's log: "
        f"{len(errors)}.",
        f"- Throughput: {moved / 1024**2 / seconds:.0f} MiB/s of whole files, {len(files) / seconds:.1f} files/s, "
        f"{len(asked) / seconds:.0f} requests/s. The users share the machine with the gateway, and are one process: their "
        "waiting for each other is in the times below.",
    ]
    if samples:
        loads, cpu = [each for _, each, _ in samples], samples[-1][2]
        lines.append(
            f"- The gateway's processes together: RSS at most {max(each.rss_mib for each in loads):.0f} MiB, {cpu:.0f} s of CPU, "
            f"at most {max(each.descriptors for each in loads)} file descriptors, {max(each.threads for each in loads)} threads."
        )
    lines += ["", *table(by_kind(records)), ""]
    lines += [f"- {count} x {kind}: {said}" for kind, said, count in failed]
    lines += [f"- log: {line}" for line in errors[:20]]
    return lines


def plots(records: list[Record], samples: list[tuple[float, Load, float]], seconds: float, directory: Path) -> list[str]:
    """Draws throughput, times and what the gateway takes; the names of the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    def draw(name: str, title: str, label: str, lines: dict[str, tuple[list[float], list[float]]], *, log: bool = False) -> str:
        figure, axes = pyplot.subplots(figsize=(8, 3), dpi=80, layout="constrained")
        for each, (x, y) in lines.items():
            axes.plot(x, y, label=each, linewidth=1.2)
        axes.set(title=title, xlabel="seconds", ylabel=label)
        axes.grid(alpha=0.3)
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.legend(loc="best", fontsize="small")
        figure.savefig(directory / name)
        pyplot.close(figure)
        return name

    width = max(1.0, seconds / 120)
    speed = per_second(records, seconds, width_s=width)
    at = [each[0] for each in speed]
    moved, asked = ("whole files, MiB/s", (at, [each[1] for each in speed])), ("requests/s", (at, [each[2] for each in speed]))
    names = [draw("throughput.png", "What arrived", "MiB/s and requests/s", dict([moved, asked]))]
    asked_for = [each for each in records if not each.is_file and not each.failure]
    times: dict[str, tuple[list[float], list[float]]] = {}
    for percent in (50, 95, 99):
        points = []
        for begin in at:
            window = [each.took_ms for each in asked_for if begin <= each.at_s < begin + width]
            points.append(percentile(window, percent) if window else float("nan"))
        times[f"p{percent}"] = (at, points)
    names.append(draw("times.png", "How long requests took", "ms", times, log=True))
    if samples:
        when = [each[0] for each in samples]
        taken = {"RSS, MiB": (when, [each[1].rss_mib for each in samples])}
        names.append(draw("memory.png", "The gateway's processes together", "MiB", taken))
    return names


def main() -> None:
    options = argparse.ArgumentParser(prog="make load", description=__doc__)
    options.add_argument("--users", type=int, default=50)
    options.add_argument("--minutes", type=float, default=2.0)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--cases", type=int, default=CASES)
    options.add_argument("--label", default=f"{datetime.now(UTC):%Y-%m-%d}")
    chosen = options.parse_args()
    slices.prepare_process()
    seconds = chosen.minutes * 60
    with fresh_gateway(chosen.workers) as (target, scratch):
        assert target.gateway is not None
        cases = make_cases(target.gateway, chosen.cases)
        slices.say(f"{chosen.users} users on {len(cases)} cases for {seconds:.0f} s")
        with Sampler(target.pid) as sampler:
            records = run_users(target.gateway, cases, chosen.users, seconds, scratch, (0.2, 1.5))
        errors = errors_of_the_gateway(scratch / "eft")
        machine = described(ROOT / "var")
    directory = slices.RESULTS / f"{chosen.label}-load"
    directory.mkdir(parents=True, exist_ok=True)
    last = max([seconds, *(each.at_s for each in records)])
    lines = [
        f"# Load, {chosen.label}",
        "",
        *summary(records, sampler.samples, last, chosen.users, chosen.workers, errors),
        *machine,
        "",
    ]
    lines += [f"![{name}]({name})" for name in plots(records, sampler.samples, last, directory)]
    (directory / "summary.md").write_text("\n".join([*lines, ""]))
    slices.finish(directory / "summary.md")
    raise SystemExit(1 if errors or failures(records) else 0)


if __name__ == "__main__":
    main()

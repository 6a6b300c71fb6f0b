"""HTTPS: eft beside nginx, tusd, @tus/server and rustus, in turn, every workload its own row. TLS on all.

    python -m loadtests.https_bench --rounds 5 [--workloads stream …] [--targets eft nginx tusd …]

eft verifies, seals and makes durable what it takes; the peers do none of the three. `eft-2` is eft with two workers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
import json
from pathlib import Path
import resource
import statistics
import subprocess
import tempfile

from loadtests import https_servers
from loadtests.https_servers import Absent, Target
from loadtests.measure import GIB, MIB, Figure, run

STARTS = {
    "eft": https_servers.eft,
    "eft-2": lambda directory: https_servers.eft(directory, 2),
    "nginx": https_servers.nginx,
    "tusd": https_servers.tusd,
    "tus-node": https_servers.tus_node,
    "rustus": https_servers.rustus,
}


@dataclass(frozen=True)
class Workload:
    """`files` of `size` bytes, `clients` at a time. `get`: one is fetched."""

    clients: int
    files: int
    size: int
    get: bool = False

    @property
    def gib(self) -> float:
        return self.files * self.size / GIB


WORKLOADS = {
    "one stream": Workload(1, 1, GIB),
    "8 streams": Workload(8, 8, GIB // 8),
    "1,000 clients of 1 MiB": Workload(1000, 1000, MIB),
    "10,000 files of 4 KiB": Workload(16, 10_000, 4096),
    "download": Workload(1, 1, GIB, get=True),
}


def send(target: Target, workload: Workload, url: str | None = None) -> float:
    """The seconds it took. Raises SystemExit where a file failed."""
    words = [str(https_servers.load_client()), "-mode", "get" if url else target.mode, "-url", url or target.url]
    words += ["-clients", str(workload.clients), "-files", str(workload.files), "-size", str(workload.size)]
    words += ["-ca", str(target.ca), *(["-token-file", str(target.token_file)] if target.token_file else [])]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    if told["failed"]:
        raise SystemExit(f"{target.name}: {told['failed']} files failed, the first with {told['first_failure']}")
    return float(told["seconds"])


def kept(target: Target, size: int) -> str:
    """Where one file of that size can be fetched."""
    if target.gateway is not None:
        send(target, Workload(1, 1, size))
        found = target.gateway.call("GET", "cases/BENCH-1/attachments?limit=1")["items"][0]
        return f"{target.url}/{found['id']}"
    if target.mode == "put":
        send(target, Workload(1, 1, size))
        return f"{target.url}/1"
    headers = [
        "-H",
        "Tus-Resumable: 1.0.0",
        "-H",
        f"Upload-Length: {size}",
        "-H",
        "Content-Type: application/offset+octet-stream",
    ]
    words = ["curl", "-sS", "--fail", "--cacert", str(target.ca), "-D", "-", "-o", "/dev/null", "-X", "POST", *headers]
    with tempfile.NamedTemporaryFile() as source:
        source.truncate(size)
        told = subprocess.run(
            [*words, "--data-binary", f"@{source.name}", target.url], check=True, capture_output=True, text=True
        ).stdout
    location = next(line.split(":", 1)[1].strip() for line in told.splitlines() if line.lower().startswith("location:"))
    path = location.split("://", 1)[-1].partition("/")[2] if "://" in location else location.lstrip("/")
    return "/".join(target.url.split("/")[:3]) + "/" + path


@contextmanager
def started(names: list[str], scratch: Path) -> Iterator[list[Target]]:
    with ExitStack() as stack:
        targets = []
        for name in names:
            try:
                targets.append(stack.enter_context(STARTS[name](scratch / name)))  # type: ignore[arg-type]
            except Absent as absent:
                print(f"{name} is absent: {absent}", flush=True)
        yield targets


def measure(targets: list[Target], names: list[str], rounds: int) -> str:
    """Every round all servers in turn; the first round does not count."""
    lines = [
        "| workload | server | speed against nginx | CPU against nginx | MiB/s, or files/s (lowest to highest) "
        "| server CPU s/GiB, or ms a file | largest RSS, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        workload = WORKLOADS[name]
        places = {target.name: kept(target, workload.size) if workload.get else None for target in targets}
        figures: dict[str, list[Figure]] = {target.name: [] for target in targets}
        for attempt in range(rounds + 1):
            for target in targets:
                took: list[float] = []
                work = partial(_note, took, partial(send, target, workload, places[target.name]))
                figure = run(work, target.pid)
                if attempt:
                    figures[target.name].append(Figure(took[0], figure.cpu_s, figure.rss_mib))
                if not workload.get and workload.files < 10_000:
                    target.clear()
        if not workload.get and workload.files >= 10_000:
            for target in targets:
                if target.gateway is None:
                    target.clear()
        lines += _rows(name, workload, figures)
        print(*lines[-len(targets) :], sep="\n", flush=True)
    return "\n".join(lines)


def _note(took: list[float], work: Callable[[], float]) -> None:
    took.append(work())


def _rows(name: str, workload: Workload, figures: dict[str, list[Figure]]) -> list[str]:
    small = workload.size < MIB
    units = workload.files if small else workload.gib * 1024
    speeds = {server: [units / figure.wall_s for figure in found] for server, found in figures.items()}
    cost = 1000 / workload.files if small else 1 / workload.gib
    cpu = {server: statistics.median(figure.cpu_s for figure in found) * cost for server, found in figures.items()}
    peer = "nginx dav" if "nginx dav" in figures else next(iter(figures))
    fast, cheap = statistics.median(speeds[peer]), cpu[peer] or 1
    return [
        f"| {name} | {server} | {statistics.median(speeds[server]) / fast:.2f} | {cpu[server] / cheap:.2f} "
        f"| {statistics.median(speeds[server]):.0f} ({min(speeds[server]):.0f} to {max(speeds[server]):.0f}) "
        f"| {cpu[server]:.2f} | {max(figure.rss_mib for figure in found):.0f} |"
        for server, found in figures.items()
    ]


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m loadtests.https_bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--targets", nargs="+", default=list(STARTS), choices=list(STARTS))
    options.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    options.add_argument("--scratch", type=Path, default=None, help="a directory on the disk to measure")
    chosen = options.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    scratch = tempfile.TemporaryDirectory(dir=chosen.scratch or https_servers.ROOT, prefix=".bench-")
    with scratch as directory, started(chosen.targets, Path(directory)) as targets:
        print(measure(targets, chosen.workloads, chosen.rounds))


if __name__ == "__main__":
    main()

"""SFTP: eft beside OpenSSH's server and Go's pkg/sftp, in turn, every client its own row. Ratios against the better peer first.

    python -m loadtests.sftp_bench --rounds 5 --size-mib 512 [--workloads …] [--targets eft eft-plain openssh go]

`eft-plain` is eft without the faster packet layer. eft verifies, seals and makes durable what it takes; the peers do none of the
three.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
import itertools
import os
from pathlib import Path
import statistics
import tempfile
import time

from loadtests import sftp_clients, sftp_servers, sftp_sessions
from loadtests.measure import GIB, MIB, Figure, run
from loadtests.sftp_servers import Target

GCM = ("-o", "Ciphers=aes128-gcm@openssh.com")
CHACHA = ("-o", "Ciphers=chacha20-poly1305@openssh.com")
SMALL_FILES, SMALL_BYTES, CONNECTS, AT_ONCE = 2000, 4096, 100, 8

_numbers = itertools.count()


class Bench:
    """What the workloads share: sources, scratch and the size of one file in bytes."""

    def __init__(self, scratch: Path, size: int) -> None:
        self.scratch, self.size = scratch, size
        self.source, self.piece, self.many = scratch / "source", scratch / "piece", scratch / "many"
        _fill(self.source, size)
        _fill(self.piece, size // AT_ONCE)
        self.many.mkdir()
        for number in range(SMALL_FILES):
            (self.many / f"{number:04}.bin").write_bytes(os.urandom(SMALL_BYTES))

    def put(self, target: Target, *options: str) -> None:
        sftp_clients.openssh(target, self.scratch, [f"put {self.source} {target.prefix}{_name()}"], *options)

    def psftp(self, target: Target) -> None:
        sftp_clients.psftp(target, self.scratch, [f"put {self.source} {target.prefix}{_name()}"])

    def lftp(self, target: Target) -> None:
        sftp_clients.lftp(target, self.scratch, [f"put {self.source} -o {target.prefix}{_name()}"])

    def rclone(self, target: Target) -> None:
        sftp_clients.rclone(target, self.scratch, self.source, _name())

    def get(self, target: Target, *options: str) -> None:
        sftp_clients.openssh(target, self.scratch, [f"get {target.prefix}kept /dev/null"], *options)

    def at_once(self, target: Target) -> None:
        def one(_: int) -> None:
            sftp_clients.openssh(target, self.scratch, [f"put {self.piece} {target.prefix}{_name()}"], *GCM)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, range(AT_ONCE)))

    def small(self, target: Target) -> None:
        name = target.prefix + _name()
        sftp_clients.openssh(target, self.scratch, [f"mkdir {name}", f"put {self.many}/* {name}/"])

    def connects(self, target: Target) -> None:
        sftp_sessions.connect_often(target, CONNECTS)

    def asyncssh(self, target: Target) -> None:
        sftp_sessions.put(target, self.source, target.prefix + _name())

    def keep(self, target: Target) -> None:
        """Something to download."""
        sftp_clients.openssh(target, self.scratch, [f"put {self.source} {target.prefix}kept"], *GCM)


def workloads(bench: Bench) -> dict[str, tuple[Callable[[Target], None], float]]:
    """By name: what is done, and of how many units: GiB, files, connects."""
    gib = bench.size / GIB
    return {
        "put": (bench.put, gib),
        "put-gcm": (lambda target: bench.put(target, *GCM), gib),
        "put-chacha": (lambda target: bench.put(target, *CHACHA), gib),
        "psftp": (bench.psftp, gib),
        "lftp": (bench.lftp, gib),
        "rclone": (bench.rclone, gib),
        "asyncssh": (bench.asyncssh, gib),
        "get-gcm": (lambda target: bench.get(target, *GCM), gib),
        "get-chacha": (lambda target: bench.get(target, *CHACHA), gib),
        "8-at-once": (bench.at_once, gib),
        "small": (bench.small, SMALL_FILES),
        "connects": (bench.connects, CONNECTS),
    }


@contextmanager
def started(names: list[str], scratch: Path, workers: int) -> Iterator[list[Target]]:
    """The servers; `eft:PIECE,PIECE` is eft with these parts of the packet layer."""
    with ExitStack() as stack:
        targets = []
        for number, name in enumerate(names):
            directory = scratch / f"server-{number}"
            if name == "openssh":
                targets.append(stack.enter_context(sftp_servers.openssh_target(directory)))
            elif name == "go":
                targets.append(stack.enter_context(sftp_servers.go_target(directory)))
            else:
                pieces = [] if name == "eft-plain" else name.partition(":")[2].split(",") if ":" in name else None
                targets.append(stack.enter_context(sftp_servers.eft(directory, name, workers=workers, pieces=pieces)))
        yield targets


def measure(bench: Bench, targets: list[Target], names: list[str], rounds: int) -> str:
    """Every round all servers in turn; the first round does not count."""
    lines = [
        "| workload | server | speed against the better peer | CPU against it | MiB, files or connects/s (lowest to highest) "
        "| CPU s/GiB, or ms each | RSS, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    known = workloads(bench)
    for name in names:
        work, units = known[name]
        figures: dict[str, list[Figure]] = {target.name: [] for target in targets}
        if name.startswith("get"):
            for target in targets:
                bench.keep(target)
        for attempt in range(rounds + 1):
            for target in targets:
                figure = run(lambda work=work, target=target: work(target), target.pid)  # type: ignore[misc]
                if attempt:
                    figures[target.name].append(figure)
                if not name.startswith("get") and name != "small":
                    target.clear()
        for target in targets:
            target.clear()
        lines += _rows(name, figures, units)
        print(*lines[-len(targets) :], sep="\n", flush=True)
    return "\n".join(lines)


def _rows(name: str, figures: dict[str, list[Figure]], units: float) -> list[str]:
    """Of GiB: MiB/s and CPU s/GiB; of things that are counted: how many a second, and CPU ms for each."""
    scale, cost = (1, 1000) if name in ("small", "connects") else (1024, 1)
    speeds = {server: [units * scale / figure.wall_s for figure in found] for server, found in figures.items()}
    speed = {server: statistics.median(found) for server, found in speeds.items()}
    cpu = {server: statistics.median(one.cpu_s for one in found) / units * cost for server, found in figures.items()}
    peers = [server for server in figures if not server.startswith("eft")] or list(figures)[:1]
    fast, cheap = max(speed[peer] for peer in peers), min(cpu[peer] for peer in peers)
    rss = {server: max(one.rss_mib for one in found) for server, found in figures.items()}
    return [
        f"| {name} | {server} | {speed[server] / fast:.2f} | {cpu[server] / cheap:.2f} | {speed[server]:.0f} "
        f"({min(speeds[server]):.0f} to {max(speeds[server]):.0f}) | {cpu[server]:.2f} | {rss[server]:.0f} |"
        for server, found in figures.items()
    ]


def _name() -> str:
    return f"bench-{time.monotonic_ns()}-{next(_numbers)}"


def _fill(file: Path, size: int) -> None:
    """Bytes that do not compress, without waiting long for them."""
    block = os.urandom(8 * MIB)
    with file.open("wb") as out:
        for _ in range(size // len(block)):
            out.write(block)
        out.write(block[: size % len(block)])


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m loadtests.sftp_bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--size-mib", type=int, default=512)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--targets", nargs="+", default=["eft", "openssh", "go"])
    options.add_argument("--workloads", nargs="+", default=None)
    options.add_argument("--scratch", type=Path, default=None, help="a directory on the disk to measure")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.scratch or sftp_servers.ROOT, prefix=".bench-") as scratch:
        bench = Bench(Path(scratch), chosen.size_mib * MIB)
        with started(chosen.targets, Path(scratch), chosen.workers) as targets:
            print(measure(bench, targets, chosen.workloads or list(workloads(bench)), chosen.rounds))


if __name__ == "__main__":
    main()

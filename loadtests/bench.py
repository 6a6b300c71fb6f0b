"""`make bench`: eft beside nginx (HTTPS) and OpenSSH (SFTP), in turn, each round all of them. Ratios first.

eft verifies, seals and makes durable what it takes; the peers do none of the three.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
import getpass
import os
from pathlib import Path
import platform
import shutil
import tempfile

from loadtests import clients, servers
from loadtests.measure import GIB, MIB, Figure, Summary, peak_rss_mib, run

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--size-mib", type=int, default=1024)
    options.add_argument("--rss-mib", type=int, nargs="*", default=[64, 1024, 5120], help="sizes for the look at memory")
    options.add_argument("--scratch", type=Path, default=None, help="a directory on the disk to measure")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.scratch or servers.ROOT, prefix=".bench-") as scratch:
        report = bench(Path(scratch), chosen.size_mib * MIB, chosen.rounds, chosen.rss_mib)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-first-figures.md"
    file.write_text(report)
    print(report)
    print(f"Written to {file.relative_to(servers.ROOT)}")


def bench(scratch: Path, size: int, rounds: int, rss_mib: list[int]) -> str:
    source = scratch / "source"
    _fill(source, size)
    with servers.eft() as eft, servers.nginx(scratch / "nginx") as nginx, servers.openssh(scratch / "openssh") as openssh:
        me = getpass.getuser()
        key = scratch / "openssh" / "client"

        def to_openssh(*cipher: str) -> None:
            clients.sftp_put(openssh.port, me, str(openssh.directory / "bench"), source, scratch, *cipher, key=key)

        def to_eft_sftp(*cipher: str) -> None:
            clients.sftp_put(eft.sftp_port, eft.username, "bench", source, scratch, *cipher, password=eft.password)

        gcm = ("-o", "Ciphers=aes128-gcm@openssh.com")
        runs: dict[tuple[str, str], tuple[Callable[[], None], int]] = {
            ("HTTPS, curl", "eft"): (lambda: clients.tus_post(eft, source, scratch / "headers"), eft.pid),
            ("HTTPS, curl", "nginx dav PUT"): (lambda: clients.dav_put(nginx, eft.ca, source), nginx.pid),
            ("SFTP, OpenSSH, its default cipher", "eft"): (to_eft_sftp, eft.pid),
            ("SFTP, OpenSSH, its default cipher", "OpenSSH"): (to_openssh, openssh.pid),
            ("SFTP, OpenSSH, aes128-gcm", "eft"): (lambda: to_eft_sftp(*gcm), eft.pid),
            ("SFTP, OpenSSH, aes128-gcm", "OpenSSH"): (lambda: to_openssh(*gcm), openssh.pid),
        }
        figures: dict[tuple[str, str], list[Figure]] = {name: [] for name in runs}
        for attempt in range(rounds + 1):
            for name, (work, pid) in runs.items():
                figure = run(work, pid)
                if attempt > 0:
                    figures[name].append(figure)
                eft.clear()
        return _report(figures, size, rounds, _rss_over_sizes(eft, scratch, rss_mib))


def _rss_over_sizes(eft: servers.Eft, scratch: Path, sizes: list[int]) -> list[tuple[int, float]]:
    """The gateway's largest resident set after a file of each size, sparse at the source."""
    seen = []
    for mib in sizes:
        source = scratch / "sparse"
        with source.open("wb") as out:
            out.truncate(mib * MIB)
        clients.tus_post(eft, source, scratch / "headers")
        clients.sftp_put(eft.sftp_port, eft.username, "sparse", source, scratch, password=eft.password)
        seen.append((mib, peak_rss_mib(eft.pid)))
        eft.clear()
    return seen


def _report(figures: dict[tuple[str, str], list[Figure]], size: int, rounds: int, rss: list[tuple[int, float]]) -> str:
    lines = [
        f"# First figures, {datetime.now(UTC):%Y-%m-%d}",
        "",
        f"One file of {size / GIB:g} GiB, {rounds} rounds in turn after one that does not count; medians (lowest to highest). "
        "Client and server share the machine. eft verifies (SHA-256), seals (AES-256-GCM) and syncs what it takes; the peers do "
        "none of the three. CPU is the server's alone.",
        "",
        f"Machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}; "
        "virtual, where page faults cost more than on metal, which flatters servers of one process against OpenSSH's.",
        "",
        "| workload | server | speed against the peer | CPU against the peer | MiB/s | CPU s/GiB | largest RSS, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for workload in dict.fromkeys(name for name, _ in figures):
        summaries = {server: Summary.of(found, size) for (name, server), found in figures.items() if name == workload}
        peer = next(summary for server, summary in summaries.items() if server != "eft")
        for server, summary in summaries.items():
            speed, cpu = summary.mib_s / peer.mib_s, summary.cpu_s_gib / peer.cpu_s_gib
            lines.append(
                f"| {workload} | {server} | {speed:.2f} | {cpu:.2f} | {summary.mib_s:.0f} "
                f"({summary.low_mib_s:.0f} to {summary.high_mib_s:.0f}) | {summary.cpu_s_gib:.2f} | {summary.rss_mib:.0f} |"
            )
    lines += ["", "Resident set of the gateway's largest process after one file by HTTPS and one by SFTP of each size:", ""]
    lines += ["| file, MiB | largest RSS so far, MiB |", "|---|---|", *(f"| {mib} | {seen:.0f} |" for mib, seen in rss), ""]
    return "\n".join(lines)


def _fill(file: Path, size: int) -> None:
    """Bytes that do not compress, without waiting long for them."""
    block = os.urandom(8 * MIB)
    with file.open("wb") as out:
        for _ in range(size // len(block)):
            out.write(block)
        out.write(block[: size % len(block)])


if __name__ == "__main__":
    for program in ("nginx", "curl", "sftp", "/usr/sbin/sshd"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not installed; run `make test-deps`.")
    main()

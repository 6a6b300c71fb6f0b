"""`make memory`: what connections and large files cost a gateway's worker in memory, against what is promised.

    python -m loadtests.memory [upload] [busy] [idle-tls] [sftp-idle] [sftp-busy]

Each part has a fresh gateway with one worker; the memory is that worker's resident set. What goes on is generated, and nothing of
it is stored on the client's side.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
import gc
import os
from pathlib import Path
import ssl
import tempfile
import threading
import time
from typing import Any

from loadtests import https_servers, sftp_clients, sftp_servers, sftp_sessions, slices
from loadtests.machine import described
from loadtests.measure import GIB, MIB, load, peak_rss_mib, worker_of
from loadtests.servers import ROOT

SETTLED_S = 3.0
"""How long a worker has before its memory at rest is read."""

HALF_MIB = 8
"""MiB of each busy upload before it rests in the middle of its body, and as many after."""


class Part:
    """One measurement: what is promised, and the rows that it gives."""

    def __init__(self, name: str, run: Callable[[Any, Path], list[str]], promise: str) -> None:
        self.name, self.run, self.promise = name, run, promise


def rss_mib(pid: int) -> float:
    """Of one process, now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("the worker is gone")


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def one_upload(options: Any, directory: Path) -> list[str]:
    with https_servers.eft(directory) as target:
        worker = worker_of(target.pid)
        before = rss_mib(worker)
        forget_peak(worker)
        told = https_servers.load(target, size=int(options.gib * GIB))
        peak, after = peak_rss_mib(worker), rss_mib(worker)
    seconds = told["seconds"]
    return [
        f"one upload of {options.gib:g} GiB, {options.gib * 1024 / seconds:.0f} MiB/s: RSS at most **{peak:.0f} MiB** "
        f"({before:.0f} before, {after:.0f} after)"
    ]


def busy_uploads(options: Any, directory: Path) -> list[str]:
    """All begin at once, rest together in the middle of their bodies, and go on."""
    many, half = options.busy, HALF_MIB * MIB
    # Whoever rests for longer than this is ended, as a rule.
    with https_servers.eft(directory, https="minimum_rate_window_s = 900\n") as target:
        https_servers.load(target, size=MIB, files=20, clients=4)
        worker = worker_of(target.pid)
        before = rss_mib(worker)
        forget_peak(worker)
        resting: list[tuple[float, int]] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                seen = load(worker)
                resting.append((rss_mib(worker), seen.descriptors))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        # The first half takes some time for all of them; they have to rest long enough to do so together.
        pause_s = max(10, many * HALF_MIB // 40)
        https_servers.load(target, size=2 * half, files=many, clients=many, pause_after=half, pause=f"{pause_s}s")
        ended.set()
        watcher.join()
        peak, after = peak_rss_mib(worker), rss_mib(worker)
    connections = max(count for _, count in resting)
    middle = min(seen for seen, count in resting if count >= connections * 0.95)
    each = (peak - before) / many
    return [
        f"{many} uploads at once, each {2 * HALF_MIB} MiB and resting in the middle of its body: RSS at most {peak:.0f} MiB, "
        f"**{each:.2f} MiB for each**; least while all are there {middle:.0f} MiB, {(middle - before) / many:.2f} for each "
        f"({before:.0f} before, {after:.0f} after)"
    ]


def idle_tls(options: Any, directory: Path) -> list[str]:
    with https_servers.eft(directory) as target:
        assert target.gateway is not None
        https_servers.load(target, size=MIB, files=20, clients=4)
        worker, port, trust = worker_of(target.pid), target.gateway.ports[0], ssl.create_default_context(cafile=str(target.ca))
        before = rss_mib(worker)

        async def work() -> float:
            opened = []
            gate = asyncio.Semaphore(20)

            async def one() -> None:
                async with gate:
                    opened.append(await asyncio.open_connection("localhost", port, ssl=trust))

            await asyncio.gather(*(one() for _ in range(options.idle)))
            await asyncio.sleep(SETTLED_S)
            held = rss_mib(worker)
            for _, writer in opened:
                writer.transport.abort()
            return held

        held = asyncio.run(work())
    return [
        f"{options.idle} idle TLS connections: RSS {held:.0f} MiB ({before:.0f} before), "
        f"**{(held - before) * 1024 / options.idle:.0f} KiB for each**"
    ]


def sftp_idle(options: Any, directory: Path) -> list[str]:
    """Signed in, with an SFTP session that has asked for one directory."""
    with sftp_servers.eft(directory) as target:
        sftp_sessions.connect_often(target, 8)
        worker = worker_of(target.pid)
        time.sleep(SETTLED_S)
        before = rss_mib(worker)

        async def work() -> float:
            async with AsyncExitStack() as stack:
                gate = asyncio.Semaphore(sftp_sessions.AT_ONCE)

                async def one() -> None:
                    async with gate:
                        connection = await stack.enter_async_context(sftp_sessions.connect(target))
                        sftp = await stack.enter_async_context(connection.start_sftp_client())
                        await sftp.listdir("/")

                gc.disable()
                await asyncio.gather(*(one() for _ in range(options.idle)))
                await asyncio.sleep(SETTLED_S)
                held = rss_mib(worker)
                gc.enable()
            return held

        held = asyncio.run(work())
    return [
        f"{options.idle} idle SFTP connections: RSS {held:.0f} MiB ({before:.0f} before), "
        f"**{(held - before) * 1024 / options.idle:.0f} KiB for each**"
    ]


def sftp_busy(options: Any, directory: Path) -> list[str]:
    """OpenSSH's clients, all uploading at once."""
    many, size = options.sftp_busy, options.sftp_mib * MIB
    with sftp_servers.eft(directory / "eft") as target, ThreadPoolExecutor(many) as pool:
        scratch = directory / "clients"
        scratch.mkdir()
        source = scratch / "source"
        with source.open("wb") as out:
            out.truncate(size)
        sftp_clients.openssh(target, scratch, [f"put {source} /first"])
        worker = worker_of(target.pid)
        before = rss_mib(worker)
        forget_peak(worker)

        def one(number: int) -> None:
            time.sleep(number * 0.05)
            own = scratch / str(number)
            own.mkdir()
            sftp_clients.openssh(target, own, [f"put {source} /busy-{number}"])

        began = time.monotonic()
        list(pool.map(one, range(many)))
        seconds = time.monotonic() - began
        peak = peak_rss_mib(worker)
    return [
        f"{many} SFTP uploads at once by OpenSSH's client, {options.sftp_mib} MiB each, "
        f"{many * options.sftp_mib / seconds:.0f} MiB/s in all: RSS at most {peak:.0f} MiB ({before:.0f} before), "
        f"**{(peak - before) / many:.2f} MiB for each**"
    ]


PARTS = {
    part.name: part
    for part in (
        Part("upload", one_upload, "at most 120 MiB for a worker with one upload of 10 GiB"),
        Part("busy", busy_uploads, "at most 4 MiB for each of 500 busy uploads"),
        Part("idle-tls", idle_tls, "at most 512 KiB for an idle TLS connection"),
        Part("sftp-idle", sftp_idle, "at most 256 KiB for an idle SFTP connection, 1,000 of them held"),
        Part("sftp-busy", sftp_busy, "at most 4 MiB for a busy SFTP connection"),
    )
}


def main() -> None:
    options = argparse.ArgumentParser(
        prog="make memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all, if none is named")
    options.add_argument("--gib", type=float, default=10.0, help="size of the one upload")
    options.add_argument("--busy", type=int, default=500)
    options.add_argument("--idle", type=int, default=1000)
    options.add_argument("--sftp-busy", type=int, default=50)
    options.add_argument("--sftp-mib", type=int, default=128)
    options.add_argument("--label", default=f"{datetime.now(UTC):%Y-%m-%d}")
    chosen = options.parse_args()
    slices.prepare_process()
    file = slices.RESULTS / f"{chosen.label}-memory.md"
    file.parent.mkdir(exist_ok=True)
    known = dict(_parts_in(file)) if file.exists() else {}
    for name in chosen.parts or PARTS:
        part = PARTS[name]
        slices.say(f"{name}: {part.promise}")
        (ROOT / "var").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=ROOT / "var", prefix="bench-") as scratch:
            began = time.monotonic()
            found = part.run(chosen, Path(scratch))
        known[name] = "; ".join(found)
        slices.say(f"{name}: {known[name]}; {time.monotonic() - began:.0f} s")
        lines = [f"# Memory, {chosen.label}", "", "A fresh gateway with one worker for each; the memory is that worker's.", ""]
        lines += ["| | promised | measured |", "|---|---|---|"]
        lines += [f"| {each} | {PARTS[each].promise} | {known[each]} |" for each in PARTS if each in known]
        file.write_text("\n".join([*lines, "", *described(ROOT / "var"), ""]))
    slices.finish(file)


def _parts_in(file: Path) -> list[tuple[str, str]]:
    """What an earlier run of the day has measured: each part's name and its sentence."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in file.read_text().splitlines() if line.startswith("|")
    ]
    return [(row[0], row[2]) for row in rows if len(row) == 3 and row[0] in PARTS]


if __name__ == "__main__":
    os.umask(0o077)
    main()

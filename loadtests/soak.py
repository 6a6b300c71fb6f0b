"""`make soak-hour SLICE=n`: an hour of load on one gateway, in slices, and whether its memory, descriptors and threads stay flat.

SLICE=1 starts a gateway that stays between slices; SLICE=7 (or `--stop`) ends it. Customers send over HTTPS with cuts and
resumes, staff fetch (loadtests/locustfile.py), and beside them somebody uploads, fetches, renames and is cut off over SFTP. Half
of the larger files are given up before their end: an hour takes some 10 GiB of disk.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from datetime import UTC, datetime
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import asyncssh

from loadtests import sftp_servers, sftp_sessions, slices
from loadtests.flatness import Fit, fit
from loadtests.load import Sampler, errors_of_the_gateway, make_cases, run_users
from loadtests.machine import described
from loadtests.measure import tree
from loadtests.records import Record, failures
from loadtests.servers import ROOT, START_S
from loadtests.sftp_servers import Gateway, Target

HOME = ROOT / "var" / "soak"
STATE, SAMPLES = HOME / "state.json", HOME / "samples.json"
SLICES, SLICE_S, EVERY_S, WARM_S = 7, 530, 10.0, 300.0
USERS, CASES, PAUSE_S = 8, 50, (1.0, 5.0)
LONGEST_S = 4 * 3600
"""A gateway that nobody ends is ended after so long."""

LIMITS = {"RSS, MiB": (0.05, 4.0), "file descriptors": (0.10, 5.0), "threads": (0.05, 2.0)}
"""How much each may rise in an hour: a share of the median, or an amount where that is more."""


class Gone(Exception):
    """The gateway of the earlier slices does not run any more."""


def hold() -> None:
    """Runs a gateway until it is told to stop; `STATE` says where it is. A process of its own, which slices come back to."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    with sftp_servers.eft(HOME / "eft") as target:
        assert target.gateway is not None
        told = {
            "holder": os.getpid(),
            "pid": target.pid,
            "ports": target.gateway.ports,
            "ca": str(target.gateway.ca),
            "token": target.gateway.token,
            "user": target.user,
            "password": target.password,
            "workers": tree(target.pid),
        }
        part = STATE.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(told))
        part.rename(STATE)
        ending.wait(LONGEST_S)


def begin() -> None:
    """A fresh gateway. Whatever an earlier soak left is gone."""
    end()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True, mode=0o700)
    words = [sys.executable, "-m", "loadtests.soak", "--hold"]
    with (HOME / "holder.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 2 * START_S
    while not STATE.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"no gateway:\n{(HOME / 'holder.log').read_text()[-2000:]}")
        time.sleep(0.2)
    make_cases(running()[1], CASES)


def end() -> None:
    """Ends the gateway, if one runs."""
    try:
        holder = json.loads(STATE.read_text())["holder"]
        if b"loadtests.soak" in Path(f"/proc/{holder}/cmdline").read_bytes():
            os.kill(holder, signal.SIGTERM)
            while Path(f"/proc/{holder}").exists() and _is_running(holder):
                time.sleep(0.2)
    except (OSError, ValueError):
        pass
    STATE.unlink(missing_ok=True)


def running() -> tuple[Target, Gateway]:
    """The gateway of the earlier slices, as a customer and as the portal know it. Raises Gone where it, or a worker that it had,
    is not there any more."""
    try:
        told = json.loads(STATE.read_text())
    except OSError:
        raise Gone("no gateway runs; begin with SLICE=1") from None
    lost = set(told["workers"]) - set(tree(told["pid"]))
    if lost or not _is_running(told["pid"]):
        raise Gone("the gateway or its worker has ended since the last slice; begin with SLICE=1")
    ports = tuple(told["ports"])
    gateway = Gateway(HOME / "eft", ports, Path(told["ca"]), told["token"])
    return Target("eft", told["pid"], ports[1], told["user"], told["password"], prefix="/", gateway=gateway), gateway


class SftpCustomer:
    """Somebody who uploads over SFTP, looks, renames, fetches what he sent, and is cut off now and then, until told to stop."""

    def __init__(self, target: Target, pause_s: float) -> None:
        self._target, self._pause_s = target, pause_s
        self._ended = threading.Event()
        self.counted: Counter[str] = Counter()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

    def __enter__(self) -> SftpCustomer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(120)

    async def _work(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            cut, what = number % 4 == 0, "visits"
            try:
                await self._visit(f"/soak-{os.getpid()}-{time.time_ns()}", os.urandom(256 * 1024), cut=cut)
            except (OSError, asyncssh.Error, AssertionError) as failure:
                what = "cut off" if cut else f"failed: {type(failure).__name__} {failure}"[:200]
            self.counted[what] += 1
            await asyncio.sleep(self._pause_s)

    async def _visit(self, name: str, content: bytes, *, cut: bool) -> None:
        async with sftp_sessions.connect(self._target) as connection, connection.start_sftp_client() as sftp:
            async with sftp.open(name, "wb") as file:
                await file.write(content[: len(content) // 2])
                if cut:
                    connection.abort()
                    return
                await file.write(content[len(content) // 2 :])
            async with sftp.open(name, "rb") as file:
                assert await file.read() == content, "other bytes came back"
            await sftp.rename(name, f"{name}.log")
            await sftp.listdir("/")


def run_slice(number: int, seconds: float) -> None:
    """One slice; its samples and counts are added to those of the earlier ones."""
    target, gateway = running()
    known: dict[str, Any] = json.loads(SAMPLES.read_text()) if SAMPLES.exists() else {"samples": [], "slices": []}
    if len(known["slices"]) != number - 1:
        raise SystemExit(f"{len(known['slices'])} slices are made; the next is SLICE={len(known['slices']) + 1}")
    offset = sum(each["seconds"] for each in known["slices"])
    began = time.monotonic()
    cases = [f"LOAD-{each}" for each in range(1, CASES + 1)]
    with (
        tempfile.TemporaryDirectory(dir=HOME) as scratch,
        Sampler(target.pid, EVERY_S) as sampler,
        SftpCustomer(target, 1.0) as visitor,
    ):
        records = run_users(gateway, cases, USERS, seconds, Path(scratch), PAUSE_S, finish=False)
    running()
    took = time.monotonic() - began
    for at, load, _ in sampler.samples:
        known["samples"].append([offset + at, load.rss_mib, load.descriptors, load.threads])
    known["slices"].append({"seconds": took, **_counts(records), "sftp": dict(visitor.counted)})
    SAMPLES.write_text(json.dumps(known))


def _counts(records: list[Record]) -> dict[str, Any]:
    whole = [each for each in records if each.is_file and not each.failure]
    return {
        "requests": sum(not each.is_file for each in records),
        "files": len(whole),
        "mib": sum(each.size for each in whole) / 1024**2,
        "cuts": sum("that is cut" in each.kind for each in records),
        "failures": [f"{count} x {kind}: {said}" for kind, said, count in failures(records)],
    }


def judged(samples: list[list[float]]) -> list[tuple[str, Fit, str]]:
    """For each of what is limited: the line through the samples after the warm-up, and what it says."""
    is_enough = samples[-1][0] > 3 * WARM_S
    found = []
    for column, (name, (share, at_least)) in enumerate(LIMITS.items(), 1):
        line = fit([(each[0], each[column]) for each in samples], after_s=WARM_S if is_enough else 0.0)
        verdict = "flat" if line.is_flat(share, at_least) else "NOT FLAT"
        found.append((name, line, verdict if is_enough else "too short to say"))
    return found


def report(label: str) -> Path:
    """Writes what all slices so far have shown, and draws it."""
    known = json.loads(SAMPLES.read_text())
    parts, samples = known["slices"], known["samples"]
    minutes = sum(each["seconds"] for each in parts) / 60
    sftp: Counter[str] = sum((Counter(each["sftp"]) for each in parts), Counter())
    failed = [said for each in parts for said in each["failures"]]
    failed += [f"{count} x SFTP {what}" for what, count in sftp.items() if what.startswith("failed")]
    errors = errors_of_the_gateway(HOME / "eft")
    lines = [
        f"# Soak, {label}",
        "",
        f"One gateway with one worker, {len(parts)} of {SLICES} slices, {minutes:.0f} minutes of load: "
        f"{sum(each['requests'] for each in parts):,} requests, {sum(each['files'] for each in parts):,} whole files with "
        f"{sum(each['mib'] for each in parts) / 1024:.1f} GiB, {sum(each['cuts'] for each in parts)} cuts and resumes, "
        f"{sftp['visits']:,} SFTP sessions and {sftp['cut off']:,} that were cut off. Kinds of failures: {len(failed)}; "
        f"errors in the gateway's log: {len(errors)}.",
        "",
        "All processes of the gateway together, a sample every 10 s; the line is fitted after the first 5 minutes.",
        "",
        "| | median | most | rises in an hour by | |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {line.middle:.1f} | {line.most:.1f} | {line.per_hour:+.2f} | {verdict} |"
            for name, line, verdict in judged(samples)
        ),
        "",
        *(f"- {each}" for each in failed[:30]),
        *(f"- log: {each}" for each in errors[:20]),
        *described(ROOT / "var"),
        "",
        f"![memory]({label}-soak.png)",
        "",
    ]
    _draw(samples, slices.RESULTS / f"{label}-soak.png")
    file = slices.RESULTS / f"{label}-soak.md"
    file.write_text("\n".join(lines))
    return file


def _draw(samples: list[list[float]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3), dpi=80, layout="constrained")
    for column, name in enumerate(LIMITS, 1):
        axes.plot([each[0] / 60 for each in samples], [each[column] for each in samples], label=name, linewidth=1.2)
    axes.set(title="The gateway's processes together", xlabel="minutes of load")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize="small")
    figure.savefig(file)
    pyplot.close(figure)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def main() -> None:
    options = argparse.ArgumentParser(prog="make soak-hour", description=__doc__)
    options.add_argument("--slice", type=int, help=f"1 begins anew, {SLICES} is the last")
    options.add_argument("--seconds", type=float, default=SLICE_S, help="of load in this slice")
    options.add_argument("--stop", action="store_true", help="end the gateway")
    options.add_argument("--hold", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--label", default=f"{datetime.now(UTC):%Y-%m-%d}")
    chosen = options.parse_args()
    slices.prepare_process()
    if chosen.hold:
        hold()
        return
    if chosen.slice:
        try:
            if chosen.slice == 1:
                begin()
            run_slice(chosen.slice, chosen.seconds)
        except Gone as gone:
            raise SystemExit(str(gone)) from None
        slices.finish(report(chosen.label))
    elif not chosen.stop:
        options.error(f"say which slice: SLICE=1 begins, SLICE={SLICES} is the last")
    if chosen.stop or chosen.slice == SLICES:
        end()
        shutil.rmtree(HOME / "eft", ignore_errors=True)


if __name__ == "__main__":
    main()

"""`kill -9` does not show a missing fsync; the system calls do."""

from __future__ import annotations

import asyncio
from pathlib import Path
import re
import subprocess
import sys

import pytest

from eft.db.engine import Database

ROOT = Path(__file__).parents[3]
CALL = re.compile(r"^(?P<pid>\d+)\s+(?:<\.\.\. )?(?P<call>\w+)(?P<resumed> resumed>)?(?P<rest>.*)$")


@pytest.mark.needs("strace")
async def test_the_log_is_synced_after_its_last_write_and_before_the_caller_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/eft.db"
    await asyncio.to_thread(Database(url).upgrade)
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-s", "16", "-o", trace, "-e", "trace=write,pwrite64,fsync,fdatasync"]
    process = subprocess.Popen(
        [*command, sys.executable, "-m", "tests.contract.db.writer", url, "1", "20", "1"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    assert await asyncio.to_thread(process.wait, 60) == 0

    told = 0
    written = synced = False
    syncing: set[str] = set()  # threads in a sync of the log that has not returned yet
    for line in trace.read_text().splitlines():
        call = CALL.match(line)
        if call is None:
            continue
        pid, name, rest = call["pid"], call["call"], call["rest"]
        if name == "pwrite64" and "eft.db-wal>" in rest:
            written, synced = True, False
        elif name in ("fdatasync", "fsync") and "eft.db-wal>" in rest:
            if "unfinished" in rest:
                syncing.add(pid)
            else:
                synced = rest.endswith("= 0")
        elif name in ("fdatasync", "fsync") and call["resumed"] and pid in syncing:
            syncing.remove(pid)
            synced = rest.endswith("= 0")
        elif name == "write" and re.search(r'"C-\d+\\n"', rest):
            assert written, line
            assert synced, line
            told += 1
            written = False
    assert told == 20


async def test_a_new_file_is_durable_in_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eft.db import sqlite

    synced: list[str] = []
    real = sqlite.os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(sqlite.os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(sqlite.os, "fsync", fsync)
    await asyncio.to_thread(Database(f"sqlite:///{tmp_path}/eft.db").upgrade)
    assert synced == [str(tmp_path)]

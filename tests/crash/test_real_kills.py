"""Real processes, a real disk, real SIGKILLs: what no simulation shows of locks, sockets and a database that several share."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

import pytest

KILLS = max(10, int(os.environ.get("EFT_CRASHES", "5000")) // 200)
SEEDS = 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_writers_that_contend_and_are_killed_lose_nothing_that_they_were_told(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "tests.crash.contending_writers", str(tmp_path), str(seed), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=590)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-4000:]
    assert "files whole" in done.stdout

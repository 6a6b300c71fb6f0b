from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from datetime import datetime
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

PROGRAM = Path(__file__).with_name("supervised.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], Any], seconds: float = 45) -> Any:
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, ValueError):
            if answer := true():
                return answer
        assert time.monotonic() < until, "it did not come to pass in time"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Gateway:
    """A supervisor of trivial workers, as a process."""

    def __init__(self, run_dir: Path, mode: str = "serve", workers: int = 2) -> None:
        self.run_dir, self.mode, self.workers = run_dir, mode, workers
        self.port = free_port()
        self.errors = run_dir.parent / "errors"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(PROGRAM), "supervise", str(self.run_dir), str(self.port), str(self.workers), self.mode]
        with self.errors.open("ab") as errors:
            return subprocess.Popen(command, stderr=errors, cwd=self.run_dir.parent)

    def restart(self) -> None:
        self.process = self._start()

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def states(self) -> list[dict[str, Any]]:
        workers: list[dict[str, Any]] = json.loads(self.get("/readyz")[1])["workers"]
        return workers

    def pids(self) -> list[int]:
        """The workers' processes, once all are ready."""
        wait_until(lambda: self.get("/readyz")[0] == 200)
        return [state["pid"] for state in self.states()]

    def wait(self, seconds: float = 15) -> int:
        return self.process.wait(seconds)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.errors.read_text().splitlines() if line.startswith("{")]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    started: list[Gateway] = []

    def start(**options: Any) -> Gateway:
        started.append(Gateway(tmp_path / "run", **options))
        return started[-1]

    yield start
    for gateway in started:
        if gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()


def test_every_worker_runs_and_the_gateway_is_ready(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=2)
    assert len(set(gateway.pids())) == 2
    assert gateway.get("/healthz")[0] == 200
    status, metrics = gateway.get("/metrics")
    assert status == 200
    assert b"eft_workers_ready 2.0" in metrics
    assert b'eft_published_total{source="https"} 2.0' in metrics


def test_temporary_files_of_workers_lie_in_the_run_directory(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=2)
    for pid in gateway.pids():
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert f"TMPDIR={gateway.run_dir}/tmp".encode() in environment
    assert (gateway.run_dir / "tmp").stat().st_mode & 0o077 == 0


def test_a_killed_worker_is_started_again_and_the_others_go_on(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=2)
    first, second = gateway.pids()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: gateway.states()[0]["pid"] not in (first, None))
    assert gateway.pids()[1] == second
    assert b"eft_worker_deaths_total 1.0" in gateway.get("/metrics")[1]


def test_a_gateway_is_not_ready_while_a_worker_is_not(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=1, mode="crash")
    wait_until(lambda: gateway.get("/healthz")[0] == 200)
    status, body = gateway.get("/readyz")
    assert status == 503
    assert json.loads(body)["workers"][0]["ready"] is False


def test_a_worker_that_dies_at_once_is_tried_again_ever_more_slowly(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=1, mode="crash")
    wait_until(lambda: gateway.events().count("worker.started") == 4)
    lines = [json.loads(line) for line in gateway.errors.read_text().splitlines()]
    died = [datetime.fromisoformat(line["at"]) for line in lines if line["event"] == "worker.died"]
    started = [datetime.fromisoformat(line["at"]) for line in lines if line["event"] == "worker.started"][1:]
    pauses = [(after - before).total_seconds() for before, after in zip(died, started, strict=True)]
    assert pauses == pytest.approx([0.2, 0.4, 0.8], abs=0.15)
    assert gateway.process.poll() is None


def test_a_worker_whose_event_loop_hangs_is_not_ready(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=1, mode="hang")
    gateway.pids()
    wait_until(lambda: gateway.get("/readyz")[0] == 503)
    assert gateway.states()[0]["heartbeat_age_s"] >= 5


def test_no_worker_survives_a_killed_supervisor_even_if_it_hangs(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=2, mode="hang")
    pids = gateway.pids()
    time.sleep(1.2)
    gateway.process.kill()
    gateway.wait()
    wait_until(lambda: not any(map(is_running, pids)), seconds=2)


def test_the_start_after_a_kill_needs_no_hand(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=2)
    gateway.pids()
    gateway.process.kill()
    gateway.wait()
    gateway.restart()
    gateway.pids()
    assert b'eft_published_total{source="https"} 2.0' in gateway.get("/metrics")[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_workers_in_order(start: Callable[..., Gateway], number: signal.Signals) -> None:
    gateway = start(workers=2)
    pids = gateway.pids()
    gateway.process.send_signal(number)
    assert gateway.wait() == 0
    assert not any(map(is_running, pids))
    assert gateway.events().count("worker.stopped") == 2
    assert "worker.killed" not in gateway.events()


def test_a_worker_that_does_not_stop_is_killed_after_ten_seconds(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=1, mode="deaf")
    pids = gateway.pids()
    began = time.monotonic()
    gateway.process.terminate()
    assert gateway.wait(20) == 0
    assert 9 < time.monotonic() - began < 15
    assert not any(map(is_running, pids))


def test_a_refusal_ends_the_gateway_and_is_told_once(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=3, mode="refuse")
    assert gateway.wait() == 1
    assert gateway.errors.read_text().count("eft: The master key file is missing. Restore it.") == 1
    assert "Traceback" not in gateway.errors.read_text()


def test_a_second_gateway_on_the_same_storage_is_refused_and_the_first_goes_on(start: Callable[..., Gateway]) -> None:
    gateway = start(workers=1)
    pids = gateway.pids()
    second = start(workers=1)
    assert second.wait() == 1
    assert "Another gateway is running" in second.errors.read_text()
    assert gateway.pids() == pids


def test_an_operations_port_that_is_taken_is_told(start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(sys.modules[__name__], "free_port", lambda: taken.getsockname()[1])
        gateway = start(workers=1)
        assert gateway.wait() == 1
    assert "choose another operations.port" in gateway.errors.read_text()

"""What a real gateway refuses to start with. How it serves is in tests/interop."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
import time

import pytest

from tests.fixtures.gateway import EFT, Gateway


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path / "gateway", workers=2)
    yield made
    made.stop()


def refused(gateway: Gateway) -> str:
    """What a start says that is refused: one sentence with its remedy, told once however many workers there are."""
    command = [str(EFT), "serve", "--workers", str(gateway.workers), "--config", str(gateway.config)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(told) == 1, told
    assert told[0].startswith("eft: ")
    return told[0]


def test_a_missing_master_key_refuses_the_start(gateway: Gateway) -> None:
    (gateway.directory / "secrets" / "master.key").unlink()
    assert "master key" in refused(gateway)


def test_another_master_key_refuses_the_start(gateway: Gateway, tmp_path: Path) -> None:
    other = Gateway(tmp_path / "other", is_copied=False)
    key = Path("secrets") / "master.key"
    (gateway.directory / key).write_bytes((other.directory / key).read_bytes())
    assert "master key" in refused(gateway)


def test_a_master_key_that_others_may_read_refuses_the_start(gateway: Gateway) -> None:
    (gateway.directory / "secrets" / "master.key").chmod(0o644)
    assert "chmod 600" in refused(gateway)


def test_a_certificate_that_is_none_refuses_the_start(gateway: Gateway) -> None:
    (gateway.directory / "secrets" / "tls.pem").write_text("nothing")
    assert "https.certificate" in refused(gateway)


def test_a_port_that_somebody_shares_refuses_the_start(gateway: Gateway) -> None:
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        stranger.bind(("127.0.0.1", gateway.https_port))
        stranger.listen()
        assert f"port {gateway.https_port}" in refused(gateway)


def test_a_missing_master_key_is_told_in_json_where_that_was_asked_for(gateway: Gateway) -> None:
    (gateway.directory / "secrets" / "master.key").unlink()
    command = [str(EFT), "serve", "--json", "--config", str(gateway.config)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stderr.splitlines()[-1])["code"] in ("key-unavailable", "unsafe-setting")


def runs(pid: int) -> bool:
    """Whether the process lives. One that has ended and was not waited for yet by whoever adopted it does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_die_with_a_killed_supervisor_and_the_next_start_needs_no_hand(gateway: Gateway) -> None:
    gateway.start()
    workers = gateway.worker_pids()
    assert gateway.process is not None
    os.kill(gateway.process.pid, signal.SIGKILL)
    gateway.process.wait()
    gateway.start()
    assert not set(workers) & set(gateway.worker_pids())
    assert not [pid for pid in workers if runs(pid)]


def test_a_killed_worker_is_replaced_in_seconds(gateway: Gateway) -> None:
    gateway.start()
    first = gateway.worker_pids()
    os.kill(first[0], signal.SIGKILL)
    until = time.monotonic() + 20
    while not gateway.is_ready() or first[0] in gateway.worker_pids():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert first[1] in gateway.worker_pids()


def test_a_client_of_sftp_that_comes_while_no_worker_lives_is_served_by_the_next(gateway: Gateway) -> None:
    gateway.start()
    for pid in gateway.worker_pids():
        os.kill(pid, signal.SIGKILL)
    with socket.create_connection(("127.0.0.1", gateway.sftp_port), timeout=60) as waiting:
        assert waiting.recv(4) == b"SSH-"


def test_the_sftp_port_is_nobodys_once_the_gateway_has_stopped(gateway: Gateway) -> None:
    gateway.start()
    gateway.stop()
    with socket.socket() as next_one:
        next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        next_one.bind(("127.0.0.1", gateway.sftp_port))
        next_one.listen()

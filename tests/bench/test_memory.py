"""What `make memory` and `make soak-hour` measure in full, small: files and connections cost a worker what is promised."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import http.client
from pathlib import Path
import ssl
import subprocess
from threading import Barrier
import time

import pytest

from loadtests import https_servers, sftp_clients, sftp_servers
from loadtests.https_servers import Target
from loadtests.measure import MIB, load, peak_rss_mib, worker_of
from loadtests.memory import forget_peak, rss_mib

BUSY = 60
PATIENCE_S = 90


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with https_servers.eft(tmp_path_factory.mktemp("memory") / "eft") as started:
        yield started


def headers_of(target: Target, size: int) -> dict[str, str]:
    assert target.token_file is not None
    return {
        "Authorization": f"Bearer {target.token_file.read_text()}",
        "Tus-Resumable": "1.0.0",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Length": str(size),
    }


@pytest.mark.needs("curl")
def test_a_large_file_takes_no_more_memory_than_a_small_one(target: Target, tmp_path: Path) -> None:
    worker, peaks = worker_of(target.pid), []
    for size in (64 * MIB, 64 * MIB, 512 * MIB):
        source = tmp_path / "source"
        with source.open("wb") as out:
            out.truncate(size)
        forget_peak(worker)
        words = ["curl", "-sS", "--fail", "--cacert", str(target.ca), "-X", "POST", "-T", str(source), target.url]
        for name, value in headers_of(target, size).items():
            words += ["-H", f"{name}: {value}"]
        subprocess.run(words, check=True, capture_output=True, timeout=110)
        peaks.append(peak_rss_mib(worker))
    assert peaks[2] <= peaks[1] + 8
    assert peaks[2] <= 120


def test_a_busy_upload_takes_at_most_4_mib(target: Target) -> None:
    assert target.gateway is not None
    worker, port = worker_of(target.pid), target.gateway.ports[0]
    trust = ssl.create_default_context(cafile=str(target.ca))
    half, headers = bytes(2 * MIB), headers_of(target, 4 * MIB)
    in_the_middle = Barrier(BUSY)
    before = rss_mib(worker)
    forget_peak(worker)

    def send(_: int) -> int:
        connection = http.client.HTTPSConnection("localhost", port, context=trust, timeout=PATIENCE_S)
        connection.putrequest("POST", "/files")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(2 * len(half)))
        connection.endheaders()
        connection.send(half)
        in_the_middle.wait(PATIENCE_S)
        connection.send(half)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    with ThreadPoolExecutor(BUSY) as pool:
        assert set(pool.map(send, range(BUSY))) == {201}
    assert (peak_rss_mib(worker) - before) / BUSY <= 4


@pytest.mark.needs("sftp")
def test_connections_that_have_ended_leave_no_descriptor_and_no_thread(target: Target, tmp_path: Path) -> None:
    assert target.gateway is not None
    worker, gateway = worker_of(target.pid), target.gateway
    account = gateway.call("POST", f"cases/{sftp_servers.CASE}/sftp-account")
    sftp = sftp_servers.Target("eft", target.pid, gateway.ports[1], account["username"], account["password"], prefix="/")
    (tmp_path / "source").write_bytes(bytes(100_000))

    def visit(name: str) -> None:
        sftp_clients.openssh(sftp, tmp_path, [f"put {tmp_path}/source /{name}", "ls /"])
        for _ in range(20):
            gateway.call("GET", f"cases/{sftp_servers.CASE}/attachments?limit=5")

    visit("first")
    before = _at_rest(worker)
    for number in range(5):
        visit(f"later-{number}")
    after = _at_rest(worker, at_most=before)
    assert (after[0] <= before[0] + 2, after[1] <= before[1] + 2) == (True, True), (before, after)


def _at_rest(worker: int, at_most: tuple[int, int] | None = None) -> tuple[int, int]:
    """Descriptors and threads, once they are the same for a second, or no more than `at_most`."""
    deadline, last, since = time.monotonic() + PATIENCE_S, (-1, -1), time.monotonic()
    while time.monotonic() < deadline:
        seen = load(worker)
        found = (seen.descriptors, seen.threads)
        if at_most is not None and found[0] <= at_most[0] and found[1] <= at_most[1]:
            return found
        if found != last:
            last, since = found, time.monotonic()
        elif at_most is None and time.monotonic() - since > 1:
            return found
        time.sleep(0.1)
    return last
